"""Where a signal crosses a threshold: found chunk by chunk, the same as in one piece.

A rising crossing is the first sample above the threshold after one that is not; a falling one the first sample below
it after one that is not. Signals bounce, so a crossing may have to be stable:

- ``no-debounce``: every crossing counts;
- ``after-stable``: no sample of the debounce time from the crossing on is back on the other side (of a series of
  bounces the last one counts);
- ``before-stable``: no sample of the debounce time before it is beyond already, and none is back in the debounce time
  that begins one debounce time later (of a series the first one counts).

These are the definitions of pyacq's triggers, and give the same numbers.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError

__all__ = ["DEBOUNCE_MODES", "Condition", "Crossings"]

DEBOUNCE_MODES = ("no-debounce", "after-stable", "before-stable")


class Condition(NamedTuple):
    """What is a crossing."""

    threshold: float
    """In the unit of the signal."""
    front: str = "+"
    """``+`` rising, ``-`` falling."""
    debounce_mode: str = "no-debounce"
    debounce: int = 0
    """Samples."""

    def checked(self) -> "Condition":
        """Itself.

        Raises
        ------
        LayoutError
            It is none.
        """
        if self.front not in {"+", "-"} or self.debounce_mode not in DEBOUNCE_MODES or self.debounce < 0:
            raise LayoutError(
                f"front={self.front!r}, debounce_mode={self.debounce_mode!r}, {self.debounce} samples: front is '+' or "
                f"'-', the mode one of {', '.join(DEBOUNCE_MODES)}, and the time not below 0"
            )
        return self


class Crossings:
    """Finds the crossings of a signal that comes in chunks.

    Attributes
    ----------
    undecided : int
        Crossings right before a gap, or the end of a session, whose stability could not be seen: they do not count.

    Examples
    --------
    >>> crossings = Crossings(Condition(1.0))
    >>> crossings.add(3, np.array([0, 0, 2]), 0), crossings.add(6, np.array([2, 0, 3]), 0)
    (array([2]), array([5]))
    """

    def __init__(self, condition: Condition) -> None:
        self._condition = condition.checked()
        _threshold, self._front, mode, length = condition
        self._before = length if mode == "before-stable" else 0
        begin, end = {"no-debounce": (0, 0), "after-stable": (0, length), "before-stable": (length, 2 * length)}[mode]
        self._begin, self._end = begin, max(end, begin)
        self.undecided = 0
        self._tail: NDArray[Any] | None = None
        self._index = self._next = 0

    def add(self, index: int, samples: NDArray[Any], missed: int) -> NDArray[np.int64]:
        """The crossings that are certain now, as absolute numbers of samples.

        Parameters
        ----------
        index
            Absolute number of the sample after these.
        samples
            One-dimensional.
        missed
            Samples that are missing before these: nothing is known of what the signal did there.
        """
        if self._tail is None or missed:
            self.cut()
            signal, self._next = samples, index - len(samples) + 1
        else:
            signal = np.concatenate([self._tail, samples])
        first = index - len(signal)
        limit = max(self._next, index - max(self._end, 1) + 1)
        found = self._found(signal, self._next - first, limit - first) + first
        keep = max(0, limit - first - 1 - self._before)
        self._tail, self._index, self._next = np.array(signal[keep:]), index, limit
        return found

    def cut(self) -> None:
        """The signal does not go on: crossings that are not certain yet will never be."""
        if self._tail is not None:
            first = self._index - len(self._tail)
            beyond, _back = self._sides(self._tail)
            self.undecided += int((beyond[1:] & ~beyond[:-1])[max(0, self._next - first - 1) :].sum())
        self._tail = None

    def _sides(self, signal: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which samples are beyond the threshold, and which are back; on the threshold is neither."""
        above, below = signal > self._condition.threshold, signal < self._condition.threshold
        return (above, below) if self._front == "+" else (below, above)

    def _found(self, signal: NDArray[Any], begin: int, end: int) -> NDArray[np.int64]:
        """The crossings from a position up to another."""
        beyond, back = self._sides(signal)
        known = signal == signal  # noqa: PLR0124 - NaN is on no side
        places = np.arange(max(begin, 1), max(end, 1))
        places = places[beyond[places] & ~beyond[places - 1] & known[places - 1]]
        if self._end:
            places = places[_count(back, places + self._begin, places + self._end) == 0]
        if self._before:
            places = places[_count(beyond, np.maximum(places - self._before, 0), places) == 0]
        return np.asarray(places, np.int64)


def _count(flags: NDArray[np.bool_], begin: NDArray[Any], end: NDArray[Any]) -> NDArray[np.int64]:
    """How many flags are set from each begin up to each end."""
    sums = np.concatenate([[0], np.cumsum(flags)])
    counts: NDArray[np.int64] = sums[end] - sums[begin]
    return counts
