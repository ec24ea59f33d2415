"""Visibilities: the mean products of the voltages of every pair of inputs, channel by channel (an FX correlator).

Source: A. R. Thompson, J. M. Moran, G. W. Swenson, *Interferometry and Synthesis in Radio Astronomy* (2017), chapter 8.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native.cuda import as_array

__all__ = ["baseline_pairs", "correlate", "correlate_reference"]


def baseline_pairs(inputs: int) -> list[tuple[int, int]]:
    """Pairs of inputs in the order in which visibilities are sent, each with itself first.

    Examples
    --------
    >>> baseline_pairs(3)
    [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    """
    return [(i, j) for i in range(inputs) for j in range(i, inputs)]


def _checked(voltages: npt.ArrayLike, count: int | None) -> Any:
    """The voltages as ``(mean, frame, channel, input)``."""
    array = as_array(voltages)
    if array.ndim != 3 or array.dtype.kind not in "iufc":
        raise LayoutError(f"voltages of {array.dtype}{array.shape}: numbers of (frame, channel, input) are needed")
    each = len(array) if count is None else count
    if each < 1:
        raise LayoutError(f"{each} frames: a mean is of at least 1")
    means = len(array) // each
    return array[: means * each].reshape(means, each, *array.shape[1:])


def correlate_reference(voltages: npt.ArrayLike, count: int | None = None) -> npt.NDArray[Any]:
    """The definition of :func:`correlate`, in NumPy with 64 bits."""
    parted = _checked(voltages, count).astype(np.complex128)
    return np.asarray((parted[..., :, None] * parted[..., None, :].conj()).mean(axis=1))


def correlate(voltages: npt.ArrayLike, count: int | None = None) -> npt.NDArray[Any]:
    """The mean of ``x[i] conj(x[j])`` for all pairs of inputs.

    Parameters
    ----------
    voltages : array_like
        ``(frame, channel, input)``.
    count : int, optional
        Frames of a mean; all by default. What is left at the end is not used.

    Returns
    -------
    ndarray
        ``(mean, channel, input i, input j)``, complex64 of voltages of up to 32 bits, complex128 of others. Powers are
        on the diagonal; the lower half is the conjugate of the upper. :func:`baseline_pairs` lists the upper half.

    Raises
    ------
    LayoutError
        When the shape does not fit.

    Examples
    --------
    >>> visibilities = correlate(np.array([[[1, 1j]], [[2, 2j]]]))
    >>> visibilities[0, 0].tolist()
    [[(2.5+0j), -2.5j], [2.5j, (2.5+0j)]]
    """
    parted = _checked(voltages, count)
    kind = np.complex128 if parted.dtype in (np.complex128, np.float64) else np.complex64
    by_channel = np.moveaxis(parted, 1, -1).astype(kind)  # (mean, channel, input, frame): one product of matrices each
    visibilities: npt.NDArray[Any] = as_array(
        by_channel @ by_channel.conj().swapaxes(-1, -2) / kind(by_channel.shape[-1])
    )
    return visibilities
