"""Where a record came from: one number that goes along with each, in the plane ``trace``.

It holds the *part* (which of the records that one event gave, from 0), the *origin* (which node of the pipeline
wrote it, and what that had made it of), and whether it was made from an event that was delivered again after a
worker died. With the counter of the event it names a record: the next stage drops a record that it has seen.
"""

from typing import Any

import numpy as np

from labdaq.native import jit

__all__ = ["TRACE", "descended", "is_redelivered", "part_of", "record_key", "trace"]

TRACE = "trace"
"""Name of the plane; int64."""

_ORIGIN_SHIFT, _REDELIVERED = 32, 1 << 62
_PARTS, _ORIGINS, _PLAIN = (1 << 32) - 1, (1 << 30) - 1, (1 << 62) - 1
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


@jit
def record_key(counter: int, number: int) -> int:
    """A positive number that names a record by its counter and its trace; two have the same once in 10**18."""
    mixed = np.uint64(counter) * _FIRST ^ ((np.uint64(number) & _IDENTITY) + np.uint64(1)) * _SECOND
    mixed = (mixed ^ mixed >> np.uint64(32)) * _FIRST
    return np.int64((mixed ^ mixed >> np.uint64(29)) & _POSITIVE | np.uint64(1))  # type: ignore[return-value]


@jit
def descended(number: int, origin: int, part: int, redelivered: bool) -> int:
    """The trace of a record that was made from one with the trace ``number``.

    Two parts of one event that are passed on by a second filter are told apart: their origins differ.

    Examples
    --------
    >>> descended(0, 3, 7, False) == trace(3, 7, False)
    True
    >>> descended(trace(3, 0, False), 4, 0, False) == descended(trace(3, 1, False), 4, 0, False)
    False
    """
    line = origin
    if number & _PLAIN != 0:
        line = record_key(origin, number) >> _ORIGIN_SHIFT & _ORIGINS
    return trace(line, part, redelivered)


def part_of(traces: Any) -> Any:
    """Which of the records of its event each is."""
    return traces & _PARTS


@jit
def is_redelivered(traces: Any) -> Any:
    """Whether each was made from an event that was delivered again."""
    return (traces & _REDELIVERED) != 0
