"""A small format for tests that have nothing to do with formats."""

import struct

import numpy as np

from labdaq.packet import PacketFormat

HEADER = np.dtype([("check", "u1"), ("src", "u1"), ("chan", ">u2"), ("tone", "u1"), ("seq", "<u8")])
PAYLOAD = 4
CHECK = 0x5A


def decode(h):
    return h.seq if h.check == CHECK else -1, h.src


TOY = PacketFormat("toy", HEADER, decode, payload=PAYLOAD, setup=("chan",), by_source=("tone",))


def toy(seq, src=0, chan=7, tone=0, payload=None):
    """One packet; its payload says what it is."""
    body = struct.pack("<HBB", seq & 0xFFFF, src, chan & 255) if payload is None else payload
    return struct.pack(">BBHB", CHECK, src, chan, tone) + struct.pack("<Q", seq) + body


def stream(begin, end, nsrc, **setup):
    """All packets of some frames, in order."""
    return [toy(seq, src, **setup) for seq in range(begin, end) for src in range(nsrc)]
