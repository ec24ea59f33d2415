"""Compiled writers and readers of numbered frames: millions of hand-overs in a test of a second.

Every frame of an int64 ring is filled with its own number, so that any frame can be checked by itself. The
loops are also the example of how compiled code uses a ring: a handle's address, and one call per step.
"""

from labdaq.native import jit
from labdaq.native.atomics import add, load, peek, poke
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, reserve
from labdaq.ring.reading_steps import release
from labdaq.ring.writing_steps import commit

__all__ = ["BAD", "READ", "check_numbers", "write_numbers"]

READ, BAD = 0, 8  # words of a result: frames read, frames that held another number
_WAIT_NS = 20_000_000


@jit
def write_numbers(handle: int, frames: int, longest: int) -> int:
    """Write so many frames, in spans of 1, 2, … ``longest``; how many were written before the ring ended."""
    done = 0
    size = 0
    while done < frames:
        size = min(size % longest + 1, frames - done)
        start = reserve(handle, size, _WAIT_NS)
        if start in (w.AGAIN, w.INTERRUPT):
            continue
        if start < 0:
            return done
        slots = peek(handle + w.DATA_SLOTS)
        for frame in range(start, start + size):
            poke(peek(handle + w.DATA) + 8 * (frame % slots), frame)
        commit(handle, start, start + size)
        done += size
    return done


@jit
def check_numbers(handle: int, most: int, seen: int, result: int) -> int:
    """Read until the ring ends, count each frame at address ``seen`` + its number; the code that ended it."""
    while True:
        start = acquire(handle, 1, most, _WAIT_NS)
        if start in (w.AGAIN, w.INTERRUPT):
            continue
        if start < 0:
            return start
        end = peek(handle + w.END)
        poke(handle + w.IN_USE, 0)
        slots = peek(handle + w.DATA_SLOTS)
        for frame in range(start, end):
            if load(peek(handle + w.DATA) + 8 * (frame % slots)) != frame:
                add(result + BAD, 1)
            add(seen + 8 * frame, 1)
        add(result + READ, end - start)
        release(handle, start)
