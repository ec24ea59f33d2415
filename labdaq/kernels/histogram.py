"""Histograms that grow while data come in, in one or two dimensions; nothing that is filled in gets lost.

A bin holds values from its lower edge to below its upper one; the last bin holds its upper edge too. That is
:func:`numpy.histogram`, with the same counts. Beyond it, values outside of the range are counted in bins of their
own before the first and behind the last one, in each dimension, and values that are no number in one counter.
Poisson statistics: the standard deviation of a count ``n`` is ``sqrt(n)``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import Device, device_of

__all__ = ["Histogram", "bin_of", "bins_per_unit", "fill_1d", "fill_2d"]

Counts = npt.NDArray[np.int64]
Edges = npt.NDArray[np.float64]


def bins_per_unit(edges: Edges) -> float:
    """One over the width of the bins if they are all as wide, but for rounding; else 0: for :func:`bin_of`.

    Examples
    --------
    >>> bins_per_unit(np.array([0.0, 0.5, 1.0])), bins_per_unit(np.array([0.0, 0.5, 2.0]))
    (2.0, 0.0)
    """
    n = len(edges) - 1
    width = (edges[-1] - edges[0]) / n
    is_regular = np.abs(edges - (edges[0] + width * np.arange(n + 1))).max() < 0.1 * width
    return float(1 / width) if is_regular else 0.0


@jit
def bin_of(value: float, edges: Any, per_unit: float) -> int:
    """The bin of a number: 0 below the range, 1 the first bin, ``len(edges)`` above the range. Compiled.

    Parameters
    ----------
    value : float
        Not NaN.
    edges : ndarray of float64
        Rising.
    per_unit : float
        From :func:`bins_per_unit`. If it is not 0, the bin is computed, and the edges decide what rounding left
        open; else it is searched for.

    Examples
    --------
    >>> [bin_of(x, np.array([0.0, 0.5, 2.0]), 0.0) for x in (-1.0, 0.0, 0.5, 2.0, 2.1)]
    [0, 1, 2, 2, 3]
    """
    last = int(edges.shape[0]) - 1
    if not value >= edges[0]:
        return 0
    if value >= edges[last]:
        return last if value == edges[last] else last + 1
    low, high = 0, last  # edges[low] <= value < edges[high]
    if per_unit > 0.0:
        low = min(int((value - edges[0]) * per_unit), last - 1)
        while edges[low] > value:
            low -= 1
        while edges[low + 1] <= value:
            low += 1
        return low + 1
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] <= value:
            low = middle
        else:
            high = middle
    return low + 1


@jit
def fill_1d(values: Any, edges: Any, per_unit: float, counts: Any) -> int:
    """Count values into ``counts`` of length ``len(edges) + 1``; how many were NaN. Compiled."""
    missing = 0
    for value in values:
        if np.isnan(value):
            missing += 1
        else:
            counts[bin_of(value, edges, per_unit)] += 1
    return missing


@jit
def fill_2d(x: Any, y: Any, edges: tuple[Any, ...], per_unit: tuple[float, ...], counts: Any) -> int:
    """Count pairs into ``counts`` with a row for each bin of `x`; how many had a NaN. Compiled."""
    missing = 0
    for i in range(x.shape[0]):
        if np.isnan(x[i]) or np.isnan(y[i]):
            missing += 1
        else:
            counts[bin_of(x[i], edges[0], per_unit[0]), bin_of(y[i], edges[1], per_unit[1])] += 1
    return missing


def _column(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    column = np.ascontiguousarray(np.ravel(np.asarray(values)), np.float64).view()
    column.flags.writeable = False  # one version of the machine code, whoever owns the values
    return column


class Histogram:
    """A histogram to be filled batch by batch.

    Parameters
    ----------
    *edges : array_like, shape (bins + 1,)
        For each of one or two dimensions the edges of its bins, rising and finite. Equally wide bins are
        filled several times quicker: ``np.linspace(low, high, bins + 1)``.

    Raises
    ------
    LayoutError
        If edges do not rise, or there are none, or more than two dimensions of them.

    Examples
    --------
    >>> h = Histogram(np.linspace(0, 10, 6))
    >>> h.fill([1, 3, 3.5, 10, -1, np.nan])
    >>> h.counts.tolist(), h.with_flow.tolist(), h.missing, h.entries
    ([1, 2, 0, 0, 1], [1, 1, 2, 0, 0, 1, 0], 1, 6)
    """

    def __init__(self, *edges: npt.ArrayLike) -> None:
        self.edges: tuple[Edges, ...] = tuple(np.array(one, np.float64) for one in edges)
        if len(edges) not in {1, 2}:
            raise LayoutError(f"histograms have one or two dimensions, not {len(edges)}")
        for one in self.edges:
            if one.ndim != 1 or len(one) < 2 or not (np.diff(one) > 0).all() or not np.isfinite(one).all():
                raise LayoutError(f"edges of bins are two or more finite numbers that rise; given: {one}")
        self._per_unit = tuple(bins_per_unit(one) for one in self.edges)
        self.with_flow: Counts = np.zeros([len(one) + 1 for one in self.edges], np.int64)
        """Counts with what is below the range first and what is above it last, in each dimension."""
        self.missing = 0
        """How many values were NaN, alone or in a pair."""

    @property
    def counts(self) -> Counts:
        """Counts of the bins: a view that grows. In two dimensions with a row for each bin of the first."""
        return self.with_flow[(slice(1, -1),) * len(self.edges)]

    @property
    def entries(self) -> int:
        """Everything that was filled in, be it in range, out of it, or NaN."""
        return int(self.with_flow.sum()) + self.missing

    def fill(self, *values: npt.ArrayLike) -> None:
        """Count a batch, without the GIL; for each dimension one array, all as long.

        One thread at a time: give each thread a histogram of its own, and :meth:`merge` them.

        Raises
        ------
        LayoutError
            If there is not one array for each dimension, or their lengths differ.
        """
        if values and (device := device_of(values[0])) is not None:
            self._fill_there(device, list(values))
            return
        columns = [_column(one) for one in values]
        if len(columns) != len(self.edges) or len({len(one) for one in columns}) != 1:
            raise LayoutError(
                f"this histogram takes {len(self.edges)} arrays of the same length, not {[len(c) for c in columns]}"
            )
        if len(columns) == 1:
            self.missing += fill_1d(columns[0], self.edges[0], self._per_unit[0], self.with_flow)
        else:
            self.missing += fill_2d(columns[0], columns[1], self.edges, self._per_unit, self.with_flow)

    def _fill_there(self, device: Device, columns: list[Any]) -> None:
        """Count what is on a GPU; waits for the counts."""
        from labdaq.kernels.cuda import pulses

        if len(columns) != len(self.edges) or len({one.size for one in columns}) != 1:
            raise LayoutError(
                f"this histogram takes {len(self.edges)} arrays of the same length, not {[one.size for one in columns]}"
            )
        counts, missing = pulses.fill(device, columns, self.edges)
        self.with_flow += counts
        self.missing += missing

    def merge(self, others: "Sequence[Histogram]") -> None:
        """Add what others have counted, say those of several workers.

        Raises
        ------
        LayoutError
            If one of them has other edges; then nothing is added.

        Examples
        --------
        >>> one, two = Histogram([0, 1, 5]), Histogram([0, 1, 5])
        >>> one.fill([0.5])
        >>> two.fill([0.5, 3.0])
        >>> one.merge([two])
        >>> one.counts.tolist()
        [2, 1]
        """
        for other in others:
            same = len(self.edges) == len(other.edges) and all(map(np.array_equal, self.edges, other.edges))
            if not same:
                raise LayoutError(f"only histograms with the same edges can be merged; other edges: {other.edges}")
        for other in others:
            self.with_flow += other.with_flow
            self.missing += other.missing

    def clear(self) -> None:
        """Forget all counts."""
        self.with_flow[...] = 0
        self.missing = 0
