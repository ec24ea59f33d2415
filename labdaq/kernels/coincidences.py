"""Peaks of several channels that belong together: one particle, seen by several detectors.

A *group* begins with the earliest peak that is in no group yet. Of each other channel the next peak joins it
if it comes less than `window` samples later. Each channel gives one peak to a group, or none. This is how
mimoCoRB correlates peaks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit

__all__ = ["group_peaks", "group_peaks_into", "group_peaks_reference"]

Places = npt.NDArray[np.int64]


@jit
def _earliest(positions: Any, counts: Any, used: Any) -> int:
    """The channel of the earliest peak that is left, -1 if there is none."""
    first = -1
    for channel in range(positions.shape[0]):
        if used[channel] < counts[channel] and (
            first < 0 or positions[channel, used[channel]] < positions[first, used[first]]
        ):
            first = channel
    return first


@jit
def group_peaks_into(positions: Any, counts: Any, window: float, groups: Any, used: Any) -> int:
    """Write the groups of peaks to rows: a step, compiled, without allocation.

    Parameters
    ----------
    positions : ndarray, shape (channels, most)
        Of each channel the positions of its peaks in samples, rising.
    counts : ndarray of int, shape (channels,)
        How many of them there are.
    window : float
        A peak belongs to a group that began less than this many samples earlier.
    groups : ndarray of int, shape (rows, channels)
        For each group the number of the peak in each channel, -1 for none.
    used : ndarray of int, shape (channels,)
        Scratch.

    Returns
    -------
    int
        How many groups there are; those beyond the last row are counted, and not written.

    Examples
    --------
    >>> positions, groups = np.array([[10, 50], [12, 0]]), np.zeros((4, 2), "i8")
    >>> n = group_peaks_into(positions, np.array([2, 1]), 5.0, groups, np.zeros(2, "i8"))
    >>> groups[:n].tolist()
    [[0, 0], [1, -1]]
    """
    used[:] = 0
    found = 0
    first = _earliest(positions, counts, used)
    while first >= 0:
        begin = positions[first, used[first]]
        for channel in range(positions.shape[0]):
            number = used[channel]
            is_in = number < counts[channel] and positions[channel, number] - begin < window
            if found < groups.shape[0]:
                groups[found, channel] = number if is_in else -1
            used[channel] += is_in
        found += 1
        first = _earliest(positions, counts, used)
    return found


def group_peaks(positions: Sequence[npt.ArrayLike], window: float) -> Places:
    """Group the peaks of several channels by coincidence.

    Parameters
    ----------
    positions : sequence of array_like
        For each channel the positions of its peaks, rising; in samples, or any other unit.
    window : float
        A peak belongs to a group that began less than this earlier, in the same unit; positive.

    Returns
    -------
    ndarray of int64, shape (groups, channels)
        In the order of time: the number of the peak in each channel, -1 for none.

    Raises
    ------
    LayoutError
        If positions are not rising rows of numbers, or the window is not positive.

    Examples
    --------
    >>> group_peaks([[10, 300], [12], [308, 500]], window=20).tolist()
    [[0, 0, -1], [1, -1, 0], [-1, -1, 1]]
    """
    rows = [np.asarray(row, np.float64) for row in positions]
    if not window > 0 or not all(row.ndim == 1 and (np.diff(row) >= 0).all() for row in rows):
        raise LayoutError(f"positions must be rows of numbers that rise, the window positive; given: {window=}")
    counts = np.array([len(row) for row in rows], np.int64)
    table = np.zeros((len(rows), max(counts, default=0)))
    for channel, row in enumerate(rows):
        table[channel, : len(row)] = row
    groups = np.empty((int(counts.sum()), len(rows)), np.int64)
    found = group_peaks_into(table, counts, float(window), groups, np.empty(len(rows), np.int64))
    return groups[:found].copy()


def group_peaks_reference(positions: Sequence[Sequence[float]], window: float) -> list[list[int]]:
    """The definition of :func:`group_peaks`, in Python."""
    left = [list(enumerate(row)) for row in positions]
    groups = []
    while any(left):
        begin = min(row[0][1] for row in left if row)
        groups.append([row.pop(0)[0] if row and row[0][1] - begin < window else -1 for row in left])
    return groups
