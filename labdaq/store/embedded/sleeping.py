"""The compiled steps of the bell."""

from labdaq.native import jit
from labdaq.native.atomics import add32, compare_and_swap, load, load32
from labdaq.native.futex import futex_wait, futex_wake

__all__ = ["announce", "sleep", "wake"]


@jit
def announce(bell: int, until_ns: int) -> int:
    """Somebody may be asleep until then; how often the bell was rung so far.

    The swap is a full barrier: what was changed before a ring that did not see it is seen afterwards.
    """
    seen = load32(bell)
    known = load(bell + 8)
    while not compare_and_swap(bell + 8, known, max(known, until_ns)):
        known = load(bell + 8)
    return seen


@jit
def sleep(bell: int, seen: int, timeout_ns: int) -> None:
    """Sleep until the bell is rung, or the time is over, or a signal came."""
    futex_wait(bell, seen, timeout_ns, False)


@jit
def wake(bell: int) -> None:
    """Ring: wake all who sleep."""
    add32(bell, 1)
    futex_wake(bell, 1 << 30, False)
