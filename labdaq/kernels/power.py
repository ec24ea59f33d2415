"""From voltages to powers: of each polarisation, of products of two, and Stokes parameters.

Sources: J. P. Hamaker, J. D. Bregman, *A&AS* 117, 161 (1996); IAU Commission 40 (1973) for the signs.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import device_of

__all__ = ["coherences", "power", "power_reference", "stokes"]


@jit
def _power_compiled(parts: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = parts[2 * i] * parts[2 * i] + parts[2 * i + 1] * parts[2 * i + 1]


def _numbers(voltages: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(voltages)
    if array.dtype.kind not in "iufc":
        raise LayoutError(f"voltages of {array.dtype}: numbers are needed; unpack() first")
    return array.astype(np.float32) if array.dtype.kind in "iu" or array.dtype == np.float16 else array


def power_reference(voltages: npt.ArrayLike) -> npt.NDArray[Any]:
    """The definition of :func:`power`, in NumPy."""
    array = _numbers(voltages)
    return np.asarray(array.real**2 + array.imag**2)


def power(voltages: npt.ArrayLike) -> npt.NDArray[Any]:
    """The square of the absolute value of each.

    Returns
    -------
    ndarray
        float32 of float32, complex64 and integers; float64 of others.

    Raises
    ------
    LayoutError
        When they are no numbers.

    Examples
    --------
    >>> power([3 + 4j, 2])
    array([25.,  4.])
    """
    if (device := device_of(voltages)) is not None:
        from labdaq.kernels.cuda import detection

        return cast(npt.NDArray[Any], detection.power(device, voltages))
    array = _numbers(voltages)
    if array.dtype not in (np.complex64, np.complex128):
        return power_reference(array)
    parts = np.ascontiguousarray(array).reshape(-1).view(array.real.dtype)
    parts.flags.writeable = False  # one version of the machine code, whoever owns the values
    out = np.empty(array.shape, parts.dtype)
    _power_compiled(parts, out.reshape(-1))
    return out


def _pair(voltages: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    array = _numbers(voltages)
    if array.ndim == 0 or array.shape[-1] != 2:
        raise LayoutError(f"voltages of shape {array.shape}: the last axis must be two polarisations, X and Y")
    return array[..., 0], array[..., 1]


def coherences(voltages: npt.ArrayLike) -> npt.NDArray[Any]:
    """The four products of two polarisations: ``XX, YY, Re(XY*), Im(XY*)``, as packets of beams have them.

    Parameters
    ----------
    voltages : array_like
        ``(…, 2)``: X and Y.

    Returns
    -------
    ndarray
        ``(…, 4)``, real.

    Raises
    ------
    LayoutError
        When the last axis is not of two.

    Examples
    --------
    >>> coherences([1, 1j])
    array([ 1.,  1.,  0., -1.])
    """
    if (device := device_of(voltages)) is not None:
        from labdaq.kernels.cuda import detection

        return cast(npt.NDArray[Any], detection.products(device, voltages, stokes=False))
    x, y = _pair(voltages)
    crossed = x * np.conj(y)
    return np.stack([power(x), power(y), crossed.real, crossed.imag], axis=-1)


def stokes(voltages: npt.ArrayLike) -> npt.NDArray[Any]:
    """The Stokes parameters of two linear polarisations.

    ``I = XX + YY``, ``Q = XX - YY``, ``U = 2 Re(XY*)``, ``V = -2 Im(XY*)``, which is positive where Y is a quarter of
    a period ahead of X.

    Parameters
    ----------
    voltages : array_like
        ``(…, 2)``: X and Y.

    Returns
    -------
    ndarray
        ``(…, 4)``, real.

    Raises
    ------
    LayoutError
        When the last axis is not of two.

    Examples
    --------
    >>> stokes([1, 1j])
    array([2., 0., 0., 2.])
    """
    if (device := device_of(voltages)) is not None:
        from labdaq.kernels.cuda import detection

        return cast(npt.NDArray[Any], detection.products(device, voltages, stokes=True))
    products = coherences(voltages)
    xx, yy, real, imaginary = np.moveaxis(products, -1, 0)
    return np.stack([xx + yy, xx - yy, 2 * real, -2 * imaginary], axis=-1)
