"""What observers do with a ring, as compiled steps: look without claiming, then check what was seen.

Nothing here is ever waited for by anyone. An observer reads memory that may be written over meanwhile, and
asks afterwards how much of it was: what lies behind the oldest safe frame then was good when it was read.
"""

from labdaq.native import jit
from labdaq.native.atomics import fence, load, peek, store
from labdaq.ring import words as w
from labdaq.ring.reading_steps import last_frame, nothing_more
from labdaq.ring.sequencer import claimed_end
from labdaq.ring.waiting import count


@jit
def oldest_safe(block: int) -> int:
    """The oldest frame in the ring that no writer is writing over."""
    newest = claimed_end(block + load(block + w.WRITERS), load(block + w.CLAIMS))
    return max(newest - load(block + w.CAPACITY), load(block + w.KEPT_FROM))


@jit
def try_see(handle: int, position: int, least: int) -> int:
    """How many frames can be read from a position on; AGAIN while too few, OVER at the end."""
    if peek(handle + w.OWNER) == 0:  # closed, or of the process from which this one was forked
        return w.BUSY
    block = peek(handle + w.BLOCK)
    frontier = load(block + load(block + w.WRITERS) + w.FRONTIER)
    limit = min(frontier, last_frame(handle, block, position))
    if limit - position >= least:
        return limit - position
    last = nothing_more(handle, block, position)
    if last < 0 or last > frontier:
        return w.AGAIN
    return last - position if last > position else w.OVER


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
