"""`drx` and `drx8`: voltages of a beam, two tunings by two polarisations, 4096 samples to a packet."""

from typing import Any

import numpy as np

from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.formats.lwa import DP_FORMATS, FS, SYNC
from labdaq.packet.layout import FrameLayout

__all__ = ["DRX", "DRX8"]

HEADER = np.dtype(
    [
        ("sync", ">u4"),
        ("id", "u1"),  # 0-2: beam from 1, 3-5: tuning from 1, 6: eight bits a number, 7: polarisation
        ("frame_count_high", "u1"),
        ("frame_count", ">u2"),
        ("second_count", ">u4"),
        ("decimation", ">u2"),
        ("time_offset", ">u2"),
        ("tag", ">u8"),
        ("tuning", ">u4"),  # frequency / 196 MHz * 2**32; 0 is a frequency like any other
        ("flags", ">u4"),
    ]
)
_SAMPLES = 4096


def decode(h: Any) -> tuple[int, int, int, int]:
    """Sources: first tuning X, Y, then second tuning X, Y."""
    if h.sync != SYNC or h.decimation == 0:
        return -1, 0, 0, 0
    src = (((h.id >> 3) & 7) - 1) * 2 + (h.id >> 7)
    return (h.tag - h.time_offset) // (h.decimation * _SAMPLES), src, h.decimation, h.tuning


def clock(setup: Setup) -> tuple[int, int]:
    """Ticks of 1/196 MHz."""
    return setup.tag - setup.time_offset, setup.decimation * _SAMPLES


def describe(setup: Setup) -> dict[str, Any]:
    """The tunings, and the beam that the first packet was of."""
    tunings = [max(setup.tunings[i : i + 2]) for i in range(0, len(setup.tunings), 2)] + [0]
    return {
        "tuning": tunings[0],
        "tuning1": tunings[1],
        "beam": setup.id & 7,
        "sample_rate_hz": FS / setup.decimation,
    }


def _layout(dtype: str) -> Any:
    def layout(setup: Setup) -> FrameLayout:
        shape = (_SAMPLES, setup.nsrc)
        return FrameLayout.interleaved(setup.nsrc, dtype, rows=_SAMPLES, shape=shape, labels=("time", "source"))

    return layout


def _fill(reserved: int) -> Any:
    def fill(header: Any, out: Any) -> None:
        """`src` is the id: beam, ``tuning << 3`` and ``polarisation << 7``."""
        info = out.info
        header["sync"], header["id"], header["tag"] = SYNC, (out.src & 0xBF) | reserved, out.seq
        header["decimation"], header["tuning"] = info.decimation, info.tuning

    return fill


def _format(name: str, dtype: str, nbytes: int, reserved: int) -> PacketFormat:
    return PacketFormat(
        name,
        HEADER,
        decode,
        payload=nbytes * _SAMPLES,
        samples=dtype,
        setup=("decimation",),
        by_source=("tunings",),
        layout=_layout(dtype),
        clock=clock,
        ticks_per_second=FS,
        describe=describe,
        fill=_fill(reserved),
        source=DP_FORMATS,
    )


DRX = _format("drx", "ci4", 1, 0)
DRX8 = _format("drx8", "ci8", 2, 0x40)
