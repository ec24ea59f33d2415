"""Where a record came from: one number that goes along with each, in the plane ``trace``.

It holds the *part* (which of the records that one event gave, from 0), the *origin* (which worker of the
pipeline wrote it), and whether it was made from an event that was delivered again after a worker died. With the
counter of the event it names a record: the next stage drops a record that it has seen.
"""

from typing import Any

import numpy as np

from labdaq.native import jit

__all__ = ["TRACE", "is_redelivered", "part_of", "record_key", "trace"]

TRACE = "trace"
"""Name of the plane; int64."""

_ORIGIN_SHIFT, _REDELIVERED = 32, 1 << 62
_PARTS = (1 << 32) - 1
_POSITIVE = np.uint64((1 << 63) - 1)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_IDENTITY = np.uint64(~_REDELIVERED & (1 << 64) - 1)


@jit
def trace(origin: int, part: int, redelivered: bool) -> int:
    """Pack the three into one number.

    Examples
    --------
    >>> number = trace(3, 7, True)
    >>> part_of(number), is_redelivered(number)
    (7, True)
    """
    return origin << _ORIGIN_SHIFT | part | (_REDELIVERED if redelivered else 0)


def part_of(traces: Any) -> Any:
    """Which of the records of its event each is."""
    return traces & _PARTS


def is_redelivered(traces: Any) -> Any:
    """Whether each was made from an event that was delivered again."""
    return (traces & _REDELIVERED) != 0


@jit
def record_key(counter: int, number: int) -> int:
    """A positive number that names a record by its counter and its trace; two have the same once in 10**18."""
    mixed = np.uint64(counter) * _FIRST ^ ((np.uint64(number) & _IDENTITY) + np.uint64(1)) * _SECOND
    mixed = (mixed ^ mixed >> np.uint64(32)) * _FIRST
    return np.int64((mixed ^ mixed >> np.uint64(29)) & _POSITIVE | np.uint64(1))  # type: ignore[return-value]
