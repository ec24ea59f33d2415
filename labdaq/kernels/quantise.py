"""Real and complex numbers as few-bit integers: scale, round half to even, clip symmetrically, count what was clipped.

Types are named as in radio astronomy, which counts bits: ``ci4`` (complex of two 4-bit numbers), ``ci8``, ``ci16``,
``i4``, ``i8``, ``i16``, and ``ci1``, ``ci2``, ``i1``, ``i2``; with u instead of i, numbers have no sign. Below 8 bits,
numbers are packed into bytes, the first in the highest bits, the real part before the imaginary one. One signed bit
is the sign: 1 for numbers below 0.
"""

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.cuda import device_of

__all__ = ["Quantised", "fewbit", "quantise", "quantise_reference"]

_NAME = re.compile(r"(c?)([iu])(1|2|4|8|16|32)")


class Quantised(NamedTuple):
    """What :func:`quantise` returns."""

    data: npt.NDArray[Any]
    """Of 8 bits and more, records of ``re`` and ``im``, or integers; packed bytes below."""
    clipped: int
    """How many numbers (parts of complex ones) were beyond the largest, or no numbers."""


class Fewbit(NamedTuple):
    """A type of few-bit integers."""

    bits: int
    is_complex: bool
    smallest: int
    largest: int
    dtype: np.dtype[Any]
    """Of an array that holds them."""
    per_item: int
    """How many (complex) numbers are in one element of it."""


def fewbit(name: str) -> Fewbit:
    """The type of a name.

    Raises
    ------
    LayoutError
        When there is none; lists those there are.

    Examples
    --------
    >>> fewbit("ci4")
    Fewbit(bits=4, is_complex=True, smallest=-7, largest=7, dtype=dtype('uint8'), per_item=1)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise LayoutError(f"type {name!r}: i or u with 1, 2, 4, 8, 16 or 32 bits, and a c in front if complex")
    bits, is_complex, is_signed = int(match[3]), bool(match[1]), match[2] == "i"
    largest = 2 ** (bits - is_signed) - 1
    limits = (-largest if is_signed else 0, largest)
    if bits < 8:
        return Fewbit(bits, is_complex, *limits, np.dtype("u1"), 8 // bits // (1 + is_complex))
    number = np.dtype(f"{match[2]}{bits // 8}")
    return Fewbit(bits, is_complex, *limits, np.dtype([("re", number), ("im", number)]) if is_complex else number, 1)


def _numbers(values: npt.ArrayLike, kind: Fewbit) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """All parts one after the other as float64, and the shape of the values."""
    array = np.asarray(values)
    if (array.dtype.kind == "c" and not kind.is_complex) or array.dtype.kind not in "iufc":
        raise LayoutError(f"{array.dtype} numbers cannot become {'complex' if kind.is_complex else 'real'} integers")
    if array.ndim == 0 or array.shape[-1] % kind.per_item:
        raise LayoutError(f"shape {array.shape}: {kind.per_item} numbers go into a byte, along the last axis")
    wanted = np.complex128 if kind.is_complex else np.float64
    return np.ascontiguousarray(array, wanted).reshape(-1).view(np.float64), array.shape


@jit
def _quantise_compiled(numbers: Any, scale: float, smallest: float, largest: float, out: Any) -> int:
    clipped = 0
    for i in range(numbers.shape[0]):
        value = np.rint(numbers[i] * scale)
        if not smallest <= value <= largest:
            clipped += 1
            value = largest if value > 0 else (smallest if value < 0 else 0.0)
        out[i] = int(value)
    return clipped


def quantise_reference(values: npt.ArrayLike, dtype: str, scale: float = 1.0) -> Quantised:
    """The definition of :func:`quantise`, in NumPy."""
    kind = fewbit(dtype)
    numbers, shape = _numbers(values, kind)
    if kind.largest == 0:  # one signed bit
        return Quantised(_packed((numbers < 0).astype(np.int64), kind, shape), int(np.isnan(numbers).sum()))
    rounded = np.rint(numbers.astype(np.float64) * scale)
    good = (rounded >= kind.smallest) & (rounded <= kind.largest)
    integers = np.nan_to_num(np.clip(rounded, kind.smallest, kind.largest)).astype(np.int64)
    return Quantised(_packed(integers, kind, shape), int((~good).sum()))


def quantise(values: npt.ArrayLike, dtype: str, scale: float = 1.0) -> Quantised:
    """Make few-bit integers of numbers: ``rint(values * scale)``, clipped.

    Parameters
    ----------
    values : array_like
        Real or complex. Of types below 8 bits, as many along the last axis as fill whole bytes.
    dtype : str
        Such as ``ci8``, ``i4`` or ``u8``.
    scale : float
        By which values are multiplied before they are rounded, halves to the even neighbour.

    Returns
    -------
    Quantised
        ``data``, in the shape of `values`, the last axis packed below 8 bits; and ``clipped``. The largest
        number of n bits is 2**(n - 1) - 1, and the smallest is minus that; without sign, 2**n - 1 and 0. What is no
        number becomes 0.

    Raises
    ------
    LayoutError
        When there is no such type, or numbers do not fill whole bytes.

    Examples
    --------
    >>> quantise([0.5, 1.5, 2.5, -3.5], "i8").data.tolist()
    [0, 2, 2, -4]
    >>> quantise([3 + 1j, -20 + 5j], "ci4")
    Quantised(data=array([ 49, 149], dtype=uint8), clipped=1)
    """
    if (device := device_of(values)) is not None:
        from labdaq.kernels.cuda import packing

        return packing.quantise(device, values, dtype, scale)
    kind = fewbit(dtype)
    numbers, shape = _numbers(values, kind)
    if kind.largest == 0:
        return quantise_reference(values, dtype, scale)
    out = np.empty(len(numbers), np.int64)
    numbers = numbers.view()
    numbers.flags.writeable = False  # one version of the machine code, whoever owns the values
    clipped = _quantise_compiled(numbers, float(scale), float(kind.smallest), float(kind.largest), out)
    return Quantised(_packed(out, kind, shape), clipped)


def _packed(integers: npt.NDArray[np.int64], kind: Fewbit, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if kind.bits >= 8:
        part = kind.dtype["re"] if kind.is_complex else kind.dtype
        items: npt.NDArray[Any] = integers.astype(part).view(kind.dtype).reshape(shape)
        return items
    mask, per_byte = (1 << kind.bits) - 1, 8 // kind.bits
    fields = (integers & mask).astype(np.uint8).reshape(-1, per_byte)
    shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * np.uint8(kind.bits)
    packed = np.bitwise_or.reduce(fields << shifts, axis=1).astype(np.uint8)
    whole: npt.NDArray[Any] = packed.reshape(*shape[:-1], shape[-1] // kind.per_item)
    return whole
