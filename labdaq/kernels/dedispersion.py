"""Incoherent dedispersion: between the stars low frequencies travel slower, and here they are given their time back.

The delay of frequency f against infinite frequency is ``DM / (2.41e-4 f**2)`` seconds, f in MHz and the dispersion
measure DM in pc/cm³: the rounded constant is the one that pulsar astronomy has agreed on.

Source: D. R. Lorimer, M. Kramer, *Handbook of Pulsar Astronomy* (2005), chapters 4.1 and 5.2.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import as_array, device_of

__all__ = ["dedisperse", "dedisperse_reference", "dispersion_delays"]

_CONSTANT = 2.41e-4  # pc / cm³ / (s MHz²)


def dispersion_delays(frequencies_mhz: npt.ArrayLike, dm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Delays in seconds against the highest of the frequencies.

    Parameters
    ----------
    frequencies_mhz : array_like
        Of the channels, above 0.
    dm : array_like
        Dispersion measures in pc/cm³.

    Returns
    -------
    ndarray
        ``(*shape of dm, channel)``.

    Raises
    ------
    LayoutError
        When a frequency is not positive, or a number is not finite.

    Examples
    --------
    >>> dispersion_delays([1200, 1400], 100).round(4)
    array([0.0764, 0.    ])
    """
    frequencies, measures = np.asarray(frequencies_mhz, np.float64), np.asarray(dm, np.float64)
    if frequencies.ndim != 1 or not (frequencies > 0).all() or not np.isfinite(measures).all():
        raise LayoutError("frequencies must be a row of numbers above 0, in MHz, and dispersion measures finite")
    slowness = frequencies**-2.0 - frequencies.max() ** -2.0
    return np.asarray(measures[..., None] / _CONSTANT * slowness)


@jit
def _dedisperse_compiled(powers: Any, delays: Any, out: Any) -> None:
    """Channels are rows of `powers`, so that what is read follows each other."""
    for trial in range(delays.shape[0]):
        for channel in range(powers.shape[0]):
            delay = delays[trial, channel]
            for i in range(out.shape[1]):
                out[trial, i] += powers[channel, i + delay]
        for i in range(out.shape[1]):
            out[trial, i] /= powers.shape[0]


def _checked(
    powers: npt.ArrayLike, frequencies_mhz: npt.ArrayLike, dm: npt.ArrayLike, frame_s: float
) -> tuple[Any, npt.NDArray[np.int64], int]:
    """The powers, delays in frames ``(trial, channel)``, none below 0, and how many frames can be made."""
    array = as_array(powers)
    delays = dispersion_delays(frequencies_mhz, np.atleast_1d(dm))
    if array.ndim != 2 or array.dtype.kind not in "iuf" or array.shape[1] != delays.shape[-1]:
        raise LayoutError(
            f"powers of {array.dtype}{array.shape} for {delays.shape[-1]} frequencies: (frame, channel) of real numbers"
        )
    if not 0 < frame_s < np.inf or delays.ndim != 2:
        raise LayoutError(f"frame_s={frame_s!r}: seconds above 0; dispersion measures: one, or a row of them")
    frames = np.rint(delays / frame_s)
    spread = max(0.0, float(frames.max(initial=0))) - min(0.0, float(frames.min(initial=0)))
    if spread >= max(len(array), 1):
        raise LayoutError(
            f"{len(array)} frames: delays go up to {spread:.0f} frames; give more, or search below this DM"
        )
    return array, (frames - min(0.0, float(frames.min(initial=0)))).astype(np.int64), len(array) - int(spread)


def dedisperse_reference(
    powers: npt.ArrayLike, frequencies_mhz: npt.ArrayLike, dm: npt.ArrayLike, frame_s: float
) -> npt.NDArray[np.float64]:
    """The definition of :func:`dedisperse`, in NumPy with 64 bits."""
    array, delays, count = _checked(powers, frequencies_mhz, dm, frame_s)
    at = np.arange(count)[None, :, None] + delays[:, None, :]
    found = array.astype(np.float64)[at, np.arange(array.shape[1])].mean(axis=-1)
    return np.asarray(found.reshape(*np.shape(dm), count))


def dedisperse(
    powers: npt.ArrayLike, frequencies_mhz: npt.ArrayLike, dm: npt.ArrayLike, frame_s: float
) -> npt.NDArray[np.float64]:
    """The mean over channels, each shifted by its delay.

    Parameters
    ----------
    powers : array_like
        ``(frame, channel)``.
    frequencies_mhz : array_like
        Of the channels.
    dm : array_like
        A dispersion measure, or a row of those to be tried, in pc/cm³.
    frame_s : float
        Seconds from frame to frame. Delays are rounded to whole frames.

    Returns
    -------
    ndarray
        ``(frame,)``, or ``(trial, frame)``: float64. Frame i is when what is seen passed the highest frequency.
        There are fewer of them by the longest delay of all trials.

    Raises
    ------
    LayoutError
        When shapes do not fit, or delays are longer than the data.

    Examples
    --------
    >>> powers = np.zeros((8, 2))
    >>> powers[5, 0] = powers[1, 1] = 1  # 4 frames later at the lower frequency
    >>> dedisperse(powers, [50, 100], 2.41e-4 * 4 / (50**-2 - 100**-2), frame_s=1).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    array, delays, count = _checked(powers, frequencies_mhz, dm, frame_s)
    if (device := device_of(array)) is not None:
        from labdaq.kernels.cuda import spectra

        found = spectra.dedisperse(device, array, delays, count)
        return cast(npt.NDArray[np.float64], found.reshape(*np.shape(dm), count))
    rows = np.ascontiguousarray(
        array.T, np.float32 if array.dtype.itemsize <= 2 or array.dtype == np.float32 else np.float64
    )
    rows.flags.writeable = False
    out = np.zeros((len(delays), count))
    _dedisperse_compiled(rows, delays, out)
    return out.reshape(*np.shape(dm), count)
