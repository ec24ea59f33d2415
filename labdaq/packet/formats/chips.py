"""`chips`: channelised voltages of 16 dual-polarisation stands from each of several ROACH boards."""

from typing import Any

import numpy as np

from labdaq.packet.format import PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["CHIPS"]

HEADER = np.dtype(
    [
        ("roach", "u1"),  # from 1
        ("gbe", "u1"),
        ("nchan", "u1"),
        ("nsubband", "u1"),
        ("subband", "u1"),
        ("nroach", "u1"),
        ("chan0", ">u2"),
        ("seq", ">u8"),  # from 1
    ]
)


def decode(h: Any) -> tuple[int, int]:
    """Boards and spectra are numbered from 1."""
    return h.seq - 1, h.roach - 1


def payload(h: Any) -> int:
    """A byte for each of 32 inputs of each channel."""
    return int(32 * h.nchan)


def layout(setup: Setup) -> FrameLayout:
    """(channel, stand, polarisation), the stands of one board beside those of the next."""
    stands = 16 * setup.nsrc
    return FrameLayout.interleaved(
        setup.nsrc, "ci4", rows=setup.nchan, shape=(setup.nchan, stands, 2), labels=("chan", "stand", "pol")
    )


def fill(header: Any, out: Any) -> None:
    """One subband; `tuning` goes to ``gbe``."""
    info = out.info
    header["roach"], header["seq"] = out.src + 1, out.seq + 1
    header["gbe"], header["nchan"], header["nroach"] = info.tuning, out.nbytes // 32, info.nsrc
    header["nsubband"], header["chan0"] = 1, info.chan0


CHIPS = PacketFormat(
    "chips",
    HEADER,
    decode,
    payload=payload,
    samples="ci4",
    setup=("chan0", "nchan"),
    layout=layout,
    fill=fill,
    unit=32,
    count="nchan",
    source="Bifrost, src/formats/chips.hpp; LWA-SV F-engine",
)
