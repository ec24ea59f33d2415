"""Looking at packets in memory without placing them."""

from typing import Any

from labdaq.native import jit
from labdaq.native.atomics import peek
from labdaq.packet import words as w

__all__ = ["decode_one", "find_packets"]

_PATIENCE = 16  # damaged headers in a row, before a gap in the file is suspected
_LONGEST = 1 << 20  # bytes; headers that claim more are none, so that what a packet needs always finds room
_MOST_AHEAD = 2 << 20  # bytes after a damaged header to wait for


@jit
def decode_one(decoder: Any, address: int, nbytes: int, capturing: int, record: int) -> int:
    """Call a decoder from Python: 0, or why the packet is none."""
    return int(decoder(address, nbytes, capturing, record))


@jit
def find_packets(
    base: int, begin: int, end: int, decoder: Any, capturing: int, record: int,
    is_last: bool, fixed: int, offsets: Any, lengths: Any, result: Any,
) -> int:  # fmt: skip
    """Where the packets of a packet file begin; how many there are.

    Packets follow each other without gaps, and headers say how long they are. After a header that is none, the
    next packets are expected where they would be; if none of them is there, the next two good headers in a row are
    searched for, byte by byte.

    Parameters
    ----------
    base, begin, end : int
        Address of the memory, and the part of it to look at.
    fixed : int
        Bytes of a packet if all are of one size, else 0.
    offsets, lengths : ndarray of int64
        Filled in.
    result : ndarray of int64, shape (3,)
        Where to go on, how many bytes were passed over, and the size of the last packet, also from call to call.
    """
    count, at, passed = 0, begin, 0
    size = fixed or result[2]
    while at < end and count < offsets.shape[0]:
        n = _length(base, at, end, decoder, capturing, record, fixed)
        if n == 0:
            if size and at + (size if is_last else min(size * (_PATIENCE + 1), _MOST_AHEAD)) > end:
                break
            if not (size and _goes_on(base, at, end, decoder, capturing, record, size, fixed)):
                found = _search(base, at, end, decoder, capturing, record, fixed)
                if found < 0:  # what follows may go on with a header that begins here
                    found = end if is_last else max(at, end - size - 1)
                passed += found - at
                if found in {at, end}:
                    at = found
                    break
                at = found
                continue
            n = size
        if n < 0:  # cut off by the end of this memory, or it claims so and the next packets say otherwise
            if not (is_last and size and _goes_on(base, at, end, decoder, capturing, record, size, fixed)):
                break
            n = size
        if not fixed:
            size = n
        offsets[count], lengths[count] = at, n
        count += 1
        at += n
    result[0], result[1], result[2] = at, passed, size
    return count


@jit
def _length(base: int, at: int, end: int, decoder: Any, capturing: int, record: int, fixed: int) -> int:
    """Bytes of the packet here; 0: there is none; -1: there is less than that left."""
    if at >= end:
        return -1
    rest = min(end - at, fixed) if fixed else end - at  # some decoders look at how much there is
    if decoder(base + at, rest, capturing, record) == w.BAD_HEADER:
        return 0
    offset, nbytes = peek(record + 8 * w.OFFSET), peek(record + 8 * w.NBYTES)
    if not fixed and (offset < 0 or offset > _LONGEST or nbytes > _LONGEST - offset):
        return 0
    if nbytes <= 0:  # decoders say so, too, where the header is cut off
        return -1 if fixed or rest < _LONGEST else 0
    return offset + nbytes if nbytes <= end - at - offset else -1


@jit
def _goes_on(base: int, at: int, end: int, decoder: Any, capturing: int, record: int, size: int, fixed: int) -> bool:
    """Whether one of the next packets is where it should be: then this one alone is damaged."""
    for k in range(1, _PATIENCE + 1):
        place = at + k * size
        if place >= end:
            return place == end
        n = _length(base, place, end, decoder, capturing, record, fixed)
        if n > 0 or (n < 0 and peek(record + 8 * w.NBYTES) > 0):  # the last one may be cut off
            return True
    return False


@jit
def _search(base: int, at: int, end: int, decoder: Any, capturing: int, record: int, fixed: int) -> int:
    """The next place with a good header that another one follows; -1: none."""
    for place in range(at + 1, end):
        n = _length(base, place, end, decoder, capturing, record, fixed)
        if n > 0 and _length(base, place + n, end, decoder, capturing, record, fixed) != 0:
            return place
    return -1
