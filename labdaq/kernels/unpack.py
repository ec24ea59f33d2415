"""Few-bit integers as numbers again: 1, 2, 4 and 8 bits and more, real or complex, in either order of bits and bytes.

The first number of a byte is in its highest bits, the real part before the imaginary one, as
:func:`labdaq.kernels.quantise` packs them; ``order="little"`` is the other way about. Signed numbers are in two's
complement; one signed bit is the sign, 0 for +1 and 1 for -1. ``u1``, ``u2``, ``u4`` have no sign.
"""

import re
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import device_of

__all__ = ["unpack", "unpack_reference"]

_NAME = re.compile(r"(c?)([iu])(1|2|4|8|16|32)")


def kind_of(dtype: str) -> tuple[int, bool, bool]:
    """Bits, whether signed, whether complex."""
    match = _NAME.fullmatch(dtype)
    if match is None:
        raise LayoutError(f"type {dtype!r}: i or u with 1, 2, 4, 8, 16 or 32 bits, and a c in front if complex")
    return int(match[3]), match[2] == "i", bool(match[1])


def _table(bits: int, *, is_signed: bool, order: str) -> npt.NDArray[np.float32]:
    """The numbers in each of the 256 bytes."""
    per_byte = 8 // bits
    shifts = np.arange(per_byte) * bits
    if order == "big":
        shifts = shifts[::-1]
    fields = (np.arange(256)[:, None] >> shifts) & ((1 << bits) - 1)
    if is_signed:
        top = 1 << (bits - 1)
        fields = 1 - 2 * fields if bits == 1 else (fields ^ top) - top
    return fields.astype(np.float32)


@jit
def _unpack_compiled(data: Any, table: Any, out: Any) -> None:
    per_byte = table.shape[1]
    for i in range(data.shape[0]):
        for j in range(per_byte):
            out[i * per_byte + j] = table[data[i], j]


def _checked(data: npt.ArrayLike, bits: int, *, is_complex: bool, order: str) -> npt.NDArray[np.uint8]:
    array = np.asarray(data)
    if order not in {"big", "little"}:
        raise LayoutError(f"order={order!r}: 'big' has the first number, or byte, highest; 'little' lowest")
    if array.ndim == 0:
        raise LayoutError("one byte alone has no axis along which numbers could be unpacked")
    raw = np.ascontiguousarray(array)
    if raw.dtype.names or raw.dtype.itemsize > 1:
        raw = raw.view(np.uint8).reshape(*array.shape[:-1], array.shape[-1] * array.dtype.itemsize)
    size = max(1, bits * (1 + is_complex) // 8)
    if raw.shape[-1] % size or (is_complex and bits * 2 > 8 * raw.shape[-1]):
        raise LayoutError(f"{raw.shape[-1]} bytes along the last axis: {size} are one number")
    return raw.view(np.uint8)


def unpack_reference(data: npt.ArrayLike, dtype: str, *, order: str = "big") -> npt.NDArray[Any]:
    """The definition of :func:`unpack`, in NumPy."""
    bits, is_signed, is_complex = kind_of(dtype)
    raw = _checked(data, bits, is_complex=is_complex, order=order)
    if bits < 8:
        numbers = _table(bits, is_signed=is_signed, order=order)[raw].reshape(*raw.shape[:-1], -1)
    else:
        numbers = raw.view(f"{'<>'[order == 'big']}{'i' if is_signed else 'u'}{bits // 8}")
    real = numbers.astype(np.float64 if bits == 32 else np.float32)
    return real.view(np.complex128 if bits == 32 else np.complex64) if is_complex else real


def unpack(data: npt.ArrayLike, dtype: str, *, order: str | None = None) -> npt.NDArray[Any]:
    """Make numbers of few-bit integers.

    Parameters
    ----------
    data : array_like
        Bytes, or records of ``re`` and ``im``.
    dtype : str
        Such as ``ci4``, ``i2``, ``u1`` or ``ci16``.
    order : {"big", "little"}, optional
        Of numbers in a byte, or of bytes in a number. By default the first number of a byte is in its highest bits,
        and numbers of several bytes have the order of this machine.

    Returns
    -------
    ndarray
        float32 or complex64 (float64 and complex128 of 32 bits), the last axis longer by what a byte holds.

    Raises
    ------
    LayoutError
        When there is no such type, or bytes are no whole numbers.

    Examples
    --------
    >>> unpack(np.array([0x31, 0xE5], np.uint8), "ci4")
    array([ 3.+1.j, -2.+5.j], dtype=complex64)
    >>> unpack(np.array([0b11100100], np.uint8), "u2"), unpack(np.array([0b10000000], np.uint8), "i1")
    (array([3., 2., 1., 0.], dtype=float32), array([-1.,  1.,  1.,  1.,  1.,  1.,  1.,  1.], dtype=float32))
    """
    bits, is_signed, is_complex = kind_of(dtype)
    native = "little" if np.little_endian else "big"
    chosen = order if order is not None else "big" if bits < 8 else native
    if (device := device_of(data)) is not None:
        from labdaq.kernels.cuda import packing

        return cast(npt.NDArray[Any], packing.unpack(device, data, dtype, order=chosen))
    if bits >= 8:
        return unpack_reference(data, dtype, order=chosen)
    raw = _checked(data, bits, is_complex=is_complex, order=chosen)
    out = np.empty((*raw.shape[:-1], raw.shape[-1] * (8 // bits)), np.float32)
    flat = raw.reshape(-1).view()
    flat.flags.writeable = False  # one version of the machine code, whoever owns the bytes
    _unpack_compiled(flat, _table(bits, is_signed=is_signed, order=chosen), out.reshape(-1))
    return out.view(np.complex64) if is_complex else out
