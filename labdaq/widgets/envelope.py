"""Fewer points for a screen, without hiding anything: of each stretch of samples the least and the greatest."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["envelope", "envelope_times"]


def envelope(waveforms: npt.NDArray[Any], points: int) -> npt.NDArray[np.float32]:
    """The least and the greatest sample of equal stretches, whichever the stretch begins nearer to first.

    A pulse of one sample is in the result, whatever the number of points; so is a gap of samples that are no number.
    Samples that are no number beside others are passed over.

    Parameters
    ----------
    waveforms : ndarray, shape (channels, samples)
        Real or integer.
    points : int
        At most so many, 2 or more.

    Returns
    -------
    ndarray of float32, shape (channels, at most points)
        The waveforms themselves if they have no more samples.

    Raises
    ------
    LayoutError
        Fewer than 2 points.

    Examples
    --------
    >>> pulse = np.zeros((1, 1000)); pulse[0, 777] = 1
    >>> envelope(pulse, 4).tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    >>> envelope(-pulse, 4).tolist()
    [[-0.0, -0.0, -1.0, -0.0]]
    """
    if points < 2:
        raise LayoutError(f"points={points}: an envelope has 2 or more")
    channels, samples = waveforms.shape
    if samples <= points:
        return waveforms.astype(np.float32)
    begins = _begins(samples, points // 2)
    values = np.asarray(waveforms, np.float64)
    low, high = np.fmin.reduceat(values, begins, axis=1), np.fmax.reduceat(values, begins, axis=1)
    out = np.empty((channels, 2 * len(begins)), np.float32)
    rises = values[:, np.append(begins[1:], samples) - 1] >= values[:, begins]
    out[:, 0::2], out[:, 1::2] = np.where(rises, low, high), np.where(rises, high, low)
    return out


def envelope_times(samples: int, points: int) -> npt.NDArray[np.float32]:
    """Where the points of an envelope are, in samples: the beginning and the middle of each stretch.

    Examples
    --------
    >>> envelope_times(1000, 4).tolist()
    [0.0, 250.0, 500.0, 750.0]
    """
    if samples <= points:
        return np.arange(samples, dtype=np.float32)
    begins = _begins(samples, points // 2)
    ends = np.append(begins[1:], samples)
    return np.stack([begins, (begins + ends) / 2], axis=1).reshape(-1).astype(np.float32)


def _begins(samples: int, stretches: int) -> npt.NDArray[np.intp]:
    return (np.arange(stretches) * samples) // stretches
