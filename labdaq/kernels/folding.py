"""Folding: what repeats with a period is added up by its phase, and stands out of the noise.

Source: D. R. Lorimer, M. Kramer, *Handbook of Pulsar Astronomy* (2005), chapter 7.1.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import inlined, jit

__all__ = ["Profile", "fold", "fold_reference"]


class Profile(NamedTuple):
    """Sums by phase; those of several stretches of data can be added.

    Examples
    --------
    >>> once = fold([1.0, 5.0, 1.0, 1.0], 0.25, period_s=1.0, bins=4)
    >>> once.plus(once).counts.tolist(), once.mean.tolist()
    ([2, 2, 2, 2], [1.0, 5.0, 1.0, 1.0])
    """

    sums: npt.NDArray[np.float64]
    """``(bin, …)``."""
    counts: npt.NDArray[np.int64]
    """Frames in each bin."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """Mean of each bin; NaN where no frame fell."""
        counts = self.counts.reshape(-1, *(1,) * (self.sums.ndim - 1))
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / counts)

    def plus(self, other: "Profile") -> "Profile":
        """The profile of both stretches together.

        Raises
        ------
        LayoutError
            When they have other bins.
        """
        if self.sums.shape != other.sums.shape:
            raise LayoutError(f"profiles of {self.sums.shape} and {other.sums.shape}: both need the same bins")
        return Profile(self.sums + other.sums, self.counts + other.counts)


@inlined
def phase_bin(time_s: float, period_s: float, bins: int) -> int:
    """The bin of a time; the last one where rounding would make a bin too many."""
    turns = time_s / period_s
    return min(int((turns - np.floor(turns)) * bins), bins - 1)


@jit
def _fold_compiled(series: Any, times: Any, bins: int, sums: Any, counts: Any) -> None:
    """`times`: of the first frame, from frame to frame, and the period, in seconds."""
    for i in range(series.shape[0]):
        place = phase_bin(times[0] + i * times[1], times[2], bins)
        counts[place] += 1
        for j in range(series.shape[1]):
            sums[place, j] += series[i, j]


def _checked(series: npt.ArrayLike, frame_s: float, period_s: float, bins: int) -> npt.NDArray[Any]:
    array = np.asarray(series)
    if array.ndim == 0 or array.dtype.kind not in "iuf":
        raise LayoutError(f"a series of {array.dtype}{array.shape}: (frame, …) of real numbers is needed")
    if not 0 < frame_s < np.inf or not 0 < period_s < np.inf or bins < 1:
        raise LayoutError(f"{frame_s=}, {period_s=}, {bins=}: seconds above 0, and at least 1 bin")
    return array


def fold_reference(
    series: npt.ArrayLike, frame_s: float, *, period_s: float, bins: int = 64, begin_s: float = 0.0
) -> Profile:
    """The definition of :func:`fold`, in NumPy."""
    array = _checked(series, frame_s, period_s, bins)
    turns = (begin_s + np.arange(len(array)) * frame_s) / period_s
    places = np.minimum(((turns - np.floor(turns)) * bins).astype(np.int64), bins - 1)
    sums = np.zeros((bins, *array.shape[1:]))
    np.add.at(sums, places, array)
    return Profile(sums, np.bincount(places, minlength=bins))


def fold(series: npt.ArrayLike, frame_s: float, *, period_s: float, bins: int = 64, begin_s: float = 0.0) -> Profile:
    """Add frames up by the phase of a period.

    Parameters
    ----------
    series : array_like
        ``(frame, …)``, real.
    frame_s : float
        Seconds from frame to frame.
    period_s : float
        Seconds.
    bins : int
        Into which a period is divided.
    begin_s : float
        Time of the first frame: for data that come gulp by gulp, what went before.

    Returns
    -------
    Profile
        Sums and counts; ``.mean`` is the profile.

    Raises
    ------
    LayoutError
        When a number is not possible.

    Examples
    --------
    >>> pulses = np.tile([0.0, 8.0, 0.0, 0.0], 100)
    >>> fold(pulses, 0.25, period_s=1.0, bins=4).mean.tolist()
    [0.0, 8.0, 0.0, 0.0]
    """
    array = _checked(series, frame_s, period_s, bins)
    flat = np.ascontiguousarray(
        array, np.float32 if array.dtype.itemsize <= 2 or array.dtype == np.float32 else np.float64
    )
    flat = flat.reshape(len(array), math.prod(array.shape[1:])).view()
    flat.flags.writeable = False  # one version of the machine code, whoever owns the values
    sums, counts = np.zeros((bins, flat.shape[1])), np.zeros(bins, np.int64)
    _fold_compiled(flat, np.array([begin_s, frame_s, period_s], np.float64), bins, sums, counts)
    return Profile(sums.reshape(bins, *array.shape[1:]), counts)
