"""`cor`: visibilities of pairs of stands."""

import math
from typing import Any

import numpy as np

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.formats.lwa import DP_FORMATS, FS, SYNC
from labdaq.packet.layout import FrameLayout

__all__ = ["COR"]

HEADER = np.dtype(
    [
        ("sync", ">u4"),
        ("flag", "u1"),
        ("nchan_decim", "u1"),
        ("nserver", "u1"),
        ("server", "u1"),  # from 1; older packets have 0
        ("second_count", ">u4"),
        ("first_chan", ">u2"),
        ("gain", ">u2"),
        ("tag", ">u8"),
        ("navg", ">u4"),  # units of 10 ms
        ("stand0", ">u2"),  # from 1
        ("stand1", ">u2"),
    ]
)
_FLAG = 2
_TICKS = FS // 100  # of one unit of navg


def decode(h: Any, c: Capturing) -> tuple[int, int, int, int, int]:
    """Sources are the servers of the first pair of stands, then those of the next; `src0` is 1, usually."""
    nserver, server = max(h.nserver, 1), max(h.server, 1)
    if h.sync != SYNC or not h.flag & _FLAG or h.navg == 0 or server > nserver:
        return -1, 0, 0, 0, 0
    first, second = h.stand0 - 1, h.stand1 - 1
    stands = int((math.sqrt(8 * (c.nsrc // nserver) + 1) - 1) / 2)
    src = -1
    if 0 <= first <= second < stands:
        src = (first * (2 * (stands - 1) + 1 - first) // 2 + second + 1 - c.src0) * nserver + server - 1
    chan0 = h.first_chan - h.nchan_decim * (c.nbytes // 32) * (server - 1)
    return h.tag // (h.navg * _TICKS), src, chan0, h.navg, nserver


def layout(setup: Setup) -> FrameLayout:
    """(source, channel, product of polarisations)."""
    return FrameLayout.by_source(setup.nsrc, "cf32", (setup.nbytes // 32, 4), ("chan", "product"))


def clock(setup: Setup) -> tuple[int, int]:
    """Ticks of 1/196 MHz."""
    return setup.tag, setup.navg * _TICKS


def survey(headers: Any) -> tuple[int, int]:
    """All pairs of as many stands as there are."""
    stands = int(headers["stand1"].max())
    return stands * (stands + 1) // 2 * max(1, int(headers["nserver"].max())), 1


def fill(header: Any, out: Any) -> None:
    """Pairs of stands from the source; `tuning` may hold ``nchan_decim << 16 | nserver << 8 | server``."""
    info = out.info
    nserver = info.nserver or info.tuning >> 8 & 255 or 1
    decim = info.tuning >> 16 & 255 or 1
    server = info.server or info.tuning & 255 or out.src % nserver + 1
    baseline, pairs = out.src // nserver, max(1, info.nsrc // nserver)
    b = 2 * int((math.sqrt(8 * pairs + 1) - 1) / 2) + 1
    first = ((b - np.sqrt(np.maximum(b * b - 8 * baseline, 0))) / 2).astype(np.int64)
    second = baseline - first * (b - 2 - first) // 2
    header["sync"], header["flag"], header["nchan_decim"] = SYNC, _FLAG, decim
    header["nserver"], header["server"] = nserver, server
    header["first_chan"] = info.chan0 + decim * (out.nbytes // 32) * (server - 1)
    header["gain"], header["tag"], header["navg"] = info.gain, out.seq, info.navg or info.decimation
    header["stand0"], header["stand1"] = first + 1, second + 1


COR = PacketFormat(
    "cor",
    HEADER,
    decode,
    samples="cf32",
    setup=("chan0", "navg", "nserver"),
    layout=layout,
    clock=clock,
    ticks_per_second=FS,
    describe=lambda setup: {"nchan": setup.nbytes // 32},
    fill=fill,
    survey=survey,
    unit=32,
    source=f"{DP_FORMATS}; Bifrost, src/formats/cor.hpp",
)
