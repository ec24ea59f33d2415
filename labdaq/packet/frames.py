"""From a recorded frame of a network to the payload of the UDP datagram in it."""

import struct

__all__ = ["udp_payload"]

_IPV4, _IPV6, _VLAN, _QINQ = 0x0800, 0x86DD, 0x8100, 0x88A8
_UDP, _FRAGMENT6 = 17, 44
_EXTENSIONS = (0, 43, 60, 135)

# Link types, https://www.tcpdump.org/linktypes.html: bytes before the IP packet, or where the EtherType is
_NULL, _ETHERNET, _RAW, _RAW_OLD, _LOOP, _COOKED, _IPV4_ONLY, _IPV6_ONLY, _COOKED2 = (
    0, 1, 101, 12, 108, 113, 228, 229, 276,
)  # fmt: skip


def udp_payload(frame: bytes, linktype: int) -> tuple[int, int, int] | None:
    """Where the payload of a UDP datagram is: begin and end in the frame, and the port it goes to.

    None for anything else, for fragments of a datagram, and for link types that are not known. A frame that was
    cut short by the recorder ends early.

    Parameters
    ----------
    frame
        As recorded.
    linktype
        Ethernet (1), with VLAN tags or without; raw IP (101, 12, 228, 229); Linux cooked (113, 276); loopback (0, 108).

    Examples
    --------
    >>> ip = bytes([0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0]) + bytes(8)
    >>> udp = struct.pack(">HHHH", 4000, 4015, 10, 0)
    >>> udp_payload(ip + udp + b"ab", 101)
    (28, 30, 4015)
    """
    at = _ip_begin(frame, linktype)
    if at is None or len(frame) <= at:
        return None
    version = frame[at] >> 4
    end = _udp4(frame, at) if version == 4 else _udp6(frame, at) if version == 6 else None
    if end is None:
        return None
    begin, limit = end
    if begin + 8 > len(frame):
        return None
    port, length = struct.unpack_from(">HH", frame, begin + 2)
    if length < 8:
        length = limit - begin  # jumbograms and recorders with offloading say 0
    return begin + 8, min(begin + length, limit, len(frame)), port


def _ip_begin(frame: bytes, linktype: int) -> int | None:
    if linktype in {_RAW, _RAW_OLD, _IPV4_ONLY, _IPV6_ONLY}:
        return 0
    if linktype in {_NULL, _LOOP}:
        return 4
    where = {_ETHERNET: 12, _COOKED: 14, _COOKED2: 0}.get(linktype)
    if where is None:
        return None
    if linktype == _COOKED2:
        return 20 if _type_at(frame, 0) in {_IPV4, _IPV6} else None
    kind = _type_at(frame, where)
    while kind in {_VLAN, _QINQ}:
        where += 4
        kind = _type_at(frame, where)
    return where + 2 if kind in {_IPV4, _IPV6} else None


def _type_at(frame: bytes, where: int) -> int:
    return int.from_bytes(frame[where : where + 2], "big")


def _udp4(frame: bytes, at: int) -> tuple[int, int] | None:
    if len(frame) < at + 20 or frame[at + 9] != _UDP:
        return None
    total, fragment = _type_at(frame, at + 2), _type_at(frame, at + 6)
    if fragment & 0x3FFF:  # more fragments, or not the first
        return None
    return at + 4 * (frame[at] & 15), at + total if total else len(frame)


def _udp6(frame: bytes, at: int) -> tuple[int, int] | None:
    if len(frame) < at + 40:
        return None
    length, kind = _type_at(frame, at + 4), frame[at + 6]
    begin = at + 40
    while kind in _EXTENSIONS and begin + 2 <= len(frame):
        kind, begin = frame[begin], begin + 8 * (frame[begin + 1] + 1)
    if kind != _UDP:  # a fragment, too
        return None
    return begin, at + 40 + length if length else len(frame)
