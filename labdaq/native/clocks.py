"""Clocks for compiled code. All in nanoseconds; 0 where the system offers none to compiled code."""

import sys

from labdaq.native.atomics import peek, stack_words
from labdaq.native.compile import jit
from labdaq.native.libc import HAS_CLOCK, clock_gettime

__all__ = ["coarse_ns", "monotonic_ns", "utc_ns"]

_REALTIME = 0
_MONOTONIC = 6 if sys.platform == "darwin" else 1
# a few ns instead of some twenty, at a resolution of milliseconds: for ages, not for measuring
_COARSE = 5 if sys.platform == "darwin" else 6


@jit
def _read(clock: int) -> int:
    if not HAS_CLOCK:
        return 0
    time = stack_words(2)
    clock_gettime(clock, time)
    return peek(time) * 1_000_000_000 + peek(time + 8)


@jit
def monotonic_ns() -> int:
    """Time since an arbitrary start, never set back; the base of :func:`time.monotonic_ns`."""
    return _read(_MONOTONIC)


@jit
def coarse_ns() -> int:
    """The monotonic clock at its last tick: cheap, up to 10 ms old."""
    return _read(_COARSE)


@jit
def utc_ns() -> int:
    """Time since 1970-01-01 UTC."""
    return _read(_REALTIME)
