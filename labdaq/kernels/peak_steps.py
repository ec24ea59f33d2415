"""The steps of finding peaks, compiled: for callers that are compiled themselves, without any allocation.

A *peak* is a local maximum: a sample, or a plateau of equal samples, whose neighbours on both sides are
lower. Of a plateau the middle counts. Its *prominence* is its height over the higher of its two bases; a
base is the lowest sample between the peak and the next sample that is higher, on one side. Its *width* is
the length of the horizontal line through it, `rel_height` of the prominence below its top. Definitions and
results are those of :func:`scipy.signal.find_peaks`.

What makes it quick: a peak lower than the smallest sample plus the least prominence cannot have that
prominence, and cannot push out a higher one. Noise is passed over in the first scan, with the same result.
"""

from typing import Any, NamedTuple

import numpy as np

from labdaq.kernels.peak_scan import BLOCK, LANES, find_base, order_by_height, sum_up
from labdaq.native import inlined, jit

__all__ = ["PEAK", "PeakCut", "PeakRoom", "find_peaks_into", "measure_width", "peak_room"]

_PLACES = ("index", "left_edge", "right_edge", "left_base", "right_base")
_MEASURES = ("height", "prominence", "width", "width_height", "left_ip", "right_ip")
PEAK = np.dtype([(name, "i8") for name in _PLACES] + [(name, "f8") for name in _MEASURES])
"""One peak: places in samples, heights in the unit of the waveform, width and intersections in samples.

`left_edge` and `right_edge` are the first and last sample of its plateau. What was not asked for is -1
(the bases) or NaN (prominence, width, its height, and where its line meets the flanks: `left_ip`, `right_ip`).
"""


class PeakCut(NamedTuple):
    """What counts as a peak. Compiled functions take it as one argument; infinite limits cut nothing."""

    min_height: float = -np.inf
    """Lowest and ..."""
    max_height: float = np.inf
    """... highest sample at a peak, in the unit of the waveform."""
    min_threshold: float = -np.inf
    """Least step from the peak to the sample before or behind it, and ..."""
    max_threshold: float = np.inf
    """... greatest such step, in the unit of the waveform."""
    min_plateau: float = -np.inf
    """Fewest and ..."""
    max_plateau: float = np.inf
    """... most samples of the flat top."""
    distance: int = 1
    """Fewest samples from peak to peak; the lower of two that are nearer goes. Of equal ones the first goes."""
    min_prominence: float = -np.inf
    """Least and ..."""
    max_prominence: float = np.inf
    """... greatest height over the higher base, in the unit of the waveform."""
    min_width: float = -np.inf
    """Least and ..."""
    max_width: float = np.inf
    """... greatest width, in samples."""
    rel_height: float = 0.5
    """The width is measured this fraction of the prominence below the top."""
    wlen: int = -1
    """Bases are looked for in a window of so many samples with the peak in its middle; -1: everywhere."""
    has_prominence: bool = False
    """Whether prominences are measured, and the cuts on them apply."""
    has_width: bool = False
    """Whether widths are measured (hence prominences), and the cuts on them apply."""


class PeakRoom(NamedTuple):
    """Where peaks are written to, and what their search needs meanwhile. Made by :func:`peak_room`."""

    peaks: Any
    """Array of PEAK: the peaks found come first."""
    order: Any
    """Numbers of the peaks by height, while they are thinned out, ..."""
    spare: Any
    """... and the other half of their sorting."""
    is_near: Any
    """Whether a peak is too near to a higher one."""
    blocks: Any
    """The smallest and the greatest sample of each block of samples, in two rows: searches jump over blocks."""
    lanes: Any
    """Scratch of summing them up."""


@jit
def peak_room(samples: int) -> PeakRoom:
    """Room for the peaks of waveforms of so many samples: never more than half of them are maxima.

    Examples
    --------
    >>> len(peak_room(4000).peaks)
    2000
    """
    most = max(1, samples // 2)
    blocks = samples // BLOCK + 1
    numbers, spare = np.empty((2, most), np.int64)
    return PeakRoom(
        np.empty(most, PEAK), numbers, spare, np.empty(most, np.bool_), np.empty((2, blocks)), np.empty(LANES)
    )


@jit
def _lowest_height(cut: PeakCut, smallest: float) -> float:
    """A height below which no peak passes the cuts on height and prominence. It may be a trifle too low."""
    if not (cut.has_prominence and cut.min_prominence > 0.0):
        return cut.min_height
    rounding = 1e-9 * (abs(smallest) + cut.min_prominence)
    return max(cut.min_height, smallest + cut.min_prominence - rounding)


@inlined
def _is_wanted(samples: Any, peak: int, plateau: int, cut: PeakCut) -> bool:
    height = samples[peak]
    before, behind = height - samples[peak - 1], height - samples[peak + 1]
    return bool(
        cut.min_plateau <= plateau <= cut.max_plateau
        and cut.min_height <= height <= cut.max_height
        and cut.min_threshold <= min(before, behind)
        and max(before, behind) <= cut.max_threshold
    )


@inlined
def _note(samples: Any, left: int, right: int, peak: Any) -> None:
    peak["index"] = (left + right) // 2
    peak["left_edge"], peak["right_edge"] = left, right
    peak["left_base"] = peak["right_base"] = -1
    peak["height"] = samples[(left + right) // 2]
    peak["prominence"] = peak["width"] = peak["width_height"] = np.nan
    peak["left_ip"] = peak["right_ip"] = np.nan


@inlined
def _collect(samples: Any, cut: PeakCut, room: PeakRoom) -> int:
    found, last = 0, samples.shape[0] - 1
    floor = _lowest_height(cut, sum_up(samples, room.blocks, room.lanes))
    i = 1
    while i < last:
        if i & (BLOCK - 1) == 0 and room.blocks[1, i // BLOCK] < floor:
            i += BLOCK
            continue
        if samples[i] >= floor and samples[i - 1] < samples[i]:
            end = i + 1
            while end < last and samples[end] == samples[i]:
                end += 1
            if samples[end] < samples[i]:
                if _is_wanted(samples, (i + end - 1) // 2, end - i, cut):
                    _note(samples, i, end - 1, room.peaks[found])
                    found += 1
                i = end
        i += 1
    return found


@inlined
def _keep_distant(distance: int, room: PeakRoom, n: int) -> int:
    peaks, is_near = room.peaks, room.is_near
    order = order_by_height(peaks, n, room.order, room.spare)
    is_near[:n] = False
    for i in range(n - 1, -1, -1):
        high = order[i]
        if is_near[high]:
            continue
        for step in (-1, 1):
            other = high + step
            while 0 <= other < n and abs(peaks[other]["index"] - peaks[high]["index"]) < distance:
                is_near[other] = True
                other += step
    kept = 0
    for i in range(n):
        if not is_near[i]:
            peaks[kept] = peaks[i]
            kept += 1
    return kept


@inlined
def _measure_prominence(samples: Any, peak: int, cut: PeakCut, room: PeakRoom) -> tuple[float, int, int]:
    """Prominence and bases. When it is too small already on the left, the right side is not looked at."""
    first, last = 0, samples.shape[0] - 1
    if cut.wlen >= 2:
        first, last = max(first, peak - cut.wlen // 2), min(last, peak + cut.wlen // 2)
    left = find_base(samples, room.blocks, peak, -1, first - 1)
    if cut.has_prominence and samples[peak] - samples[left] < cut.min_prominence:
        return samples[peak] - samples[left], left, peak
    right = find_base(samples, room.blocks, peak, 1, last + 1)
    return samples[peak] - max(samples[left], samples[right]), left, right


@jit
def measure_width(
    samples: Any, peak: int, height: float, left_base: int, right_base: int
) -> tuple[float, float, float]:
    """Width at a height, and where the flanks meet it, in samples. For compiled callers: nothing is checked.

    The line from sample to sample is followed from the peak to its bases, and no further.
    """
    i = peak
    while left_base < i and height < samples[i]:
        i -= 1
    left = float(i)
    if samples[i] < height:
        left += (height - samples[i]) / (samples[i + 1] - samples[i])
    i = peak
    while i < right_base and height < samples[i]:
        i += 1
    right = float(i)
    if samples[i] < height:
        right -= (height - samples[i]) / (samples[i - 1] - samples[i])
    return right - left, left, right


@inlined
def _keep_prominent(samples: Any, cut: PeakCut, room: PeakRoom, n: int) -> int:
    peaks, kept = room.peaks, 0
    for i in range(n):
        prominence, left, right = _measure_prominence(samples, peaks[i]["index"], cut, room)
        if not cut.has_prominence or cut.min_prominence <= prominence <= cut.max_prominence:
            peaks[kept] = peaks[i]
            peaks[kept]["prominence"] = prominence
            peaks[kept]["left_base"], peaks[kept]["right_base"] = left, right
            kept += 1
    return kept


@inlined
def _keep_wide(samples: Any, cut: PeakCut, peaks: Any, n: int) -> int:
    kept = 0
    for i in range(n):
        peak = peaks[i]
        height = peak["height"] - peak["prominence"] * cut.rel_height
        width, left, right = measure_width(samples, peak["index"], height, peak["left_base"], peak["right_base"])
        if cut.min_width <= width <= cut.max_width:
            peaks[kept] = peak
            peaks[kept]["width"], peaks[kept]["width_height"] = width, height
            peaks[kept]["left_ip"], peaks[kept]["right_ip"] = left, right
            kept += 1
    return kept


@jit
def find_peaks_into(samples: Any, cut: PeakCut, room: PeakRoom) -> int:
    """Find the peaks of a waveform, and write them to the beginning of ``room.peaks``: a step, compiled.

    Parameters
    ----------
    samples : ndarray of float64, shape (n,)
        Waveform. NaN is nowhere a peak, and a border that no search for a base crosses.
    cut : PeakCut
        What counts as a peak; its fields are not checked.
    room : PeakRoom
        Of :func:`peak_room` for at least `n` samples. Nothing else is written to or allocated.

    Returns
    -------
    int
        How many peaks there are.

    Examples
    --------
    >>> room = peak_room(6)
    >>> find_peaks_into(np.array([0.0, 2.0, 1.0, 5.0, 5.0, 0.0]), PeakCut(min_height=1.5), room)
    2
    >>> room.peaks[:2]["index"].tolist(), room.peaks[:2]["height"].tolist()
    ([1, 3], [2.0, 5.0])
    """
    found = _collect(samples, cut, room)
    if cut.distance > 2:  # maxima are never nearer than that
        found = _keep_distant(cut.distance, room, found)
    if cut.has_prominence or cut.has_width:
        found = _keep_prominent(samples, cut, room, found)
    if cut.has_width:
        found = _keep_wide(samples, cut, room.peaks, found)
    return found
