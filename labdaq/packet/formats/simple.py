"""`simple`: a sequence number, and 2048 complex samples of one source."""

from typing import Any

import numpy as np

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["SIMPLE"]


def decode(h: Any, _c: Capturing) -> tuple[int, int]:
    """The number as it is; one source."""
    return h.seq, 0


def layout(_setup: Setup) -> FrameLayout:
    """The samples."""
    return FrameLayout.interleaved(1, "ci16", rows=1, shape=(2048,), labels=("sample",))


def fill(header: Any, out: Any) -> None:
    """The number as it is."""
    header["seq"] = out.seq


SIMPLE = PacketFormat(
    "simple",
    np.dtype([("seq", ">u8")]),
    decode,
    payload=8192,
    samples="ci16",
    layout=layout,
    fill=fill,
    is_alone=True,
    source="Bifrost, src/formats/simple.hpp",
)
