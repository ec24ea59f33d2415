"""The edges of pulses: where a waveform crosses a threshold.

The *level* of a sample is its distance from the baseline, positive in the direction of the pulses.
A pulse begins with the first sample whose level reaches the threshold, and lasts until the first sample
whose level is below ``release * threshold``; this hysteresis keeps noise on a falling flank from making
edges of its own. The pulse counts if it lasts for at least `width` samples and begins at least
`dead_time` samples after the last pulse that counted. Its edge is the point where the straight line from
the sample before to its first sample meets the threshold, hence finer than the sampling.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit

__all__ = ["Discriminator", "crossing", "find_edges", "find_edges_reference", "next_pulse"]

FloatArray = npt.NDArray[np.float64]


class Discriminator(NamedTuple):
    """What counts as a pulse. Compiled functions take it as one argument."""

    threshold: float
    """Distance from the baseline at which a pulse begins, positive, in the unit of the waveform."""
    polarity: int = 1
    """1 for pulses that go up, -1 for pulses that go down."""
    baseline: float = 0.0
    """The value of the waveform between pulses, in its unit."""
    release: float = 0.5
    """The pulse ends below this fraction (0 to 1) of the threshold."""
    width: int = 1
    """Shortest duration of a pulse, in samples."""
    dead_time: int = 0
    """Shortest distance between the beginnings of two pulses, in samples."""


@jit
def next_pulse(waveform: Any, begin: int, earliest: int, cut: Discriminator) -> tuple[int, int, float]:
    """First sample, end and height of the next pulse. For compiled callers: nothing is checked.

    The search starts at sample `begin`; pulses that begin before `earliest` (dead time) are passed over.
    Without a pulse the first sample is -1.
    """
    n = waveform.shape[0]
    release = cut.release * cut.threshold
    end = begin
    while end < n:
        first = end
        while first < n and not cut.polarity * (waveform[first] - cut.baseline) >= cut.threshold:
            first += 1
        end, height = first, 0.0
        while end < n:
            level = cut.polarity * (waveform[end] - cut.baseline)
            if not level >= release:
                break
            height = max(height, level)
            end += 1
        if first < n and first >= earliest and end - first >= cut.width:
            return first, end, height
    return -1, n, 0.0


@jit
def crossing(waveform: Any, first: int, cut: Discriminator) -> float:
    """Where the line into sample `first` meets the threshold, in samples. For compiled callers."""
    if first == 0:
        return 0.0
    below = cut.polarity * (waveform[first - 1] - cut.baseline)
    above = cut.polarity * (waveform[first] - cut.baseline)
    return float(first - 1 + (cut.threshold - below) / (above - below))


@jit
def _find_edges_compiled(waveform: Any, positions: FloatArray, cut: Discriminator) -> int:
    found = 0
    first, end, _ = next_pulse(waveform, 0, 0, cut)
    while first >= 0 and found < positions.shape[0]:
        positions[found] = crossing(waveform, first, cut)
        found += 1
        first, end, _ = next_pulse(waveform, end, first + cut.dead_time, cut)
    return found


def find_edges_reference(waveform: npt.ArrayLike, cut: Discriminator) -> FloatArray:
    """The definition of :func:`find_edges`, in NumPy and Python."""
    level = cut.polarity * (np.asarray(waveform).astype(np.float64) - cut.baseline)
    is_released = np.append(~(level >= cut.release * cut.threshold), True)
    edges: list[float] = []
    earliest = end = 0
    for first in np.flatnonzero(level >= cut.threshold).tolist():
        if first < end:  # still in the same pulse
            continue
        end = first + int(np.argmax(is_released[first:]))
        if end - first >= cut.width and first >= earliest:
            earliest = first + cut.dead_time
            below, above = level[first - 1], level[first]
            edges.append(first - 1 + (cut.threshold - below) / (above - below) if first else 0.0)
    return np.array(edges, dtype=np.float64)


def find_edges(
    waveform: npt.ArrayLike,
    threshold: float,
    *,
    polarity: int = 1,
    baseline: float = 0.0,
    release: float = 0.5,
    width: int = 1,
    dead_time: int = 0,
    limit: int | None = None,
) -> FloatArray:
    """Find the times at which pulses cross a threshold.

    Parameters
    ----------
    waveform : array_like, shape (samples,)
        Integer or real, finite samples.
    threshold : float
        Distance from the baseline at which a pulse begins; positive, in the unit of the waveform.
    polarity : {1, -1}
        1 for pulses that go up, -1 for pulses that go down.
    baseline : float
        The value of the waveform between pulses, in its unit.
    release : float
        The pulse ends below this fraction (0 to 1) of the threshold.
    width : int
        Shortest duration of a pulse that counts, in samples.
    dead_time : int
        Shortest distance between the beginnings of two pulses that count, in samples.
    limit : int, optional
        Stop after so many edges; all of them by default.

    Returns
    -------
    ndarray of float64, shape (edges,)
        Positions in samples from the first sample, rising. A waveform that begins beyond the threshold
        has an edge at 0.

    Raises
    ------
    LayoutError
        If the waveform is not one-dimensional and real, or an argument is outside its range.

    Examples
    --------
    >>> find_edges([0, 0, 4, 8, 2, 0, 0, 6, 0], threshold=3)
    array([1.75, 6.5 ])
    >>> find_edges([0, 0, -4, -8, -2, 0, 0, -6, 0], threshold=3, polarity=-1, width=2)
    array([1.75])
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise LayoutError(f"edges are found in a row of real samples, not in {samples.dtype}{samples.shape}")
    if polarity not in {1, -1} or not threshold > 0 or not 0 <= release <= 1:
        raise LayoutError(
            f"polarity must be 1 or -1, threshold > 0 and release in 0..1; given: {polarity=}, {threshold=}, {release=}"
        )
    cut = Discriminator(float(threshold), int(polarity), float(baseline), float(release), int(width), int(dead_time))
    most = len(samples) // 2 + 1
    positions = np.empty(most if limit is None else max(0, min(limit, most)))
    return positions[: _find_edges_compiled(samples, positions, cut)].copy()
