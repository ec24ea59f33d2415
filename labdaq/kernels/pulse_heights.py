"""Pulse-height analysis: what a pulse is worth, after its baseline is taken off.

With the samples ``x``, the polarity ``s`` (1 or -1) and the baseline ``b``, the mean of the ``n`` quiet samples:

    height    max over the pulse of  s (x_i - b)         in the unit of the waveform
    integral  sum over the pulse of  s (x_i - b)         in that unit times samples
    noise     sqrt(sum over the quiet samples of (x_i - b)^2 / (n - 1))

For white noise of standard deviation ``sigma``, the integral over ``N`` samples has the standard deviation
``sigma sqrt(N + N^2 / n)``: its second part is the baseline's, so `n` should not be smaller than `N`. Volts times
samples, times the sample interval in seconds, over the termination in ohms, are coulombs.
"""

from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import as_array, device_of

__all__ = ["PULSE", "PulseWindow", "analyse_pulses", "measure_baseline", "measure_pulse"]

PULSE = np.dtype([("position", "i8"), ("height", "f8"), ("integral", "f8"), ("baseline", "f8"), ("noise", "f8")])
"""One pulse: the sample at its top, and what the module describes."""


class PulseWindow(NamedTuple):
    """Where to look for a pulse. Compiled functions take it as one argument."""

    begin: int
    """First sample of the pulse."""
    end: int
    """First sample behind it."""
    quiet_begin: int
    """First sample of those that tell the baseline."""
    quiet_end: int
    """First sample behind them."""
    polarity: int = 1
    """1 for pulses that go up, -1 for pulses that go down."""


@jit
def measure_baseline(waveform: Any, begin: int, end: int) -> tuple[float, float]:
    """Mean and standard deviation of the samples from `begin` to before `end`. For compiled callers.

    Without samples the mean is NaN, with fewer than two the standard deviation.

    Examples
    --------
    >>> measure_baseline(np.array([1.0, 3.0, 9.0]), 0, 2)
    (2.0, 1.4142135623730951)
    """
    n = end - begin
    total = 0.0
    for i in range(begin, end):
        total += waveform[i]
    mean = total / n if n > 0 else np.nan
    squares = 0.0
    for i in range(begin, end):
        squares += (waveform[i] - mean) ** 2
    return mean, np.sqrt(squares / (n - 1)) if n > 1 else np.nan


@jit
def measure_pulse(waveform: Any, window: PulseWindow, out: Any) -> None:
    """Write one record of PULSE to ``out[0]``: a step, compiled. The window is not checked.

    Examples
    --------
    >>> out = np.zeros(1, PULSE)
    >>> measure_pulse(np.array([1.0, 1.0, 1.0, 5.0, 3.0]), PulseWindow(2, 5, 0, 2), out)
    >>> out["height"].item(), out["integral"].item(), out["position"].item()
    (4.0, 6.0, 3)
    """
    baseline, noise = measure_baseline(waveform, window.quiet_begin, window.quiet_end)
    height, position, integral = -np.inf, window.begin, 0.0
    for i in range(window.begin, window.end):
        level = window.polarity * (waveform[i] - baseline)
        integral += level
        if level > height:
            height, position = level, i
    out[0]["position"], out[0]["height"], out[0]["integral"] = position, height, integral
    out[0]["baseline"], out[0]["noise"] = baseline, noise


@jit
def _measure_all(waveforms: Any, window: PulseWindow, out: Any) -> None:
    for event in range(waveforms.shape[0]):
        measure_pulse(waveforms[event], window, out[event : event + 1])


def analyse_pulses(
    waveforms: npt.ArrayLike, pulse: tuple[int, int], quiet: tuple[int, int], *, polarity: int = 1
) -> npt.NDArray[Any]:
    """Measure the pulse of each waveform of a batch.

    Parameters
    ----------
    waveforms : array_like, shape (events, samples)
        Integer or real.
    pulse : tuple of int
        First sample of the pulses, and the first behind them.
    quiet : tuple of int
        First sample of the baseline, and the first behind it.
    polarity : {1, -1}
        1 for pulses that go up, -1 for pulses that go down.

    Returns
    -------
    ndarray of PULSE, shape (events,)
        A spectrum is a histogram of its `height` or `integral`. Of waveforms on a GPU: a dict of its columns there,
        because arrays of GPUs hold no records.

    Raises
    ------
    LayoutError
        If the waveforms are not so, or have not these samples.

    Examples
    --------
    >>> found = analyse_pulses([[10, 10, 7, 3, 8, 10]], pulse=(2, 6), quiet=(0, 2), polarity=-1)
    >>> found["height"].item(), found["integral"].item()
    (7.0, 12.0)
    """
    rows = as_array(waveforms)
    if rows.ndim != 2 or rows.dtype.kind not in "iuf" or polarity not in {1, -1}:
        raise LayoutError(f"waveforms are rows of real samples, not {rows.dtype}{rows.shape}; polarity is 1 or -1")
    for begin, end in (pulse, quiet):
        if not 0 <= begin < end <= rows.shape[1]:
            raise LayoutError(f"samples {begin} to {end} are not a part of waveforms of {rows.shape[1]} samples")
    window = PulseWindow(*map(int, (*pulse, *quiet, polarity)))
    if (device := device_of(rows)) is not None:
        from labdaq.kernels.cuda import pulses

        return cast(npt.NDArray[Any], pulses.analyse_pulses(device, rows, window))
    out = np.zeros(len(rows), PULSE)
    rows = rows.astype(np.float64, copy=False).view()
    rows.flags.writeable = False
    _measure_all(rows, window, out)
    return out
