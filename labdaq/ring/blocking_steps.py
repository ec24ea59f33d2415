"""The steps that may have to wait: reserve, acquire, await_frames. One loop serves all three.

Try, spin a little, then sleep until the ring moves, for no longer than the caller allows. Looking once more
after having announced oneself as a sleeper is what keeps a wake-up from being lost: whoever moves the ring
either is seen by that look, or sees the sleeper.
"""

from labdaq.native import jit
from labdaq.native.atomics import add, compare_and_swap, load32, pause, peek, publish
from labdaq.native.clocks import monotonic_ns
from labdaq.ring import words as w
from labdaq.ring.observing_steps import try_see
from labdaq.ring.reading_steps import try_acquire
from labdaq.ring.waiting import nap, note_wait
from labdaq.ring.writing_steps import try_reserve

__all__ = ["acquire", "await_frames", "reserve"]

_RESERVE, _ACQUIRE, _SEE = 0, 1, 2


@jit
def reserve(handle: int, count: int, wait_ns: int) -> int:
    """Claim frames to write, waiting up to ``wait_ns`` for room: the first."""
    if not compare_and_swap(handle + w.IN_USE, 0, 1):
        return w.BUSY
    start = try_reserve(handle, count)
    if start == w.AGAIN and wait_ns > 0:
        start = _wait(_RESERVE, handle, count, 0, wait_ns)
    publish(handle + w.IN_USE, 0)
    return start


@jit
def acquire(handle: int, least: int, most: int, wait_ns: int) -> int:
    """Claim frames to read, waiting up to ``wait_ns`` for them: the first. The end is in the handle.

    The handle stays IN_USE until the caller has read END and sets that word back to 0.
    """
    if not compare_and_swap(handle + w.IN_USE, 0, 1):
        return w.BUSY
    start = try_acquire(handle, least, most)
    if start == w.AGAIN and wait_ns > 0:
        start = _wait(_ACQUIRE, handle, least, most, wait_ns)
    if start < 0:
        publish(handle + w.IN_USE, 0)
    return start


@jit
def await_frames(handle: int, position: int, least: int, wait_ns: int) -> int:
    """Wait up to ``wait_ns`` until ``least`` frames can be seen from a position on, without claiming them.

    Returns how many there are (fewer at the end of a sequence or of the ring), AGAIN, or OVER.
    """
    found = try_see(handle, position, least)
    if found == w.AGAIN and wait_ns > 0:
        found = _wait(_SEE, handle, position, least, wait_ns)
    return found


@jit
def _try(step: int, handle: int, first: int, second: int) -> int:
    if step == _RESERVE:
        return try_reserve(handle, first)
    if step == _ACQUIRE:
        return try_acquire(handle, first, second)
    return try_see(handle, first, second)


@jit
def _wait(step: int, handle: int, first: int, second: int, wait_ns: int) -> int:
    since = monotonic_ns()
    block = peek(handle + w.BLOCK)
    event = w.SPACE_EVENT if step == _RESERVE else w.DATA_EVENT
    result = _spin(step, handle, first, second, since + min(wait_ns, peek(handle + w.SPIN_NS)))
    slept = 0
    while result == w.AGAIN and slept == 0:
        add(block + event + 8, 1)
        seen = load32(block + event)
        result = _try(step, handle, first, second)
        if result == w.AGAIN:
            slept = nap(block, event, seen, since + wait_ns)
        add(block + event + 8, -1)
    note_wait(handle, since)
    return slept if result == w.AGAIN and slept != 0 else result


@jit
def _spin(step: int, handle: int, first: int, second: int, until_ns: int) -> int:
    result = w.AGAIN
    while result == w.AGAIN and monotonic_ns() < until_ns:
        for _ in range(16):
            pause()
        result = _try(step, handle, first, second)
    return result
