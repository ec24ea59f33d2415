"""`vdif`: the interchange format of very long baseline interferometry."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.packet.format import Capturing, PacketFormat, Setup
from labdaq.packet.layout import FrameLayout

__all__ = ["vdif"]

# The second half is there unless the first word says `legacy`; payloads have at least 8 bytes, so it can be read.
HEADER = np.dtype([(f"word{i}", "<u4") for i in range(8)])
_LEGACY, _INVALID = 1 << 30, 1 << 31


def begin(h: Any) -> int:
    """Legacy headers have 16 bytes."""
    return 16 if h.word0 & _LEGACY else 32


def payload_of(h: Any) -> int:
    """The header says how long the frame is."""
    return int((h.word2 & 0xFFFFFF) * 8 - (16 if h.word0 & _LEGACY else 32))


def decode(h: Any, c: Capturing) -> tuple[int, int, int, int, int, int]:
    """The rate is frames per second; without it, each second is a sequence of its own."""
    seconds, frame = h.word0 & 0x3FFFFFFF, h.word1 & 0xFFFFFF
    epoch, log2_nchan = (h.word1 >> 24) & 0x3F, (h.word2 >> 24) & 0x1F
    bits, is_complex = ((h.word3 >> 26) & 0x1F) + 1, h.word3 >> 31
    seq = seconds * c.rate + frame if c.rate else (seconds << 24) | frame
    has_length = (h.word2 & 0xFFFFFF) * 8 > (16 if h.word0 & _LEGACY else 32)
    if h.word0 & _INVALID or not has_length or (c.rate and frame >= c.rate) or log2_nchan > 15:
        seq = -1
    return seq, ((h.word3 >> 16) & 0x3FF) - c.src0, epoch, log2_nchan, bits, is_complex


def learn(headers: NDArray[Any], sources: NDArray[Any]) -> int:
    """Frames per second: the largest number before one source begins a new second."""
    for source in np.unique(sources):
        own = headers[sources == source]
        seconds = own["word0"] & 0x3FFFFFFF
        if len(set(seconds.tolist())) > 1:
            return int((own["word1"][seconds < seconds.max()] & 0xFFFFFF).max()) + 1
    return 0


def layout(setup: Setup) -> FrameLayout:
    """(source, byte): samples stay packed."""
    return FrameLayout.by_source(setup.nsrc, "uint8", (setup.nbytes,), ("byte",))


def _samples(setup: Setup) -> int:
    return int(setup.nbytes * 8 // setup.nbits // (1 << setup.log2_nchan) // (1 + setup.is_complex))


def clock(setup: Setup) -> tuple[int, int]:
    """Samples since the epoch; without a rate, the sequence number."""
    samples = _samples(setup)
    return (setup.seq * samples, samples) if setup.rate else (setup.seq, 1)


def describe(setup: Setup) -> dict[str, Any]:
    """What the samples are."""
    rate = setup.rate * _samples(setup)
    return {"nchan": 1 << setup.log2_nchan, "sample_rate_hz": rate, "station": setup.word3 & 0xFFFF}


def fill(header: Any, out: Any) -> None:
    """`decimation` is frames per second; `nbit`, `is_complex`, `nchan`, `ref_epoch` and `station` by name."""
    info = out.info
    rate = max(info.decimation, 1)
    log2_nchan = max(info.nchan, 1).bit_length() - 1
    header["word0"] = out.seq // rate & 0x3FFFFFFF
    header["word1"] = (out.seq % rate) | (info.ref_epoch & 0x3F) << 24
    header["word2"] = (out.nbytes + 32) // 8 | log2_nchan << 24
    kind = (info.nbit - 1) << 26 | int(info.is_complex) << 31
    header["word3"] = info.station & 0xFFFF | (out.src & 0x3FF) << 16 | kind


def vdif(nbytes: int | None = None) -> PacketFormat:
    """The format, or that of frames of so many bytes, header included."""
    size = nbytes or 0

    def payload(h: Any) -> int:
        start = 16 if h.word0 & _LEGACY else 32
        return size - start if (h.word2 & 0xFFFFFF) * 8 == size else -1

    return PacketFormat(
        "vdif",
        HEADER,
        decode,
        payload=payload if nbytes else payload_of,
        setup=("ref_epoch", "log2_nchan", "nbits", "is_complex"),
        layout=layout,
        clock=clock,
        describe=describe,
        fill=fill,
        learn=learn,
        begin=begin,
        number=nbytes,
        source="https://vlbi.org/vlbi-standards/vdif/",
    )
