"""`vbeam`: channelised voltages of one beam, for VLBI."""

from typing import Any

import numpy as np

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["VBEAM"]

HEADER = np.dtype(
    [
        ("zero", "<u4"),
        ("sync", "<u4"),
        ("sync_time", ">u8"),
        ("tag", ">u8"),
        ("bw_hz", ">f8"),
        ("sfreq", ">f8"),
        ("nchan", ">u4"),  # 0 in packets of Bifrost
        ("chan0", ">u4"),
        ("npol", ">u4"),
    ]
)
_SYNC = 0xAABBCCDD


def decode(h: Any, c: Capturing) -> tuple[int, int]:
    """One source. `rate` is what time tags grow by from packet to packet, 1 by default."""
    is_good = h.zero == 0 and h.sync == _SYNC and c.nbytes % 16 == 0 and (h.nchan == 0 or 16 * h.nchan == c.nbytes)
    return h.tag // max(c.rate, 1) if is_good else -1, 0


def layout(setup: Setup) -> FrameLayout:
    """(channel, polarisation)."""
    shape = (setup.nbytes // 16, 2)
    return FrameLayout.interleaved(1, "cf32", rows=1, shape=shape, labels=("chan", "pol"))


def fill(header: Any, out: Any) -> None:
    """What is known goes into the header."""
    info = out.info
    header["sync"], header["tag"], header["sync_time"] = _SYNC, out.seq, info.sync_time
    header["nchan"], header["chan0"], header["npol"] = out.nbytes // 16, info.chan0, 2


VBEAM = PacketFormat(
    "vbeam",
    HEADER,
    decode,
    samples="cf32",
    setup=("chan0",),
    layout=layout,
    clock=lambda setup: (setup.tag, max(setup.rate, 1)),
    describe=lambda setup: {"nchan": setup.nbytes // 16},
    fill=fill,
    unit=16,
    is_alone=True,
    source="Bifrost, src/formats/vbeam.hpp",
)
