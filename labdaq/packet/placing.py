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
from labdaq.native.atomics import copy_bytes, fill_bytes, peek, peek8, poke
from labdaq.packet import words as w
from labdaq.packet.copying import copy_neighbours, copy_soon

__all__ = ["close_gulp", "give_up_waiting", "move_on", "open_gulp", "place"]

# Everything is reached through the address of the words: arrays that are handed from one inlined function to the
# next are counted by numba, at ten times the cost of what is done here.


@inlined
def _get(words: int, index: int) -> int:
    return peek(words + 8 * index)


@inlined
def _set(words: int, index: int, value: int) -> None:
    poke(words + 8 * index, value)


@inlined
def _count(words: int, src: int, reason: int) -> None:
    """One more packet of a source, or of none."""
    counter = _get(words, w.COUNTS) + 8 * (src * w.REASONS + reason)
    poke(counter, peek(counter) + 1)


@inlined
def _known(words: int, src: int) -> int:
    """The address of what is known of a source: whether anything is, then its values."""
    return _get(words, w.BY_SOURCE) + 8 * src * (1 + _get(words, w.NVALUES))


@inlined
def _place_in_frame(words: int, src: int) -> int:
    group = _get(words, w.GROUP)
    if group == _get(words, w.NSRC):  # nearly always, and divisions are what costs most here
        return src * _get(words, w.INNER)
    return (src // group) * _get(words, w.OUTER) + (src % group) * _get(words, w.INNER)


@inlined
def _same_setup(words: int, one: int, other: int) -> bool:
    """Whether two packets, or a packet and a sequence, have all values in common that all sources share."""
    different = 0
    for i in range(w.VALUES, w.VALUES + _get(words, w.NSETUP)):
        different |= _get(words, one + i) ^ _get(words, other + i)
    return different == 0


@inlined
def _own_values_agree(words: int) -> bool:
    known = _known(words, _get(words, w.PACKET + w.SRC))
    different = 0
    for i in range(_get(words, w.NSETUP), _get(words, w.NVALUES)):
        different |= peek(known + 8 + 8 * i) ^ _get(words, w.PACKET + w.VALUES + i)
    return different == 0 or peek(known) == 0


@inlined
def _is_of_this_sequence(words: int) -> bool:
    if not _get(words, w.ACTIVE) or not _same_setup(words, w.PACKET, w.CURRENT) or not _own_values_agree(words):
        return False
    ahead = _get(words, w.PACKET + w.SEQ) - _get(words, w.BEGIN)
    is_again = ahead < _get(words, w.NEXT) - _get(words, w.BEGIN)
    if is_again and _get(words, w.RUN) >= _get(words, w.GULP) * _get(words, w.NSRC):
        return False  # a whole gulp of numbers that were there before: the sender has started again
    return -_get(words, w.WINDOW) <= ahead < _get(words, w.WINDOW) + _get(words, w.REACH)


@inlined
def _is_of_the_sequence_before(words: int) -> bool:
    seq = _get(words, w.PACKET + w.SEQ)
    is_in_it = _get(words, w.OLD_BEGIN) <= seq < _get(words, w.OLD_NEXT)
    return _get(words, w.FRESH) > 0 and is_in_it and _same_setup(words, w.PACKET, w.OLD)


@inlined
def _agrees_with_waiting(words: int) -> bool:
    apart = _get(words, w.PACKET + w.SEQ) - _get(words, w.STASH + w.SEQ)
    window = _get(words, w.WINDOW)
    return (
        _get(words, w.WAITING) > 0
        and _same_setup(words, w.PACKET, w.STASH)
        and _get(words, w.PACKET + w.NBYTES) == _get(words, w.STASH + w.NBYTES)
        and -window < apart < window
    )


@jit
def give_up_waiting(words: int) -> None:
    """The packet that waits was the only one of its kind."""
    if _get(words, w.WAITING):
        _count(words, _get(words, w.STASH + w.SRC), w.STRAY)
        _set(words, w.WAITING, 0)


@jit
def _let_wait(words: int, address: int, nbytes: int) -> None:
    give_up_waiting(words)
    copy_bytes(words + 8 * w.STASH, words + 8 * w.PACKET, 8 * w.RECORD)
    copy_bytes(_get(words, w.STASHED), address, nbytes)
    _set(words, w.WAITING, nbytes)
    _set(words, w.PATIENCE, 2 * _get(words, w.NSRC))


@inlined
def _slot(words: int, slot: int) -> int:
    """The address of what is known of an open gulp."""
    return _get(words, w.SLOTS) + 16 * slot


@inlined
def _put(words: int, address: int) -> int:
    """Into its place in the window; what became of it."""
    seq, src = _get(words, w.PACKET + w.SEQ), _get(words, w.PACKET + w.SRC)
    frame, gulp = seq - _get(words, w.BEGIN), _get(words, w.GULP)
    slot = _get(words, w.HEAD)
    while frame >= gulp:
        frame -= gulp
        slot += 1
    slot = slot - _get(words, w.OPEN) if slot >= _get(words, w.OPEN) else slot
    _set(words, w.NEXT, max(_get(words, w.NEXT), seq + 1))
    where = _slot(words, slot)
    if peek(where) == 0:
        return w.RING_FULL
    mark = peek(where + 8) + frame * _get(words, w.NSRC) + src
    if peek8(mark):
        return w.DUPLICATE
    fill_bytes(mark, 1, 1)
    target = peek(where) + frame * _get(words, w.FRAME_NBYTES) + _place_in_frame(words, src)
    source = address + _get(words, w.PACKET + w.OFFSET)
    if _get(words, w.ROWS) == 1:
        copy_bytes(target, source, _get(words, w.BLOCK))
    else:
        copy_soon(words, target, source)
    if _get(words, w.NVALUES) > _get(words, w.NSETUP):
        _keep_own_values(words, src)
    return w.ACCEPTED


@inlined
def _keep_own_values(words: int, src: int) -> None:
    known = _known(words, src)
    poke(known, 1)
    for i in range(_get(words, w.NSETUP), _get(words, w.NVALUES)):
        poke(known + 8 + 8 * i, _get(words, w.PACKET + w.VALUES + i))


@inlined
def _look_at(decoder: Any, address: int, nbytes: int, words: int) -> int:
    """Decode a packet; 0, or why it is none."""
    if nbytes > _get(words, w.LARGEST):
        _set(words, w.PACKET + w.SRC, -1)
        return w.WRONG_SIZE
    reason = int(decoder(address, nbytes, words + 8 * w.CAPTURING, words + 8 * w.PACKET))
    if reason == 0 and not 0 <= _get(words, w.PACKET + w.SRC) < _get(words, w.NSRC):
        return w.WRONG_SOURCE
    return reason


@inlined
def _note(words: int, reason: int) -> None:
    """Count a packet of this sequence, and lose patience with one that waits."""
    _count(words, _get(words, w.PACKET + w.SRC), reason)
    is_again = reason == w.LATE or reason == w.DUPLICATE  # noqa: PLR1714 - compiled, and tuples cost
    _set(words, w.RUN, _get(words, w.RUN) + 1 if is_again else 0)
    _set(words, w.FRESH, _get(words, w.FRESH) - 1)
    if _get(words, w.WAITING):
        _set(words, w.PATIENCE, _get(words, w.PATIENCE) - 1)
        if _get(words, w.PATIENCE) <= 0:
            give_up_waiting(words)


@jit
def place(base: int, offsets: Any, lengths: Any, position: int, end: int, decoder: Any, words: int) -> int:
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
    words : int
        The address of what is in :mod:`labdaq.packet.words`; the word ``STATUS`` says why the loop ended.
    """
    position = _place_some(base, offsets, lengths, position, end, decoder, words)
    copy_neighbours(words)
    return position


@inlined
def _place_some(base: int, offsets: Any, lengths: Any, position: int, end: int, decoder: Any, words: int) -> int:
    """The same, and some payloads are not copied yet."""
    nsrc = _get(words, w.NSRC)
    for i in range(position, end):
        address = base + offsets[i]
        nbytes = lengths[i]
        reason = _look_at(decoder, address, nbytes, words)
        src = _get(words, w.PACKET + w.SRC)
        if reason:
            _count(words, src if reason == w.WRONG_SIZE and 0 <= src < nsrc else nsrc, reason)
        elif _get(words, w.GATHERING):
            _set(words, w.STATUS, w.HOLD)
            return i
        elif _is_of_this_sequence(words):
            ahead = _get(words, w.PACKET + w.SEQ) - _get(words, w.BEGIN)
            if _get(words, w.PACKET + w.NBYTES) != _get(words, w.CURRENT + w.NBYTES):
                _count(words, src, w.WRONG_SIZE)
            elif ahead < 0:
                _note(words, w.LATE)
            elif ahead < _get(words, w.WINDOW):
                _note(words, _put(words, address))
            else:
                _set(words, w.STATUS, w.GULP_FULL)
                return i
        elif _agrees_with_waiting(words):
            _set(words, w.STATUS, w.NEW_SEQUENCE)
            return i
        elif _is_of_the_sequence_before(words):
            _count(words, src, w.LATE)
        else:
            _let_wait(words, address, nbytes)
        _set(words, w.HANDED, _get(words, w.HANDED) + 1)
    _set(words, w.STATUS, w.USED_UP)
    return end


@jit
def open_gulp(words: int, slot: int, data: Any, present: Any) -> None:
    """Let packets be placed into memory: bytes of frames, and the mask (frame, source), of which nothing is set."""
    where = _slot(words, slot)
    poke(where, data.ctypes.data)
    poke(where + 8, present.ctypes.data)
    fill_bytes(present.ctypes.data, present.size, 0)


@jit
def close_gulp(words: int, slot: int, frames: int, missing: Any) -> None:
    """Fill what did not come with zeros, count it for each source, and place nothing there any more.

    In a gulp that had no room, everything is missing.
    """
    nsrc, where = _get(words, w.NSRC), _slot(words, slot)
    data, present = peek(where), peek(where + 8)
    for frame in range(frames):
        for src in range(nsrc):
            if data and peek8(present + frame * nsrc + src):
                continue
            missing[src] += 1
            if data:
                begin = data + frame * _get(words, w.FRAME_NBYTES) + _place_in_frame(words, src)
                for row in range(_get(words, w.ROWS)):
                    fill_bytes(begin + row * _get(words, w.STRIDE), _get(words, w.BLOCK), 0)
    poke(where, 0)


@jit
def move_on(words: int) -> int:
    """Have the window begin one gulp later; the slot that was the oldest and is the newest now."""
    slot = _get(words, w.HEAD)
    begin = _get(words, w.BEGIN) + _get(words, w.GULP)
    _set(words, w.HEAD, (slot + 1) % _get(words, w.OPEN))
    _set(words, w.BEGIN, begin)
    _set(words, w.NEXT, max(_get(words, w.NEXT), begin))
    return slot
