"""The pulses of a photomultiplier: a straight rise, a flat top, an exponential fall."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RISE_NS", "add_pulses", "pulse_shape"]

RISE_NS, TOP_NS, FALL_NS = 20.0, 12.0, 68.0
_LENGTH_NS = RISE_NS + TOP_NS + 8 * FALL_NS  # what is left then of any pulse is below half a step of 8 bits


def pulse_shape(time_ns: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Height at times after the beginning of a pulse of height 1.

    Parameters
    ----------
    time_ns : array_like
        0 or more, in nanoseconds.

    Returns
    -------
    ndarray of float64
        0 to 1.

    Examples
    --------
    >>> pulse_shape([0, 10, 20, 32, 100]).round(3)
    array([0.   , 0.5  , 1.   , 1.   , 0.368])
    """
    time = np.asarray(time_ns, dtype=np.float64)
    fall = np.exp(-np.maximum(time - RISE_NS - TOP_NS, 0.0) / FALL_NS)
    return np.asarray(np.minimum(time / RISE_NS, 1.0) * fall)


def add_pulses(
    rows: npt.NDArray[Any],
    begin: npt.NDArray[np.float64],
    height: npt.NDArray[np.float64],
    sample_interval_ns: float,
) -> None:
    """Add a pulse to each row, in place.

    Parameters
    ----------
    rows : ndarray, shape (n, samples)
        Waveforms.
    begin : ndarray, shape (n,)
        Where the pulses begin, in samples and fractions of them; none where this is NaN or after the end.
    height : ndarray, shape (n,)
        In the unit of the rows; negative for pulses that go down.
    sample_interval_ns : float
        Time between two samples.
    """
    number = np.flatnonzero(begin < rows.shape[1])
    length = int(_LENGTH_NS / sample_interval_ns) + 1
    samples = np.ceil(begin[number]).astype(np.int64)[:, None] + np.arange(length)
    pulses = height[number, None] * pulse_shape((samples - begin[number, None]) * sample_interval_ns)
    inside = (samples >= 0) & (samples < rows.shape[1])
    row = np.broadcast_to(number[:, None], samples.shape)[inside]
    rows[row, samples[inside]] += pulses[inside].astype(rows.dtype)
