"""`pbeam`: powers of beams, averaged over spectra: XX, YY, Re(XY*) and Im(XY*)."""

import functools
from typing import Any

import numpy as np

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["pbeam"]

HEADER = np.dtype(
    [
        ("server", "u1"),  # from 1
        ("beam", "u1"),  # from 1
        ("gbe", "u1"),
        ("nchan", "u1"),
        ("nbeam", "u1"),
        ("nserver", "u1"),
        ("navg", ">u2"),
        ("first_chan", ">u2"),  # of this server
        ("tag", ">u8"),
    ]
)


def decode(h: Any, c: Capturing) -> tuple[int, int, int, int, int]:
    """Sources are the servers of beam `src0` (1, usually), then those of the next."""
    if h.navg == 0 or h.server == 0 or h.nserver < h.server:
        return -1, 0, 0, 0, 0
    src = (h.beam - c.src0) * h.nserver + h.server - 1
    return h.tag // h.navg, src, h.first_chan - h.nchan * (h.server - 1), h.nchan, h.navg


def payload(h: Any) -> int:
    """Four float32 for each channel."""
    return int(16 * h.nchan)


def layout(setup: Setup) -> FrameLayout:
    """(source, channel, product)."""
    return FrameLayout.by_source(setup.nsrc, "f32", (setup.nchan, 4), ("chan", "product"))


def clock(setup: Setup) -> tuple[int, int]:
    """Spectra are counted; a frame is the mean of `navg` of them."""
    return setup.tag, setup.navg


def survey(headers: Any) -> tuple[int, int]:
    """The servers of all beams."""
    first, last = int(headers["beam"].min()), int(headers["beam"].max())
    return (last - first + 1) * max(1, int(headers["nserver"].max())), first


@functools.cache
def pbeam(nbeam: int = 1) -> PacketFormat:
    """The format for writing so many beams; readers take any."""

    def fill(header: Any, out: Any) -> None:
        info, nchan = out.info, out.nbytes // 16
        servers = info.nserver or max(1, info.nsrc // nbeam)
        server = out.src % servers
        header["server"], header["beam"] = server + 1, out.src // servers + 1
        header["gbe"], header["nchan"], header["nbeam"], header["nserver"] = info.tuning, nchan, nbeam, servers
        header["navg"], header["first_chan"] = info.navg or info.decimation, info.chan0 + nchan * server
        header["tag"] = out.seq

    return PacketFormat(
        f"pbeam{nbeam}",
        HEADER,
        decode,
        payload=payload,
        samples="f32",
        setup=("chan0", "nchan", "navg"),
        layout=layout,
        clock=clock,
        describe=lambda setup: {"nbeam": setup.nbeam},
        fill=fill,
        survey=survey,
        unit=16,
        count="nchan",
        source="Bifrost, src/formats/pbeam.hpp",
    )
