"""Sleeping and waking, compiled.

A step that waits tries, spins a little, then sleeps on a futex; it returns when it succeeded, when the
time that it was given is over, or when a signal came. So Python looks at deadlines, at signals and at the
dead between short sleeps, and nothing needs a thread to be woken.
"""

from labdaq.native import inlined, jit
from labdaq.native.atomics import add32, load, peek, poke
from labdaq.native.clocks import monotonic_ns
from labdaq.native.futex import HAS_FUTEX, INTERRUPTED, futex_wait, futex_wake
from labdaq.ring import words as w


@inlined
def wake(block: int, event: int) -> None:
    """Wake all who sleep on an event; costs one load when nobody does."""
    if load(block + event + 8) > 0:
        add32(block + event, 1)
        futex_wake(block + event, 1 << 30, load(block + w.IS_PRIVATE) != 0)


@jit
def nap(block: int, event: int, seen: int, until_ns: int) -> int:
    """Sleep until the event is no longer as seen, or the time is over."""
    left = until_ns - monotonic_ns()
    if left <= 0 or not HAS_FUTEX:
        return w.AGAIN
    if futex_wait(block + event, seen, left, load(block + w.IS_PRIVATE) != 0) == INTERRUPTED:
        return w.INTERRUPT
    return 0


@jit
def note_wait(handle: int, since_ns: int) -> None:
    """Only the owner writes its participant's counters, so plain stores will do."""
    me = peek(handle + w.PARTICIPANT)
    poke(me + w.P_WAITS, peek(me + w.P_WAITS) + 1)
    poke(me + w.P_WAIT_NS, peek(me + w.P_WAIT_NS) + monotonic_ns() - since_ns)


@inlined
def count_span(handle: int, frames: int) -> None:
    """One more span, of so many frames."""
    me = peek(handle + w.PARTICIPANT)
    poke(me + w.P_FRAMES, peek(me + w.P_FRAMES) + frames)
    poke(me + w.P_SPANS, peek(me + w.P_SPANS) + 1)


@jit
def count(handle: int, counter: int, amount: int) -> None:
    """Add to a counter of the participant; only its owner writes there, so plain stores will do."""
    address = peek(handle + w.PARTICIPANT) + counter
    poke(address, peek(address) + amount)
