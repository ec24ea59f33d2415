"""`tbf` and `tbx`: snapshots of all stands in some channels, several packets to a spectrum."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.formats.lwa import DP_FORMATS, FS, SYNC, commonest_step
from labdaq.packet.layout import FrameLayout

__all__ = ["TBF", "TBX"]

TBF_HEADER = np.dtype(
    [
        ("sync", ">u4"),
        ("flag", "u1"),
        ("frame_count_high", "u1"),
        ("frame_count", ">u2"),
        ("second_count", ">u4"),
        ("first_chan", ">u2"),
        ("nstand", ">u2"),
        ("tag", ">u8"),
    ]
)
TBX_HEADER = np.dtype(
    [
        ("sync", ">u4"),
        ("id", "u1"),
        ("frame_count_high", "u1"),
        ("frame_count", ">u2"),
        ("second_count", ">u4"),
        ("first_chan", ">u4"),
        ("nstand", ">u2"),
        ("nchan", ">u2"),
        ("tag", ">i8"),
    ]
)
_TBF_CHANNELS = 12
_TBF_TICKS = 7840  # 25 kHz
_TBX_TICKS = 8192  # 23.9 kHz
_ALL_STANDS = 256  # meant by 0, in packets of the first stations
_COR_FLAG, _TBF_FLAG = 2, 1


def decode_tbf(h: Any, c: Capturing) -> tuple[int, int, int]:
    """Sources are groups of 12 channels, the first of which begins with channel `src0`."""
    if h.sync != SYNC or not h.flag & _TBF_FLAG or h.flag & _COR_FLAG:
        return -1, 0, 0
    above = h.first_chan - c.src0
    src = above // _TBF_CHANNELS if above >= 0 and above % _TBF_CHANNELS == 0 else -1
    return h.tag // (c.rate or _TBF_TICKS), src, h.nstand or _ALL_STANDS


def decode_tbx(h: Any, c: Capturing) -> tuple[int, int, int, int]:
    """Sources are groups of `nchan` channels, the first of which begins with channel `src0`."""
    if h.sync != SYNC or h.nchan == 0 or h.tag < 0:
        return -1, 0, 0, 0
    above = h.first_chan - c.src0
    src = above // h.nchan if above >= 0 and above % h.nchan == 0 else -1
    return h.tag // (c.rate or _TBX_TICKS), src, h.nstand, h.nchan


def payload_tbf(h: Any) -> int:
    """A byte for each stand and polarisation in 12 channels."""
    return int(2 * _TBF_CHANNELS * (h.nstand or _ALL_STANDS))


def payload_tbx(h: Any) -> int:
    """A byte for each stand and polarisation in each channel."""
    return int(2 * h.nchan * h.nstand)


def learn(headers: NDArray[Any], sources: NDArray[Any]) -> int:
    """Ticks from spectrum to spectrum."""
    return commonest_step(headers["tag"], sources)


def survey_tbf(headers: NDArray[Any]) -> tuple[int, int]:
    """Groups of channels from the lowest to the highest."""
    first, last = int(headers["first_chan"].min()), int(headers["first_chan"].max())
    return (last - first) // _TBF_CHANNELS + 1, first


def survey_tbx(headers: NDArray[Any]) -> tuple[int, int]:
    """Groups of channels from the lowest to the highest."""
    first, last = int(headers["first_chan"].min()), int(headers["first_chan"].max())
    return (last - first) // max(1, int(headers["nchan"][0])) + 1, first


def _layout(setup: Setup) -> FrameLayout:
    """(source, channel, stand, polarisation)."""
    nchan = setup.nbytes // 2 // setup.nstand
    return FrameLayout.by_source(setup.nsrc, "ci4", (nchan, setup.nstand, 2), ("chan", "stand", "pol"))


def clock_tbf(setup: Setup) -> tuple[int, int]:
    """Ticks of 1/196 MHz."""
    return setup.tag, setup.rate or _TBF_TICKS


def clock_tbx(setup: Setup) -> tuple[int, int]:
    """Ticks of 1/196 MHz."""
    return setup.tag, setup.rate or _TBX_TICKS


def describe(setup: Setup) -> dict[str, Any]:
    """Channels of all sources together."""
    nchan = setup.nbytes // 2 // setup.nstand
    return {"chan0": setup.src0, "nchan": setup.nsrc * nchan}


def fill_tbf(header: Any, out: Any) -> None:
    """`src` is the first channel."""
    header["sync"], header["flag"], header["first_chan"] = SYNC, _TBF_FLAG, out.src
    header["frame_count_high"], header["frame_count"] = (out.frame >> 16) & 255, out.frame & 0xFFFF
    header["nstand"], header["tag"] = out.nbytes // (2 * _TBF_CHANNELS), out.seq


def fill_tbx(header: Any, out: Any) -> None:
    """`src` is the first channel; `nchan` of a packet is in the name, or `info.nchan`."""
    nchan = out.number or out.info.nchan or 1
    header["sync"], header["id"], header["first_chan"] = SYNC, out.info.server, out.src
    header["frame_count_high"], header["frame_count"] = (out.frame >> 16) & 255, out.frame & 0xFFFF
    header["nchan"], header["nstand"], header["tag"] = nchan, out.nbytes // (2 * nchan), out.seq


TBF = PacketFormat(
    "tbf",
    TBF_HEADER,
    decode_tbf,
    payload=payload_tbf,
    samples="ci4",
    setup=("nstand",),
    layout=_layout,
    clock=clock_tbf,
    ticks_per_second=FS,
    describe=describe,
    fill=fill_tbf,
    survey=survey_tbf,
    learn=learn,
    source=f"{DP_FORMATS}; Bifrost, src/formats/tbf.hpp",
)
TBX = PacketFormat(
    "tbx",
    TBX_HEADER,
    decode_tbx,
    payload=payload_tbx,
    samples="ci4",
    setup=("nstand", "nchan"),
    layout=_layout,
    clock=clock_tbx,
    ticks_per_second=FS,
    describe=describe,
    fill=fill_tbx,
    survey=survey_tbx,
    learn=learn,
    count="nchan",
    source="LWA NDP; lsl.reader.tbx",
)
