"""Means of frames that follow each other; what is missing does not count."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native.cuda import as_array, device_of, is_on_device

__all__ = ["integrate", "integrate_reference"]


def _checked(frames: npt.ArrayLike, count: int, weights: npt.ArrayLike | None) -> tuple[Any, Any]:
    """The frames that make whole means, as ``(mean, frame, …)``, and weights that NumPy spreads over them."""
    array = as_array(frames)
    if array.ndim == 0 or array.dtype.kind not in "iufc":
        raise LayoutError(f"frames of {array.dtype}{array.shape}: (frame, …) of numbers is needed; unpack() first")
    if count < 1:
        raise LayoutError(f"count={count}: a mean is of at least 1 frame")
    means = len(array) // count
    parted = array[: means * count].reshape(means, count, *array.shape[1:])
    if weights is None:
        return parted, None
    given = as_array(weights).astype(np.float64)
    if given.ndim == 0 or given.ndim > array.ndim or given.shape != array.shape[: given.ndim]:
        raise LayoutError(f"weights of shape {given.shape} for frames of {array.shape}: the first axes must be equal")
    spread = given[: means * count].reshape(means, count, *given.shape[1:], *(1,) * (array.ndim - given.ndim))
    return parted, spread


def integrate_reference(frames: npt.ArrayLike, count: int, weights: npt.ArrayLike | None = None) -> npt.NDArray[Any]:
    """The definition of :func:`integrate`, in NumPy with 64 bits."""
    parted, spread = _checked(frames, count, weights)
    w = np.ones(parted.shape) if spread is None else np.broadcast_to(spread, parted.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((parted * w).sum(axis=1) / w.sum(axis=1))


def integrate(frames: npt.ArrayLike, count: int, weights: npt.ArrayLike | None = None) -> npt.NDArray[Any]:
    """The mean of every `count` frames.

    Parameters
    ----------
    frames : array_like
        ``(frame, …)``.
    count : int
        How many frames make a mean; what is left at the end is not used.
    weights : array_like, optional
        Of frames, or of their first axes: the mask ``present`` of captured packets, ``(frame, source)``, fits
        frames of ``(frame, source, …)``.

    Returns
    -------
    ndarray
        ``(mean, …)``: float32 of float32 and float16, complex64 of complex64, in 64 bits of others; summed in 64 bits.
        NaN where all weights are 0: no number is made up for what did not come.

    Raises
    ------
    LayoutError
        When shapes do not fit.

    Examples
    --------
    >>> integrate([1, 3, 5, 7, 100], 2)
    array([2., 6.])
    >>> integrate([[1.0, 9.0], [3.0, 9.0]], 2, weights=[[1, 0], [1, 0]])
    array([[ 2., nan]])
    """
    parted, spread = _checked(frames, count, weights)
    if (device := device_of(parted)) is not None:
        from labdaq.kernels.cuda import detection

        there = spread if spread is None or is_on_device(spread) else device.to_device(spread)
        return cast(npt.NDArray[Any], detection.integrate(device, parted, there))
    wide = np.complex128 if parted.dtype.kind == "c" else np.float64
    narrow = {"f2": np.float32, "f4": np.float32, "c8": np.complex64}.get(parted.dtype.str[1:], wide)
    if spread is None:
        return np.asarray(parted.sum(axis=1, dtype=wide) / count).astype(narrow, copy=False)
    total = spread.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((parted * spread).sum(axis=1) / total).astype(narrow, copy=False)
