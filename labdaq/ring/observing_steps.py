"""What observers do with a ring, as compiled steps: look without claiming, then check what was seen.

Nothing here is ever waited for by anyone. An observer reads memory that may be written over meanwhile, and
asks afterwards how much of it was: what lies behind the oldest safe frame then was good when it was read.
"""

from labdaq.native import jit
from labdaq.native.atomics import add, fence, load, load32, peek, store
from labdaq.native.clocks import monotonic_ns
from labdaq.ring import words as w
from labdaq.ring.reading_steps import last_frame, nothing_more
from labdaq.ring.sequencer import claimed_end
from labdaq.ring.waiting import count, nap, note_wait


@jit
def oldest_safe(block: int) -> int:
    """The oldest frame in the ring that no writer is writing over."""
    newest = claimed_end(block + load(block + w.WRITERS), load(block + w.CLAIMS))
    return max(newest - load(block + w.CAPACITY), load(block + w.KEPT_FROM))


@jit
def _available(handle: int, block: int, position: int, least: int) -> int:
    """How many frames can be read from a position on; AGAIN while too few, OVER at the end."""
    frontier = load(block + load(block + w.WRITERS) + w.FRONTIER)
    limit = min(frontier, last_frame(handle, block, position))
    if limit - position >= least:
        return limit - position
    last = nothing_more(handle, block, position)
    if last < 0 or last > frontier:
        return w.AGAIN
    return last - position if last > position else w.OVER


@jit
def await_frames(handle: int, position: int, least: int, wait_ns: int) -> int:
    """Wait up to ``wait_ns`` until ``least`` frames can be seen from a position on, without claiming them.

    Returns how many there are (fewer at the end of a sequence or of the ring), AGAIN, or OVER.
    """
    block = peek(handle + w.BLOCK)
    found = _available(handle, block, position, least)
    if found != w.AGAIN or wait_ns <= 0:
        return found
    since = monotonic_ns()
    slept = 0
    while found == w.AGAIN and slept == 0:
        add(block + w.DATA_WAITERS, 1)
        seen = load32(block + w.DATA_EVENT)
        found = _available(handle, block, position, least)
        if found == w.AGAIN:
            slept = nap(block, w.DATA_EVENT, seen, since + wait_ns)
        add(block + w.DATA_WAITERS, -1)
    note_wait(handle, since)
    return slept if found == w.AGAIN and slept != 0 else found


@jit
def count_torn(handle: int, start: int, end: int) -> int:
    """How many of the frames from ``start`` to ``end`` were, or may have been, written over by now.

    What was copied from the ring before this call is good from the first frame that was not.
    """
    fence()
    safe = oldest_safe(peek(handle + w.BLOCK))
    return max(0, min(safe, end) - start)


@jit
def note_seen(handle: int, cursor: int, frames: int, skipped: int, overwritten: int) -> None:
    """Keep an observer's place and its counters."""
    me = peek(handle + w.PARTICIPANT)
    store(me + w.P_CURSOR, cursor)
    count(handle, w.P_FRAMES, frames)
    count(handle, w.P_SPANS, 1 if frames else 0)
    count(handle, w.P_SKIPPED, skipped)
    count(handle, w.P_OVERWRITTEN, overwritten)
