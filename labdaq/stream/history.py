"""The last samples of a stream, found by their absolute numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.layouts import fill_value

__all__ = ["History"]


class History:
    """The newest ``size`` samples; gaps, and what was before the first sample, hold the fill value.

    Slices are views that cost nothing and never change: memory that is full is not written again, but left to
    those who look at it.

    Parameters
    ----------
    size
        Samples that can be looked back to.
    dtype, shape
        Of one sample.
    fill
        Stands for missing samples; by default NaN, NaT or 0.

    Examples
    --------
    >>> history = History(4, np.dtype("f4"), ())
    >>> history.append(2, np.array([1, 2], "f4"))
    >>> history.append(6, np.array([5, 6], "f4"))
    >>> history[-3:], history[2:6]
    (array([nan,  5.,  6.], dtype=float32), array([nan, nan,  5.,  6.], dtype=float32))
    """

    def __init__(self, size: int, dtype: np.dtype[Any], shape: tuple[int, ...], fill: Any = None) -> None:
        if isinstance(size, bool) or int(size) != size or size < 1:
            raise LayoutError(f"set_buffer({size!r}): a whole number of samples, at least 1")
        self.size = int(size)
        self._fill = fill_value(dtype, fill)
        self.dtype, self.shape = dtype, shape
        self.reset(0)

    def reset(self, index: int) -> None:
        """Forget everything; the next sample has this number."""
        self._begin = index - self.size
        self._used = self.size
        self._memory = self._new()
        self._memory[: self.size] = self._fill

    def _new(self) -> NDArray[Any]:
        return np.empty((3 * self.size, *self.shape), self.dtype)

    @property
    def index(self) -> int:
        """The number of the next sample."""
        return self._begin + self._used

    @property
    def first_index(self) -> int:
        """The oldest number that can be asked for; below 0 before that many samples came."""
        return self.index - self.size

    def append(self, index: int, data: NDArray[Any]) -> None:
        """Add samples that end before ``index``; what is missing since the last ones is filled."""
        if len(data) >= self.size:
            self._memory, self._begin, self._used = self._new(), index - self.size, self.size
            self._memory[: self.size] = data[len(data) - self.size :]
            return
        missing = index - len(data) - self.index
        if missing < 0:  # the numbers begin again
            self.reset(index - len(data))
        elif missing:
            self._append_filled(missing)
        self._make_room(len(data))
        self._memory[self._used : self._used + len(data)] = data
        self._used += len(data)

    def _append_filled(self, count: int) -> None:
        if count >= self.size:
            self.reset(self.index + count)
            return
        self._make_room(count)
        self._memory[self._used : self._used + count] = self._fill
        self._used += count

    def _make_room(self, count: int) -> None:
        if self._used + count > len(self._memory):
            old, used = self._memory, self._used
            self._memory = self._new()
            self._memory[: self.size] = old[used - self.size : used]
            self._begin += used - self.size
            self._used = self.size

    def get(self, start: int, stop: int) -> NDArray[Any]:
        """The samples from an absolute number up to another, as a read-only view.

        Raises
        ------
        IndexError
            When some are too old, or not there yet.
        """
        if not self.first_index <= start <= stop <= self.index:
            raise IndexError(
                f"samples {start} to {stop}: there are {self.first_index} to {self.index}, the last {self.size} samples"
            )
        view = self._memory[start - self._begin : stop - self._begin]
        view.flags.writeable = False
        return view

    def __getitem__(self, key: Any) -> Any:
        """By absolute numbers, or negative ones from the end; further indices are for the other axes."""
        first, *others = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            found = self._sliced(first)
            return found[(slice(None), *others)] if others else found
        place = self._absolute(first)
        return self.get(place, place + 1)[(0, *others)]

    def _sliced(self, key: slice) -> NDArray[Any]:
        oldest, end = self.first_index, self.index
        if key.step is not None and key.step < 0:
            last = end - 1 if key.start is None else self._absolute(key.start)
            before = oldest - 1 if key.stop is None else self._absolute(key.stop)
            return self.get(min(before, last) + 1, last + 1)[:: key.step]
        start = oldest if key.start is None else self._absolute(key.start)
        stop = end if key.stop is None else self._absolute(key.stop)
        return self.get(start, max(start, stop))[:: key.step]

    def _absolute(self, place: Any) -> int:
        number = place.__index__()
        return int(number if number >= 0 else self.index + number)
