"""`snap2`: channelised voltages from SNAP2 boards, each with some polarisations and some channels of all."""

from typing import Any

import numpy as np

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout
from labdaq.ring import Tensor

__all__ = ["SNAP2"]

HEADER = np.dtype(
    [
        ("seq", ">u8"),
        ("sync_time", ">u4"),  # UNIX seconds at which spectra began to be counted
        ("npol", ">u2"),  # in this packet
        ("npol_tot", ">u2"),
        ("nchan", ">u2"),  # in this packet
        ("nchan_tot", ">u2"),
        ("chan_block_id", ">u4"),
        ("chan0", ">u4"),
        ("pol0", ">u4"),
    ]
)


def decode(h: Any, c: Capturing) -> tuple[int, int, int, int, int, int, int, int]:
    """Sources are the blocks of polarisations of the first block of channels, then those of the next."""
    bad = h.npol == 0 or h.nchan == 0 or h.npol_tot < h.npol or h.nchan_tot < h.nchan
    if bad or h.npol_tot % h.npol or h.nchan_tot % h.nchan or h.pol0 % max(h.npol, 1):
        return -1, 0, 0, 0, 0, 0, 0, 0
    blocks = h.npol_tot // h.npol
    src = h.pol0 // h.npol + h.chan_block_id * blocks - c.src0
    if blocks * (h.nchan_tot // h.nchan) != c.nsrc or h.pol0 >= h.npol_tot:
        src = -1
    return h.seq, src, h.sync_time, h.nchan, h.nchan_tot, h.npol, h.npol_tot, h.chan0


def payload(h: Any) -> int:
    """A byte for each polarisation of each channel."""
    return int(h.nchan * h.npol)


def layout(setup: Setup) -> FrameLayout:
    """(channel, polarisation) of all boards together."""
    shape = (setup.nchan_tot, setup.npol_tot)
    tensor = Tensor.parse({"dtype": "ci4", "shape": shape, "labels": ("chan", "pol")})
    return FrameLayout(
        tensor,
        rows=setup.nchan,
        block=setup.npol,
        stride=setup.npol_tot,
        group=setup.npol_tot // setup.npol,
        outer=setup.nchan * setup.npol_tot,
        inner=setup.npol,
    )


def survey(headers: Any) -> tuple[int, int]:
    """Blocks of polarisations by blocks of channels, as one packet says."""
    h = headers[0]
    return int(h["npol_tot"]) // max(1, int(h["npol"])) * (int(h["nchan_tot"]) // max(1, int(h["nchan"]))), 0


def fill(header: Any, out: Any) -> None:
    """`npol` of a packet says how sources are divided into blocks of polarisations and of channels."""
    info = out.info
    npol = info.npol or out.nbytes // max(info.nchan, 1)
    nchan = out.nbytes // npol
    npol_tot = info.npol_tot or npol
    blocks = npol_tot // npol
    block = out.src // blocks
    header["seq"], header["sync_time"] = out.seq, info.sync_time
    header["npol"], header["npol_tot"] = npol, npol_tot
    header["nchan"], header["nchan_tot"] = nchan, info.nchan_tot or nchan * max(1, info.nsrc // blocks)
    header["chan_block_id"], header["chan0"] = block, info.chan0 + block * nchan
    header["pol0"] = out.src % blocks * npol


SNAP2 = PacketFormat(
    "snap2",
    HEADER,
    decode,
    payload=payload,
    samples="ci4",
    setup=("sync_time", "nchan", "nchan_tot", "npol", "npol_tot"),
    by_source=("first_chans",),
    layout=layout,
    describe=lambda setup: {"chan0": min(setup.first_chans)},
    fill=fill,
    survey=survey,
    count="nchan",
    source="Bifrost, src/formats/snap2.hpp; OVRO-LWA F-engine",
)
