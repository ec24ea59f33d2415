"""Placing packets into open gulps: the one loop behind every transport, compiled and without the GIL.

A *gulp* is a span of frames; some of them, two by default, are open at a time, and are the window within which
packets may come in any order.
Each packet is decoded, and then it is one of these:

- of this sequence and in the window: its payload is copied into its place, or it is a *duplicate*;
- of this sequence and before the window: *late*;
- of this sequence and behind the window: the loop returns, so that the oldest gulp can be closed;
- a *stranger*: of another setup, or with a number so far off that the sender must have started again. One alone may be
  damage. It waits until a second one agrees with it, and both begin a new sequence; if none comes it is *stray*.

The definition in plain Python, against which this is tested, is in ``tests/packet/model.py``.
"""

from typing import Any

from labdaq.native import inlined, jit
from labdaq.native.atomics import copy_bytes, fill_bytes, peek8
from labdaq.packet import words as w

__all__ = ["close_gulp", "give_up_waiting", "place"]


@inlined
def _copy_rows(target: int, source: int, rows: int, block: int, stride: int) -> None:
    """Rows one behind the other in the source, apart in the target. Constant lengths become single instructions."""
    if rows == 1:
        copy_bytes(target, source, block)
    elif block == 1:
        for i in range(rows):
            copy_bytes(target + i * stride, source + i, 1)
    elif block == 2:
        for i in range(rows):
            copy_bytes(target + i * stride, source + 2 * i, 2)
    elif block == 32:
        for i in range(rows):
            copy_bytes(target + i * stride, source + 32 * i, 32)
    else:
        for i in range(rows):
            copy_bytes(target + i * stride, source + i * block, block)


@inlined
def _place_in_frame(words: Any, src: int) -> int:
    if words[w.GROUP] == words[w.NSRC]:  # nearly always, and divisions are what costs most here
        return int(src * words[w.INNER])
    return int((src // words[w.GROUP]) * words[w.OUTER] + (src % words[w.GROUP]) * words[w.INNER])


@inlined
def _same_setup(words: Any, one: int, other: int) -> bool:
    """Whether two packets, or a packet and a sequence, have all values in common that all sources share."""
    alike = 0
    for i in range(words[w.NSETUP]):
        alike += words[one + w.VALUES + i] == words[other + w.VALUES + i]
    return bool(alike == words[w.NSETUP])


@inlined
def _own_values_agree(words: Any, by_source: Any) -> bool:
    src = words[w.PACKET + w.SRC]
    for i in range(words[w.NSETUP], words[w.NVALUES]):
        if by_source[src, 0] and by_source[src, 1 + i] != words[w.PACKET + w.VALUES + i]:
            return False
    return True


@inlined
def _is_of_this_sequence(words: Any, by_source: Any) -> bool:
    if not words[w.ACTIVE] or not _same_setup(words, w.PACKET, w.CURRENT) or not _own_values_agree(words, by_source):
        return False
    seq, window = words[w.PACKET + w.SEQ], words[w.OPEN] * words[w.GULP]
    if words[w.RUN] >= words[w.GULP] * words[w.NSRC] and seq < words[w.NEXT]:
        return False  # a whole gulp of numbers that were there before: the sender has started again
    is_ahead: bool = seq - words[w.BEGIN] >= window + words[w.REACH]
    is_behind: bool = words[w.BEGIN] - seq > words[w.BACK]
    return not (is_ahead or is_behind)


@inlined
def _is_of_the_sequence_before(words: Any) -> bool:
    seq = words[w.PACKET + w.SEQ]
    is_in_it: bool = words[w.OLD_BEGIN] <= seq < words[w.OLD_NEXT]
    return words[w.FRESH] > 0 and is_in_it and _same_setup(words, w.PACKET, w.OLD)


@inlined
def _agrees_with_waiting(words: Any) -> bool:
    apart = words[w.PACKET + w.SEQ] - words[w.STASH + w.SEQ]
    window = words[w.OPEN] * words[w.GULP]
    return (
        words[w.WAITING] > 0
        and _same_setup(words, w.PACKET, w.STASH)
        and words[w.PACKET + w.NBYTES] == words[w.STASH + w.NBYTES]
        and -window < apart < window
    )


@jit
def give_up_waiting(words: Any, counts: Any) -> None:
    """The packet that waits was the only one of its kind."""
    if words[w.WAITING]:
        counts[words[w.STASH + w.SRC], w.STRAY] += 1
        words[w.WAITING] = 0


@inlined
def _let_wait(words: Any, counts: Any, stash: Any, address: int, nbytes: int) -> None:
    give_up_waiting(words, counts)
    for i in range(w.RECORD):
        words[w.STASH + i] = words[w.PACKET + i]
    for i in range(nbytes):
        stash[i] = peek8(address + i)
    words[w.WAITING] = nbytes
    words[w.PATIENCE] = 2 * words[w.NSRC]


@inlined
def _put(words: Any, slots: Any, by_source: Any, address: int) -> int:
    """Into its place in the window; what became of it."""
    seq, src = words[w.PACKET + w.SEQ], words[w.PACKET + w.SRC]
    frame = seq - words[w.BEGIN]
    slot = words[w.HEAD]
    while frame >= words[w.GULP]:
        frame -= words[w.GULP]
        slot += 1
    slot = slot - words[w.OPEN] if slot >= words[w.OPEN] else slot
    words[w.NEXT] = max(words[w.NEXT], seq + 1)
    if slots[slot, 0] == 0:
        return w.RING_FULL
    mark = slots[slot, 1] + frame * words[w.NSRC] + src
    if peek8(mark):
        return w.DUPLICATE
    fill_bytes(mark, 1, 1)
    target = slots[slot, 0] + frame * words[w.FRAME_NBYTES] + _place_in_frame(words, src)
    _copy_rows(target, address + words[w.PACKET + w.OFFSET], words[w.ROWS], words[w.BLOCK], words[w.STRIDE])
    by_source[src, 0] = 1
    for i in range(words[w.NSETUP], words[w.NVALUES]):
        by_source[src, 1 + i] = words[w.PACKET + w.VALUES + i]
    return w.ACCEPTED


@inlined
def _look_at(decoder: Any, address: int, nbytes: int, words: Any, word_address: int, largest: int) -> int:
    """Decode a packet; 0, or why it is none."""
    if nbytes > largest:
        words[w.PACKET + w.SRC] = -1
        return w.WRONG_SIZE
    reason = decoder(address, nbytes, word_address + 8 * w.CAPTURING, word_address + 8 * w.PACKET)
    if reason == 0 and not 0 <= words[w.PACKET + w.SRC] < words[w.NSRC]:
        return w.WRONG_SOURCE
    return int(reason)


@inlined
def _note(words: Any, counts: Any, reason: int) -> None:
    """Count a packet of this sequence, and lose patience with one that waits."""
    counts[words[w.PACKET + w.SRC], reason] += 1
    words[w.RUN] = words[w.RUN] + 1 if reason in (w.LATE, w.DUPLICATE) else 0
    words[w.FRESH] -= 1
    if words[w.WAITING]:
        words[w.PATIENCE] -= 1
        if words[w.PATIENCE] <= 0:
            give_up_waiting(words, counts)


@jit
def place(
    base: int, offsets: Any, lengths: Any, position: int, end: int, decoder: Any,
    words: Any, word_address: int, slots: Any, counts: Any, by_source: Any, stash: Any,
) -> int:  # fmt: skip
    """Place packets until all are used up or Python is needed; the position of the first that was not dealt with.

    Parameters
    ----------
    base : int
        Address of the memory that holds the packets.
    offsets, lengths : ndarray of int64
        Where in it each begins, and its bytes.
    position, end : int
        The packet to begin with, and the one before which to end.
    decoder : compiled function
        From :func:`labdaq.packet.decoding.compiled`.
    words : ndarray of int64
        See :mod:`labdaq.packet.words`; ``words[STATUS]`` says why the loop ended. `word_address` is where they are.
    slots : ndarray of int64, shape (open, 2)
        Addresses of data and of ``present`` of each open gulp; 0 for a gulp for which the ring had no room.
    counts : ndarray of int64, shape (nsrc + 1, REASONS)
        The last row is for packets of no known source.
    by_source : ndarray of int64, shape (nsrc, 1 + values)
        What is known of each source: whether anything is, then its values.
    stash : ndarray of uint8
        Room for the packet that waits.
    """
    nsrc = words[w.NSRC]
    for i in range(position, end):
        address = base + offsets[i]
        nbytes = lengths[i]
        reason = _look_at(decoder, address, nbytes, words, word_address, stash.shape[0])
        src = words[w.PACKET + w.SRC]
        if reason:
            counts[src if reason == w.WRONG_SIZE and 0 <= src < nsrc else nsrc, reason] += 1
        elif words[w.GATHERING]:
            words[w.STATUS] = w.HOLD
            return i
        elif _is_of_this_sequence(words, by_source):
            ahead = words[w.PACKET + w.SEQ] - words[w.BEGIN]
            if words[w.PACKET + w.NBYTES] != words[w.CURRENT + w.NBYTES]:
                counts[src, w.WRONG_SIZE] += 1
            elif ahead < 0:
                _note(words, counts, w.LATE)
            elif ahead < words[w.OPEN] * words[w.GULP]:
                _note(words, counts, _put(words, slots, by_source, address))
            else:
                words[w.STATUS] = w.GULP_FULL
                return i
        elif _agrees_with_waiting(words):
            words[w.STATUS] = w.NEW_SEQUENCE
            return i
        elif _is_of_the_sequence_before(words):
            counts[src, w.LATE] += 1
        else:
            _let_wait(words, counts, stash, address, nbytes)
        words[w.HANDED] += 1
    words[w.STATUS] = w.USED_UP
    return end


@jit
def close_gulp(words: Any, data: int, present: int, frames: int, missing: Any) -> None:
    """Fill what did not come with zeros, and count it for each source.

    ``data`` is 0 for a gulp that had no room: then everything is missing.
    """
    nsrc = words[w.NSRC]
    for frame in range(frames):
        for src in range(nsrc):
            if data and peek8(present + frame * nsrc + src):
                continue
            missing[src] += 1
            if data:
                begin = data + frame * words[w.FRAME_NBYTES] + _place_in_frame(words, src)
                for row in range(words[w.ROWS]):
                    fill_bytes(begin + row * words[w.STRIDE], words[w.BLOCK], 0)
