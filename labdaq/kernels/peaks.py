"""The peaks of a waveform: local maxima, chosen by height, distance, prominence and width.

The same peaks and the same numbers as :func:`scipy.signal.find_peaks`, compiled. Two things are laid down that
SciPy leaves open. NaN: it is nowhere a peak, and the search for a base ends at it. Equal heights: of two peaks
that are too near to each other and equally high, the later one stays, on every machine; SciPy's choice depends on its
sorting, so that with `distance` and samples of few bits its peaks are now and then a few samples off from these.
Infinite samples are not provided for.

What the quantities mean, and the steps for compiled callers: :mod:`labdaq.kernels.peak_steps`.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.kernels.peak_steps import PEAK, PeakCut, find_peaks_into, peak_room

__all__ = ["find_peaks", "peak_cut"]

Limits = float | tuple[float | None, float | None] | None


def _limits(name: str, given: Limits) -> tuple[float, float]:
    """Least and greatest; infinite where there is no limit."""
    try:
        least, most = given if isinstance(given, tuple | list) else (given, None)
        return (-math.inf if least is None else float(least), math.inf if most is None else float(most))
    except (TypeError, ValueError) as error:
        raise LayoutError(f"{name} is a number or a pair (least, most), None for no limit; given: {given!r}") from error


def _window(wlen: float | None) -> int:
    if wlen is None:
        return -1
    if not wlen > 1:
        raise LayoutError(f"wlen must be more than 1 sample, or None; given: {wlen}")
    return math.ceil(wlen)


def peak_cut(
    height: Limits = None,
    *,
    threshold: Limits = None,
    distance: float | None = None,
    prominence: Limits = None,
    width: Limits = None,
    wlen: float | None = None,
    rel_height: float = 0.5,
    plateau_size: Limits = None,
) -> PeakCut:
    """The arguments of :func:`find_peaks` as one value for compiled functions, checked.

    Raises
    ------
    LayoutError
        If an argument is outside its range.

    Examples
    --------
    >>> cut = peak_cut(prominence=35, distance=10)
    >>> cut.min_prominence, cut.distance, cut.has_prominence, cut.has_width
    (35.0, 10, True, False)
    """
    if distance is not None and not distance >= 1:
        raise LayoutError(f"distance must be at least 1 sample, or None; given: {distance}")
    if not rel_height >= 0:
        raise LayoutError(f"rel_height must not be negative; given: {rel_height}")
    return PeakCut(
        *_limits("height", height),
        *_limits("threshold", threshold),
        *_limits("plateau_size", plateau_size),
        1 if distance is None else math.ceil(distance),
        *_limits("prominence", prominence),
        *_limits("width", width),
        float(rel_height),
        _window(wlen),
        prominence is not None,
        width is not None,
    )


def find_peaks(
    waveform: npt.ArrayLike,
    height: Limits = None,
    *,
    threshold: Limits = None,
    distance: float | None = None,
    prominence: Limits = None,
    width: Limits = None,
    wlen: float | None = None,
    rel_height: float = 0.5,
    plateau_size: Limits = None,
) -> npt.NDArray[Any]:
    """Find the peaks of a waveform, with their heights, prominences and widths.

    Each limit is a number (the least that counts) or a pair of the least and the greatest, None for no limit.
    ``(None, None)`` has a quantity measured without a cut on it.

    Parameters
    ----------
    waveform : array_like, shape (samples,)
        Integer or real; pulses go up. Give ``-waveform`` for those that go down.
    height
        Height of the peak, in the unit of the waveform.
    threshold
        Step from the peak to the neighbouring samples, likewise.
    distance : float, optional
        Fewest samples from peak to peak; the lower of two that are nearer goes.
    prominence
        Height over the higher of the two bases, in the unit of the waveform.
    width
        Width in samples, `rel_height` of the prominence below the top.
    wlen : float, optional
        Look for bases in a window of so many samples around the peak only.
    rel_height : float
        0 measures the width at the top, 1 at the higher base.
    plateau_size
        Samples of the flat top.

    Returns
    -------
    ndarray of PEAK, shape (peaks,)
        In the order of time. Its fields are described at :data:`labdaq.kernels.PEAK`.

    Raises
    ------
    LayoutError
        If the waveform is not one-dimensional and real, or an argument is outside its range.

    Examples
    --------
    >>> found = find_peaks([0, 1, 0, 4, 8, 4, 0, 5, 5, 0], prominence=2, width=1)
    >>> found["index"].tolist(), found["prominence"].tolist(), found["width"].tolist()
    ([4, 7], [8.0, 5.0], [2.0, 2.0])
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise LayoutError(f"peaks are found in a row of real samples, not in {samples.dtype}{samples.shape}")
    cut = peak_cut(
        height,
        threshold=threshold,
        distance=distance,
        prominence=prominence,
        width=width,
        wlen=wlen,
        rel_height=rel_height,
        plateau_size=plateau_size,
    )
    samples = np.ascontiguousarray(samples, np.float64).view()
    samples.flags.writeable = False  # one version of the machine code, whoever owns the waveform
    room = peak_room(len(samples))
    found = room.peaks[: find_peaks_into(samples, cut, room)]
    return np.array(found, PEAK)
