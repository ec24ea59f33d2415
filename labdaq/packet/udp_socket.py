"""A UDP socket for packets at high rates: its buffer, its groups, and what the system lost."""

import contextlib
import socket
import struct
import sys

from labdaq.errors import BusyError, ClosedError, LayoutError, ResourceError
from labdaq.packet.address import Address
from labdaq.packet.sniffing import open_sniffer

__all__ = ["UDPSocket"]

_WANTED_BUFFER = 64 << 20
_FORCE_RECEIVE, _FORCE_SEND, _MEMINFO = 33, 32, 55  # Linux, asm-generic/socket.h
_SOL_UDP, _GRO = 17, 104  # Linux, linux/udp.h


class UDPSocket:
    """A socket to receive from or to send to; a context manager.

    Examples
    --------
    >>> with UDPSocket() as receiver, UDPSocket() as sender:
    ...     receiver.bind(Address("127.0.0.1", 0))
    ...     sender.connect(receiver.address)
    ...     receiver.timeout = 0.5
    ...     receiver.address.port > 0
    True
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._timeout: float | None = None
        self._wanted = _WANTED_BUFFER
        self.receive_buffer = 0
        """Bytes that the system granted to hold what was not fetched yet."""
        self.is_merging = False
        """Whether the system hands out packets of one length together (GRO)."""
        self.is_sniffing = False
        """Whether it sees packets to any host, with their headers."""

    @property
    def socket(self) -> socket.socket:
        """The socket of Python.

        Raises
        ------
        ClosedError
            Before :meth:`bind` or :meth:`connect`, and after :meth:`close`.
        """
        if self._socket is None:
            raise ClosedError("this socket is not open: bind() it to receive, connect() it to send")
        return self._socket

    def bind(
        self,
        address: Address,
        *,
        share: bool = False,
        buffer: int = _WANTED_BUFFER,
        merge: bool = False,
        interface: str = "",
    ) -> None:
        """Receive what is sent to an address; for that of a multicast group, join it.

        Parameters
        ----------
        address
            Host and port.
        share
            Allow others to receive on this port, too.
        buffer
            Bytes to ask for; :attr:`receive_buffer` says what was granted.
        merge
            Have packets of one length handed out together (GRO), which costs a fraction where sender or network
            card merge them. What the system drops is then known as a lower bound only. Linux;
            :attr:`is_merging` says whether the system does.
        interface
            On which a multicast group is joined, such as ``eth0``; by default the one that routes to it.

        Raises
        ------
        BusyError
            When the port is in use.
        LayoutError
            For an interface with an address that is no multicast group.
        ResourceError
            When the system refuses.
        """
        if interface and not address.is_multicast:
            raise LayoutError(
                f"interface {interface!r} with {address}, which is no multicast group: leave it out, and bind to an "
                "address of this interface"
            )
        self.close()
        self._socket = new = socket.socket(address.family, socket.SOCK_DGRAM)
        try:
            if share or address.is_multicast:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(AttributeError, OSError):
                    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            new.bind(address.sockaddr)
            if address.is_multicast:
                _join(new, address, interface)
        except OSError as error:
            self.close()
            if error.errno in {98, 48, 10048}:  # EADDRINUSE of Linux, macOS, Windows
                raise BusyError(
                    f"port {address} is in use: choose another, close the other socket, or bind(…, share=True)"
                ) from error
            raise ResourceError.of(error, f"binding to {address}") from error
        self._ask_for(buffer)
        self.merge(merge)

    def _ask_for(self, buffer: int) -> None:
        self._wanted = buffer
        self.receive_buffer = _grow(self.socket, socket.SO_RCVBUF, _FORCE_RECEIVE, buffer)

    def merge(self, on: bool) -> None:
        """Have packets handed out together, or no longer; :attr:`is_merging` says whether they are."""
        if on != self.is_merging:
            self.is_merging = _merge(self.socket, on) and on

    def sniff(self, address: Address, *, interface: str = "", buffer: int = _WANTED_BUFFER) -> None:
        """See packets to an address whoever they are for, without taking them from anybody: a raw socket.

        Parameters
        ----------
        address
            IPv4; with ``0.0.0.0``, packets to any host on this port.
        interface
            Such as ``eth0``, which then takes in packets that are not for this machine; by default all.
        buffer
            As for :meth:`bind`.

        Raises
        ------
        ResourceError
            When the system has no such sockets, or does not permit them: they need CAP_NET_RAW.
        """
        self.close()
        self._socket = open_sniffer(address, interface)
        self.is_sniffing = True
        self._ask_for(buffer)

    def connect(self, address: Address, *, buffer: int = 4 << 20) -> None:
        """Send to an address, multicast groups included.

        Raises
        ------
        ResourceError
            When the system refuses, such as for want of a route.
        """
        self.close()
        self._socket = socket.socket(address.family, socket.SOCK_DGRAM)
        try:
            self._socket.connect(address.sockaddr)
        except OSError as error:
            self.close()
            raise ResourceError.of(error, f"connecting to {address}") from error
        _grow(self._socket, socket.SO_SNDBUF, _FORCE_SEND, buffer)

    @property
    def address(self) -> Address:
        """Where it receives."""
        name = self.socket.getsockname()
        return Address(str(name[0]), int(name[1]), self.socket.family)

    @property
    def timeout(self) -> float | None:
        """Seconds without a packet after which a capture ends its sequence; None waits for ever."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if seconds is not None and not seconds >= 0:
            raise LayoutError(f"timeout {seconds!r}: seconds from 0 up, or None")
        self._timeout = seconds

    @property
    def advice(self) -> str:
        """What to do when the system granted less buffer than was asked for; empty when it did not."""
        if self.receive_buffer >= self._wanted or self._socket is None:
            return ""
        return (
            f"the receive buffer is {self.receive_buffer / 2**20:.1f} of the {self._wanted / 2**20:.1f} MiB asked for: "
            f"sudo sysctl -w net.core.rmem_max={self._wanted}"
        )

    @property
    def drops(self) -> int | None:
        """Packets that the system lost since nobody fetched them; None where it does not say."""
        if not sys.platform.startswith("linux") or self._socket is None:
            return None
        try:
            info = self._socket.getsockopt(socket.SOL_SOCKET, _MEMINFO, 36)
        except OSError:
            return None
        return int(struct.unpack("9I", info)[8]) if len(info) == 36 else None

    def fileno(self) -> int:
        """The descriptor."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close it; it can be bound or connected again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.is_merging = self.is_sniffing = False

    def __enter__(self) -> "UDPSocket":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()


def _merge(opened: socket.socket, on: bool) -> bool:
    """Ask for it; whether the system can."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        opened.setsockopt(_SOL_UDP, _GRO, int(on))
    except OSError:
        return False
    return True


def _grow(opened: socket.socket, option: int, force: int, wanted: int) -> int:
    """Ask for a buffer, beyond the limit if we may; what there is then, of which the system uses half itself."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, force, wanted)
            return opened.getsockopt(socket.SOL_SOCKET, option) // 2
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, option, wanted)
    granted = opened.getsockopt(socket.SOL_SOCKET, option)
    return granted // 2 if sys.platform.startswith("linux") else granted


def _join(opened: socket.socket, address: Address, interface: str) -> None:
    group = socket.inet_pton(address.family, address.address.split("%")[0])
    number = socket.if_nametoindex(interface) if interface else 0
    if address.family == socket.AF_INET6:
        where = struct.pack("I", number or address.sockaddr[3])
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + where)
    else:
        # without an interface this is as long as systems other than Linux want it
        where = struct.pack("4si", bytes(4), number) if number else bytes(4)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + where)
