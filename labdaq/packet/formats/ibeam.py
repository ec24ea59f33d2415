"""`ibeam`: channelised voltages of 1 to 4 beams from several servers, each with its own channels."""

import functools
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["ibeam"]

HEADER = np.dtype(
    [
        ("server", "u1"),  # from 1
        ("gbe", "u1"),
        ("nchan", "u1"),
        ("nbeam", "u1"),
        ("nserver", "u1"),
        ("first_chan", ">u2"),  # of this server
        ("seq", ">u8"),  # from 1
    ]
)


@functools.cache
def ibeam(nbeam: int = 1) -> PacketFormat:
    """The format of so many beams, 1 to 4.

    Raises
    ------
    LayoutError
        For other numbers.
    """
    if not 1 <= nbeam <= 4:
        raise LayoutError(f"ibeam{nbeam}: there are ibeam1 to ibeam4")

    def decode(h: Any, c: Capturing) -> tuple[int, int, int, int]:
        src = h.server - 1 - c.src0
        chan0 = h.first_chan - h.nchan * src
        seq = h.seq - 1 if h.nbeam == nbeam and (chan0 >= 0 or src < 0) else -1
        return seq, src, chan0, h.nchan

    def payload(h: Any) -> int:
        return int(16 * nbeam * h.nchan)

    def layout(setup: Setup) -> FrameLayout:
        return FrameLayout.by_source(setup.nsrc, "cf32", (setup.nchan, nbeam, 2), ("chan", "beam", "pol"))

    def fill(header: Any, out: Any) -> None:
        info, nchan = out.info, out.nbytes // (16 * nbeam)
        header["server"], header["seq"], header["gbe"] = out.src + 1, out.seq + 1, info.tuning
        header["nchan"], header["nbeam"], header["nserver"] = nchan, nbeam, info.nsrc
        header["first_chan"] = info.chan0 + nchan * out.src

    return PacketFormat(
        f"ibeam{nbeam}",
        HEADER,
        decode,
        payload=payload,
        samples="cf32",
        setup=("chan0", "nchan"),
        layout=layout,
        describe=lambda setup: {"nbeam": nbeam},
        fill=fill,
        unit=16 * nbeam,
        count="nchan",
        source="Bifrost, src/formats/ibeam.hpp",
    )
