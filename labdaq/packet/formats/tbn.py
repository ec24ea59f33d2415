"""`tbn`: narrow-band voltages of single stands; 512 complex samples to a packet."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.formats.lwa import DP_FORMATS, FS, SYNC, commonest_step
from labdaq.packet.layout import FrameLayout

__all__ = ["TBN"]

HEADER = np.dtype(
    [
        ("sync", ">u4"),
        ("frame_count", ">u4"),
        ("tuning", ">u4"),  # frequency / 196 MHz * 2**32
        ("id", ">u2"),  # stand and polarisation from 1; the top bit says that this is TBW
        ("gain", ">u2"),
        ("tag", ">u8"),
    ]
)
_SAMPLES = 512


def decode(h: Any, c: Capturing) -> tuple[int, int, int]:
    """The rate is the decimation, which packets do not say."""
    if h.sync != SYNC or h.id & 0x8000 or h.frame_count >> 24:
        return -1, 0, 0
    return h.tag // (max(c.rate, 1) * _SAMPLES), (h.id & 1023) - 1 - c.src0, h.tuning


def learn(headers: NDArray[Any], sources: NDArray[Any]) -> int:
    """The decimation from time tags of the same stand."""
    return commonest_step(headers["tag"], sources) // _SAMPLES


def layout(setup: Setup) -> FrameLayout:
    """(time, source)."""
    shape = (_SAMPLES, setup.nsrc)
    return FrameLayout.interleaved(setup.nsrc, "ci8", rows=_SAMPLES, shape=shape, labels=("time", "source"))


def clock(setup: Setup) -> tuple[int, int]:
    """Ticks of 1/196 MHz."""
    return setup.tag, max(setup.rate, 1) * _SAMPLES


def describe(setup: Setup) -> dict[str, Any]:
    """The decimation, and from it the rate of samples."""
    decimation = max(setup.rate, 1)
    return {
        "decimation": decimation,
        "sample_rate_hz": FS / decimation,
        "frequency_hz": setup.tuning / 2**32 * FS,
    }


def fill(header: Any, out: Any) -> None:
    """Sources are numbered from 1."""
    info = out.info
    header["sync"], header["frame_count"], header["tuning"] = SYNC, out.frame & 0xFFFFFF, info.tuning
    header["id"], header["gain"], header["tag"] = (out.src + 1) & 0x3FFF, info.gain, out.seq


TBN = PacketFormat(
    "tbn",
    HEADER,
    decode,
    payload=2 * _SAMPLES,
    samples="ci8",
    setup=("tuning",),
    layout=layout,
    clock=clock,
    ticks_per_second=FS,
    describe=describe,
    fill=fill,
    learn=learn,
    source=DP_FORMATS,
)
