"""When a pulse begins, whatever its height: the time at a constant fraction of it.

A threshold is reached later by a lower pulse. The sample at which a pulse has a fixed fraction ``f`` of its own
height does not walk like that, as long as its shape stays the same. The rising flank is followed down from the
top, and the point is put on the straight line between the last sample below and the first one not below:

    t = i + (f h - y_i) / (y_{i+1} - y_i)         in samples,    with y_i < f h <= y_{i+1}

where ``y`` is the waveform without its baseline and ``h`` its value at the top. White noise of standard deviation
``sigma`` on a flank with a slope of ``k`` per sample moves it by

    sigma_t = sigma / k  sqrt((1 - a)^2 + a^2 + f^2)      in samples,    with a = t - i.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit

__all__ = ["constant_fraction_time", "find_constant_fraction"]


@jit
def find_constant_fraction(waveform: Any, peak: int, baseline: float, fraction: float) -> float:
    """Do what :func:`constant_fraction_time` does, compiled; nothing is checked.

    Pulses that go down need no other call: signs of height and levels cancel.

    Examples
    --------
    >>> find_constant_fraction(np.array([0.0, 0.0, -4.0, -8.0, -3.0]), 3, 0.0, 0.25)
    1.5
    """
    height = waveform[peak] - baseline
    above = 1.0
    for i in range(peak - 1, -1, -1):
        level = (waveform[i] - baseline) / height
        if level < fraction:
            return float(i + (fraction - level) / (above - level))
        above = level
    return np.nan


def constant_fraction_time(
    waveform: npt.ArrayLike, peak: int, *, baseline: float = 0.0, fraction: float = 0.5
) -> float:
    """The time at which a pulse reaches a constant fraction of its height.

    Parameters
    ----------
    waveform : array_like, shape (samples,)
        Integer or real; the pulse goes up or down.
    peak : int
        The sample at its top, as from :func:`labdaq.kernels.find_peaks`.
    baseline : float
        The value of the waveform without a pulse, in its unit.
    fraction : float
        More than 0, at most 1. Choose the steepest part of the flank, above the noise.

    Returns
    -------
    float
        In samples from the first sample. NaN if the flank is not in the waveform, or there is no pulse.

    Raises
    ------
    LayoutError
        If the waveform is not a row of real samples with this peak, or the fraction is outside its range.

    Examples
    --------
    >>> constant_fraction_time([0, 0, 4, 8, 8, 2], peak=3)
    2.0
    >>> constant_fraction_time([0, 0, 40, 80, 80, 20], peak=3, fraction=0.75)
    2.5
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or samples.dtype.kind not in "iuf" or not 0 <= peak < len(samples):
        raise LayoutError(f"there is no sample {peak} in a row of real samples of {samples.dtype}{samples.shape}")
    if not 0 < fraction <= 1:
        raise LayoutError(f"the fraction must be more than 0 and at most 1; given: {fraction}")
    row = np.ascontiguousarray(samples, np.float64)
    return float(find_constant_fraction(row, int(peak), float(baseline), float(fraction)))
