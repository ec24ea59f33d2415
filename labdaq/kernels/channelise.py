"""Voltages into frequency channels: by Fourier transforms, or by a polyphase filter bank.

A Fourier transform of `length` samples has channels whose response falls slowly on both sides. A polyphase filter
bank weights several times as many samples with a long window and folds them to `length` before it transforms them:
its channels are flat and have steep edges. One formula holds for both, and is the definition here:

    X[m, k] = sum over n of  h[n] x[m length + n] exp(-2 pi i n f[k]),   divided by sqrt(sum of h**2)

with the window h, of ones and `length` samples for a plain transform. By the division, white noise has the same power
in each channel as it has in its samples.

Sources: R. E. Crochiere, L. R. Rabiner, *Multirate Digital Signal Processing* (1983), chapter 7; D. C. Price,
"Spectrometers and polyphase filterbanks in radio astronomy", arXiv:1607.03579.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native.cuda import as_array, device_of

__all__ = ["Channeliser", "channel_frequencies", "channelise", "channelise_reference", "pfb_window"]


def channel_frequencies(length: int, *, is_complex: bool, sample_rate_hz: float = 1.0) -> npt.NDArray[np.float64]:
    """Frequencies of the channels in Hz, ascending; those of complex samples begin below 0.

    Examples
    --------
    >>> channel_frequencies(4, is_complex=True, sample_rate_hz=8.0), channel_frequencies(4, is_complex=False)
    (array([-4., -2.,  0.,  2.]), array([0.  , 0.25, 0.5 ]))
    """
    if is_complex:
        return np.asarray(np.fft.fftshift(np.fft.fftfreq(length)) * sample_rate_hz)
    return np.asarray(np.fft.rfftfreq(length) * sample_rate_hz)


def pfb_window(length: int, taps: int = 4) -> npt.NDArray[np.float64]:
    """The window of a polyphase filter bank: a sinc, as wide as a channel, under a Hamming window.

    Parameters
    ----------
    length : int
        Samples of a transform.
    taps : int
        How many times as many the window has.

    Raises
    ------
    LayoutError
        When one of them is less than 1.

    Examples
    --------
    >>> window = pfb_window(8, taps=4)
    >>> len(window), bool(np.allclose(window, window[::-1]))
    (32, True)
    """
    if length < 1 or taps < 1:
        raise LayoutError(f"{length=}, {taps=}: a window has at least 1 sample and 1 tap")
    count = length * taps
    at = (np.arange(count) + 0.5) / length - taps / 2
    return np.sinc(at) * np.hamming(count)


def _checked(voltages: npt.ArrayLike, length: int, window: npt.ArrayLike | None) -> tuple[Any, Any]:
    """The samples and the normalised window, as ``(taps, length)``."""
    samples = as_array(voltages)
    if samples.ndim == 0 or samples.dtype.kind not in "iufc":
        raise LayoutError(f"voltages of {samples.dtype}{samples.shape}: (time, …) of numbers is needed; unpack() first")
    if samples.dtype.kind in "iu":
        samples = samples.astype(np.float32)
    if length < 2:
        raise LayoutError(f"length={length}: a transform has at least 2 samples")
    weights = np.ones(length) if window is None else np.asarray(window, np.float64)
    if weights.ndim != 1 or len(weights) == 0 or len(weights) % length or not np.isfinite(weights).all():
        raise LayoutError(f"a window of shape {weights.shape}: a multiple of {length} numbers is needed")
    return samples, (weights / np.sqrt((weights**2).sum())).reshape(-1, length)


def channelise_reference(
    voltages: npt.ArrayLike, length: int, window: npt.ArrayLike | None = None
) -> npt.NDArray[np.complex128]:
    """The definition of :func:`channelise`, sum by sum, in 64 bits."""
    samples, weights = _checked(voltages, length, window)
    count = weights.size
    at = channel_frequencies(length, is_complex=samples.dtype.kind == "c")
    transform = np.exp(-2j * np.pi * np.outer(at, np.arange(count))) * weights.reshape(-1)
    begins = range(0, len(samples) - count + 1, length)
    spectra = [np.tensordot(transform, samples[begin : begin + count], 1) for begin in begins]
    return np.array(spectra, np.complex128).reshape(len(begins), len(at), *samples.shape[1:])


def channelise(voltages: npt.ArrayLike, length: int, window: npt.ArrayLike | None = None) -> npt.NDArray[Any]:
    """Make spectra of samples.

    Parameters
    ----------
    voltages : array_like
        ``(time, …)``, real or complex.
    length : int
        Samples from one spectrum to the next, which are as many complex channels.
    window : array_like, optional
        Weights of a multiple of `length` samples: ``pfb_window(length)`` for a polyphase filter bank,
        ``numpy.hanning(length)`` for a smooth transform. By default a plain transform.

    Returns
    -------
    ndarray
        ``(spectrum, channel, …)``, complex64 of samples of up to 32 bits and complex128 of others. Channels
        ascend as in :func:`channel_frequencies`: `length` of complex samples, ``length // 2 + 1`` of real ones. Of a
        window with n taps there are n - 1 spectra less than of a plain transform. Samples that fill no spectrum
        are left out; :class:`Channeliser` keeps them for the next time.

    Raises
    ------
    LayoutError
        When samples are no numbers, or the window does not fit.

    Examples
    --------
    >>> tone = np.exp(2j * np.pi * 0.25 * np.arange(64))
    >>> spectra = channelise(tone, 8)
    >>> spectra.shape, int(abs(spectra[0]).argmax()), channel_frequencies(8, is_complex=True)[6]
    ((8, 8), 6, np.float64(0.25))
    """
    samples, weights = _checked(voltages, length, window)
    if (device := device_of(samples)) is not None:
        from labdaq.kernels.cuda import spectra as on_gpu

        return cast(npt.NDArray[Any], on_gpu.channelise(device, samples, weights))
    taps, rows = len(weights), len(samples) // length
    count, inner = max(0, rows - taps + 1), samples.shape[1:]
    real = np.float32 if samples.dtype in (np.float32, np.complex64, np.float16) else np.float64
    blocks = samples[: rows * length].reshape(rows, length, *inner)
    factors = weights.astype(real).reshape(taps, length, *(1 for _ in inner))
    folded = blocks[:count] * factors[0]
    for tap in range(1, taps):
        folded += blocks[tap : tap + count] * factors[tap]
    if samples.dtype.kind == "c":
        spectra = np.fft.fftshift(np.fft.fft(folded, axis=1), axes=1)
    else:
        spectra = np.fft.rfft(folded, axis=1)
    return spectra.astype(np.complex64 if real is np.float32 else np.complex128, copy=False)


class Channeliser:
    """:func:`channelise` for samples that come gulp by gulp: the spectra are those of all samples in a row.

    Parameters
    ----------
    length, window
        As for :func:`channelise`.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=100)
    >>> bank = Channeliser(8, pfb_window(8, taps=2))
    >>> parts = [bank(noise[:30]), bank(noise[30:37]), bank(noise[37:])]
    >>> bool(np.allclose(np.concatenate(parts), channelise(noise, 8, pfb_window(8, taps=2))))
    True
    """

    def __init__(self, length: int, window: npt.ArrayLike | None = None) -> None:
        self.length, self.window = length, window
        self._taps = len(_checked([0.0], length, window)[1])
        self._rest: npt.NDArray[Any] | None = None

    def __call__(self, voltages: npt.ArrayLike) -> npt.NDArray[Any]:
        """The spectra that are complete now.

        Raises
        ------
        LayoutError
            When samples have another shape than before: :meth:`reset` first.
        """
        samples = as_array(voltages)
        if self._rest is not None:
            if self._rest.shape[1:] != samples.shape[1:]:
                raise LayoutError(f"samples of shape {samples.shape[1:]} after {self._rest.shape[1:]}: reset() first")
            samples = np.concatenate([self._rest, samples])
        spectra = channelise(samples, self.length, self.window)
        self._rest = samples[len(spectra) * self.length :].copy()
        return spectra

    def reset(self) -> None:
        """Forget what was kept, as where samples are missing or another sequence begins."""
        self._rest = None
