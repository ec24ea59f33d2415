"""Stretches of a signal around triggers, cut as soon as they are complete."""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.history import History

__all__ = ["Epoch", "EpochCutter"]


class Epoch(NamedTuple):
    """One stretch."""

    trigger: int
    """Absolute number of the sample of its trigger."""
    data: NDArray[Any]
    """Time first; what is missing holds the fill value."""
    missing: int
    """Samples of it that are."""


class EpochCutter:
    """Cuts the samples from ``left`` up to ``right`` after each trigger; ``left`` may be negative.

    Attributes
    ----------
    too_late : int
        Triggers that came when their samples were no longer kept. Raise ``keep``.

    Examples
    --------
    >>> cutter = EpochCutter(-1, 2, 100)
    >>> cutter.add_triggers([4])
    >>> [epoch.data.tolist() for epoch in cutter.add_samples(8, np.arange(8), 0)]
    [[3, 4, 5]]
    """

    def __init__(self, left: int, right: int, keep: int, fill: Any = None) -> None:
        if not left < right:
            raise LayoutError(f"an epoch from {left} to {right} samples after its trigger is empty")
        self.left, self.right = left, right
        self._keep, self._fill = keep + right - left, fill
        self.too_late = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything: samples have other numbers from now on."""
        self._history: History | None = None
        self._gaps: deque[tuple[int, int]] = deque()
        self._triggers: list[int] = []

    def add_triggers(self, numbers: Any) -> None:
        """Triggers, in any order; those that are complete come with the next samples, or from `complete`."""
        self._triggers = sorted([*self._triggers, *(int(number) for number in numbers)])

    def add_samples(self, index: int, data: NDArray[Any], missed: int) -> Iterator[Epoch]:
        """Samples that end before an absolute number; the epochs that are complete now."""
        history = self._history
        begin = index - len(data)
        if history is None:
            history = self._history = History(self._keep, data.dtype, data.shape[1:], self._fill)
            history.reset(begin)
            missed = self._keep  # nothing is known of what was before
        history.append(index, data)
        if missed:
            self._gaps.append((begin - missed, begin))
        while self._gaps and self._gaps[0][1] <= history.first_index:
            self._gaps.popleft()
        yield from self.complete()

    def complete(self) -> Iterator[Epoch]:
        """The epochs all of whose samples have come."""
        history = self._history
        while history is not None and self._triggers and self._triggers[0] + self.right <= history.index:
            trigger = self._triggers.pop(0)
            begin, end = trigger + self.left, trigger + self.right
            if begin < history.first_index:
                self.too_late += 1
                continue
            missing = sum(max(0, min(end, last) - max(begin, first)) for first, last in self._gaps)
            yield Epoch(trigger, np.array(history.get(begin, end)), missing)
