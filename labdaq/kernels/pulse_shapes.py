"""The shape of a pulse: cut out and normalised, and compared with a template.

A pulse is cut out where it is higher than `level` above its baseline, between its bases, and divided by its
integral. Shapes of high and low pulses can then be averaged to a template, and compared. A template ``r`` of ``M``
samples is moved along a pulse ``p`` of ``N`` samples; at position ``j`` it has its middle sample ``M // 2`` there:

    c_j = sum over n of  p_{j - M // 2 + n}  r_n              as scipy.signal.correlate(p, r, "same")

The best position has the greatest ``c_j``. The coefficient ``c_j / sqrt(sum p^2 sum r^2)`` is 1 for the same shape at
any height, and less for any other. These are the normalised pulse and the correlation of mimoCoRB.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError
from labdaq.kernels.peak_steps import measure_width
from labdaq.native import jit

__all__ = ["NormalisedPulse", "match_template", "match_template_into", "normalised_pulse"]


class NormalisedPulse(NamedTuple):
    """A pulse cut out of its waveform."""

    shape: npt.NDArray[np.float64]
    """Its samples over their sum, per sample."""
    begin: int
    """Its first sample in the waveform."""
    integral: float
    """The sum of its samples over the baseline, in the unit of the waveform times samples."""


def normalised_pulse(waveform: npt.ArrayLike, peak: Any, *, level: float, baseline: float = 0.0) -> NormalisedPulse:
    """Cut out a pulse and normalise it to an integral of 1.

    Parameters
    ----------
    waveform : array_like, shape (samples,)
        Integer or real; the pulse goes up.
    peak : record of PEAK
        From :func:`labdaq.kernels.find_peaks` with `prominence` or `width`, which gives it bases.
    level : float
        The pulse lasts as long as it is so much over the baseline, in the unit of the waveform.
    baseline : float
        The value of the waveform without a pulse, in its unit.

    Raises
    ------
    LayoutError
        If the peak has no bases, or does not lie in the waveform.
    DataError
        If the pulse is not higher than the level, or its integral is not positive.

    Examples
    --------
    >>> from labdaq.kernels import find_peaks
    >>> waveform = [1, 1, 2, 5, 9, 5, 1, 1]
    >>> pulse = normalised_pulse(waveform, find_peaks(waveform, prominence=3)[0], level=2, baseline=1)
    >>> pulse.shape.tolist(), pulse.begin, pulse.integral
    ([0.058823529411764705, 0.23529411764705882, 0.47058823529411764, 0.23529411764705882], 2, 17.0)
    """
    samples = np.asarray(waveform, np.float64) - baseline
    top, left_base, right_base = int(peak["index"]), int(peak["left_base"]), int(peak["right_base"])
    if samples.ndim != 1 or not 0 <= left_base < top < right_base < len(samples):
        raise LayoutError(
            f"the peak needs bases in a row of samples; given: bases {left_base} and {right_base} of a peak at {top} "
            f"in shape {samples.shape}: ask find_peaks for the prominence"
        )
    if not samples[top] > level:
        raise DataError(f"the pulse is {samples[top]:g} over the baseline, hence nowhere more than {level:g}")
    _, left, right = measure_width(samples, top, float(level), left_base, right_base)
    begin = math.floor(left)
    shape = samples[begin : math.ceil(right)]
    integral = float(shape.sum())
    if not integral > 0:
        raise DataError(f"the integral of the pulse is {integral:g}: is the baseline of {baseline:g} right?")
    return NormalisedPulse(shape / integral, begin, integral)


@jit
def match_template_into(pulse: Any, template: Any, correlation: Any) -> tuple[int, float]:
    """Do what :func:`match_template` does, compiled, and write ``c_j`` to `correlation`. Nothing is checked."""
    n, m = pulse.shape[0], template.shape[0]
    best = 0
    for j in range(n):
        begin = j - m // 2
        total = 0.0
        for k in range(max(0, -begin), min(m, n - begin)):
            total += pulse[begin + k] * template[k]
        correlation[j] = total
        if total > correlation[best]:
            best = j
    pulse_square = template_square = 0.0
    for i in range(n):
        pulse_square += float(pulse[i]) ** 2
    for i in range(m):
        template_square += float(template[i]) ** 2
    return best, correlation[best] / np.sqrt(pulse_square * template_square)


def match_template(pulse: npt.ArrayLike, template: npt.ArrayLike) -> tuple[int, float]:
    """Find where a template fits best on a pulse, and how well.

    Parameters
    ----------
    pulse, template : array_like, one-dimensional
        Real samples without their baseline, of any lengths and heights.

    Returns
    -------
    position : int
        The sample of the pulse on which the middle sample of the template (``len(template) // 2``) lies.
    coefficient : float
        At most 1; NaN if one of them is zero throughout.

    Raises
    ------
    LayoutError
        If one of them is empty or not a row of real samples.

    Examples
    --------
    >>> match_template([0, 0, 0, 2, 6, 4, 0], [1, 3, 2])
    (4, 1.0)
    """
    p, r = np.asarray(pulse), np.asarray(template)
    if any(x.ndim != 1 or not x.size or x.dtype.kind not in "iuf" for x in (p, r)):
        raise LayoutError(f"pulse and template are rows of real samples, not {p.dtype}{p.shape} and {r.dtype}{r.shape}")
    p, r = np.ascontiguousarray(p, np.float64), np.ascontiguousarray(r, np.float64)
    position, coefficient = match_template_into(p, r, np.empty(len(p)))
    return int(position), float(coefficient)
