"""Records that come twice: which were seen before, although who wrote them died and another wrote them again.

A table holds, for each of the last records, one word with its key, the frame in which it came, and what is known
of it. A word is changed by compare-and-swap *before* the work is done and marked when it was done: of two frames
with one record only one is worked on, whoever looks first; and a frame whose worker died in the middle of it is
worked on again.
"""

from typing import Any

import numpy as np

from labdaq.native import jit
from labdaq.native.atomics import compare_and_swap, load
from labdaq.pipeline.workers.trace import is_redelivered, record_key

__all__ = ["begin_record", "end_record", "unseen_records", "warm"]

_DONE, _IS_COPY = 1, 2
_FRAME_SHIFT, _KEY_SHIFT = 2, 24
_FRAMES = (1 << _KEY_SHIFT - _FRAME_SHIFT) - 1
# Records of neighbouring events stand apart: one is forgotten only thousands of events later.
_PART_STEP, _ORIGIN_STEP = 8191, 21893


@jit
def _place(table: Any, counter: int, number: int) -> int:
    """Address of the word of a record."""
    part, origin = number & 0xFFFFFFFF, number >> 32 & 0x3FFFFFFF
    place = (counter + part * _PART_STEP + origin * _ORIGIN_STEP) % table.shape[0]
    return np.int64(table.ctypes.data) + 8 * place  # type: ignore[no-any-return]


@jit
def _word(counter: int, number: int, frame: int) -> int:
    """What a record that came in a frame is noted as."""
    key = record_key(counter, number) >> _KEY_SHIFT << _KEY_SHIFT
    return key | (frame & _FRAMES) << _FRAME_SHIFT | (_IS_COPY if is_redelivered(number) else 0)


@jit
def begin_record(table: Any, counter: int, number: int, frame: int, is_adopted: bool) -> bool:
    """Whether to do the work for a record; it is noted then.

    Parameters
    ----------
    table
        Of the group, int64.
    counter, number
        Of the event, and its trace.
    frame
        Index in the ring.
    is_adopted
        The frame was taken over from a member of the group that died.

    Examples
    --------
    >>> from labdaq.pipeline.workers.trace import trace
    >>> table = np.zeros(1 << 16, np.int64)
    >>> begin_record(table, 5, trace(1, 0, False), 9, False), begin_record(table, 5, trace(1, 0, True), 12, False)
    (True, False)
    """
    address, new = _place(table, counter, number), _word(counter, number, frame)
    while True:
        old = load(address)
        if old >> _KEY_SHIFT == new >> _KEY_SHIFT:
            if (old ^ new) >> _FRAME_SHIFT == 0:
                if is_adopted and old & _DONE != 0:
                    return False
            elif (old | new) & _IS_COPY != 0:
                return False
        if compare_and_swap(address, old, new) == 1:
            return True


@jit
def end_record(table: Any, counter: int, number: int, frame: int) -> None:
    """The work for a record is done."""
    new = _word(counter, number, frame)
    compare_and_swap(_place(table, counter, number), new, new | _DONE)


@jit
def unseen_records(table: Any, counters: Any, numbers: Any, first: int) -> Any:
    """A mask of those of a batch whose work is to be done; they count as done."""
    chosen = np.ones(counters.shape[0], np.bool_)
    for i in range(counters.shape[0]):
        chosen[i] = begin_record(table, counters[i], numbers[i], first + i, False)
        end_record(table, counters[i], numbers[i], first + i)
    return chosen


def warm() -> None:
    """Compile everything here, or take it from the cache, before the first event comes."""
    table, numbers = np.zeros(1, np.int64), np.zeros(1, np.int64)
    begin_record(table, 0, 0, 0, False)
    end_record(table, 0, 0, 0)
    for writeable in (True, False):  # what is read of a ring is read-only; what was copied is not
        numbers.flags.writeable = writeable
        unseen_records(table, numbers, numbers, 0)
