"""Packets as they pass by: a raw socket that sees what others receive.

The system filters by port and address before it copies anything, with a program in the language of the Berkeley
packet filter: https://www.kernel.org/doc/html/latest/networking/filter.html.
"""

import contextlib
import ipaddress
import socket
import struct
import sys

import numpy as np

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet.address import Address
from labdaq.packet.batch import address_of

__all__ = ["open_sniffer"]

_IPV4 = 0x0800
_UDP = 17
_ATTACH_FILTER, _PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 26, 263, 1, 1  # Linux

# Instructions: code, jumps when true and when not, operand
_WORD, _HALF, _BYTE, _HEADER_LENGTH, _HALF_BEHIND, _IS, _HAS, _RETURN = 0x20, 0x28, 0x30, 0xB1, 0x48, 0x15, 0x45, 0x06
_DIRECTION, _OUTGOING = 0xFFFFF004, 4
_FRAGMENT = 0x3FFF


def open_sniffer(address: Address, interface: str) -> socket.socket:
    """A socket for the UDP datagrams over IPv4 that go to an address, IP headers first.

    Raises
    ------
    LayoutError
        When the address is not one of IPv4, or a port is missing.
    ResourceError
        When the system refuses.
    """
    if address.family != socket.AF_INET or not address.port:
        raise LayoutError(f"sniffing {address}: an address of IPv4 and a port are needed")
    if not sys.platform.startswith("linux"):
        raise ResourceError(f"raw sockets are for Linux; on {sys.platform}, record a file with tcpdump and read it")
    try:
        # of no protocol, so that nothing comes before the filter; of all interfaces, that cannot be changed later
        protocol = 0 if interface else socket.htons(_IPV4)
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
    except OSError as error:
        raise ResourceError.of(error, "opening a raw socket (which needs CAP_NET_RAW: run as root)") from error
    try:
        _attach(opened, address)
        if interface:
            membership = struct.pack("IHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
            opened.setsockopt(_PACKET, _ADD_MEMBERSHIP, membership)
            opened.bind((interface, _IPV4))
        else:
            _empty(opened)
    except OSError as error:
        with contextlib.suppress(OSError):
            opened.close()
        raise ResourceError.of(error, f"sniffing {address} on {interface or 'all interfaces'}") from error
    return opened


def _empty(opened: socket.socket) -> None:
    """Forget what came before the filter."""
    opened.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            opened.recv(1)


def _attach(opened: socket.socket, address: Address) -> None:
    host = int(ipaddress.IPv4Address(address.address))
    program = np.array(filter_program(host, address.port), [("code", "u2"), ("yes", "u1"), ("no", "u1"), ("k", "u4")])
    opened.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HQ", len(program), address_of(program)))


def filter_program(host: int, port: int) -> list[tuple[int, int, int, int]]:
    """What the system keeps: whole UDP datagrams that come in for a host (0: any) and a port."""
    tests = [
        ((_BYTE, _DIRECTION), (_IS, _OUTGOING), False),  # on the loopback everything is seen twice
        ((_BYTE, 9), (_IS, _UDP), True),
        ((_HALF, 6), (_HAS, _FRAGMENT), False),
        *([((_WORD, 16), (_IS, host), True)] if host else []),
    ]
    behind = 2 * len(tests) + 3  # the instruction that keeps it; the next one does not
    program = []
    for (load, where), (test, value), wanted in tests:
        program.append((load, 0, 0, where))
        refuse = behind - len(program)
        program.append((test, 0 if wanted else refuse, refuse if wanted else 0, value))
    return [
        *program, (_HEADER_LENGTH, 0, 0, 0), (_HALF_BEHIND, 0, 0, 2), (_IS, 0, 1, port),
        (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0),
    ]  # fmt: skip
