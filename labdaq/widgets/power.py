"""Power spectra of waveforms, after Welch: the mean over overlapping stretches, each under a Hann window."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["frequencies", "power_density"]


def power_density(waveforms: npt.NDArray[Any], rate_hz: float, length: int) -> npt.NDArray[np.float64]:
    """One-sided spectral density of power, as `scipy.signal.welch` finds it with its defaults.

    Parameters
    ----------
    waveforms : ndarray, shape (channels, samples)
        Real or integer.
    rate_hz : float
        Samples per second.
    length : int
        Samples of a stretch; half of each overlaps with the next.

    Returns
    -------
    ndarray of float64, shape (channels, length // 2 + 1)
        Square of the unit of the waveforms, per hertz. Its integral is the variance.

    Raises
    ------
    LayoutError
        The stretch is longer than the waveforms, or shorter than 2 samples.

    References
    ----------
    P. D. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 125 * np.arange(1000) / 1000)[None]
    >>> density = power_density(tone, 1000.0, 200)
    >>> frequencies(1000.0, 200)[density[0].argmax()].item(), round(density.sum().item() * 5, 3)
    (125.0, 0.5)
    """
    samples = waveforms.shape[-1]
    if not 2 <= length <= samples:
        raise LayoutError(f"length={length}: a stretch has 2 to {samples} samples")
    window = np.hanning(length + 1)[:-1]
    stretches = np.lib.stride_tricks.sliding_window_view(np.asarray(waveforms, np.float64), length, axis=-1)
    stretches = stretches[:, :: length - length // 2]
    stretches = stretches - stretches.mean(axis=-1, keepdims=True)
    power = np.abs(np.fft.rfft(stretches * window, axis=-1)) ** 2 / (rate_hz * (window**2).sum())
    power[..., 1 : (length + 1) // 2] *= 2  # negative frequencies; the first and the last have no partner
    density: npt.NDArray[np.float64] = power.mean(axis=1)
    return density


def frequencies(rate_hz: float, length: int) -> npt.NDArray[np.float64]:
    """Of the values of :func:`power_density`, in hertz."""
    values: npt.NDArray[np.float64] = np.fft.rfftfreq(length, 1 / rate_hz).astype(np.float64)
    return values
