"""What one frame of a sequence is: element type, shape, labels, scales and units of its axes.

Element types are NumPy dtypes (``numpy.int16``, ``"float32"``, ``"<f4"``) or the names of radio astronomy,
which count bits: ``ci4``, ``ci8``, ``ci16``, ``cf32`` (complex of two such numbers), ``i16``, ``u32``, ``f64`` …
Names that mean one thing here and another in NumPy, such as ``i8``, are refused. Numbers below a byte are
``int4``, ``uint2``, ``uint1`` …, and are stored packed, several to a byte along the last axis; complex integers
of 8 bits and more are stored as records of ``re`` and ``im``.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.ring.layout import checked_dtype, checked_shape

__all__ = ["Tensor", "element"]

_NAME = re.compile(r"(c?)([iuf])(1|2|4|8|16|32|64)")
_PACKED = re.compile(r"(u?int)(1|2|4)")
_AMBIGUOUS = re.compile(r"[iu][1248]|f16")
_KEYS = ("dtype", "shape", "labels", "scales", "units")


def element(name: str) -> tuple[np.dtype[Any], int] | None:
    """How elements of a named type are stored: the dtype, and how many elements are in one of it.

    None for a name that only NumPy knows.

    Examples
    --------
    >>> element("ci4")
    (dtype('uint8'), 1)
    >>> element("uint2")
    (dtype('uint8'), 4)
    >>> element("cf32")
    (dtype('complex64'), 1)
    """
    packed = _PACKED.fullmatch(name)
    if packed:
        return np.dtype("u1"), 8 // int(packed[2])
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    is_complex, kind, bits = bool(match[1]), match[2], int(match[3])
    if is_complex and bits < 8 and kind != "f":
        return np.dtype("u1"), 4 // bits
    if bits < (16 if kind == "f" else 8):
        return None
    number = np.dtype(f"{kind}{bits // 8}")
    if is_complex:
        is_native = kind == "f" and bits >= 32
        number = np.dtype(f"c{bits // 4}") if is_native else np.dtype([("re", number), ("im", number)])
    return number, 1


def _checked_name(dtype: Any) -> str:
    """The name under which an element type is kept.

    Raises
    ------
    LayoutError
        For names with two meanings, structured types, and what is no type at all.
    """
    if isinstance(dtype, str) and _AMBIGUOUS.fullmatch(dtype):
        kind = {"i": "int", "u": "uint", "f": "float"}[dtype[0]]
        size = int(dtype[1:])
        raise LayoutError(
            f"tensor dtype {dtype!r} has two meanings, {size} bits in radio astronomy and {size} bytes in NumPy: write "
            f"'{kind}{size}' or '{kind}{8 * size}'"
        )
    if isinstance(dtype, str) and element(dtype) is not None:
        return dtype
    name: Any = np.lib.format.dtype_to_descr(checked_dtype(dtype))
    if not isinstance(name, str):
        raise LayoutError(f"tensor dtype {dtype!r}: structured types belong to the ring: Ring(dtype=…)")
    return name


@dataclass(frozen=True)
class Tensor:
    """The frame of a sequence.

    Examples
    --------
    >>> frame = Tensor.parse({"dtype": "ci4", "shape": (16, 109), "labels": ["source", "channel"]})
    >>> frame.frame_nbytes
    1744
    """

    dtype: str
    """The element type as it was given."""
    shape: tuple[int, ...] = ()
    """Elements along each axis; the time axis, along which frames follow each other, is not part of it."""
    labels: tuple[str, ...] | None = None
    """Names of the axes."""
    scales: tuple[Any, ...] | None = None
    """Of each axis: offset and step."""
    units: tuple[str | None, ...] | None = None
    """Of each axis."""

    @classmethod
    def parse(cls, description: "Mapping[str, Any] | Tensor") -> "Tensor":
        """Check a description.

        Raises
        ------
        LayoutError
            For unknown keys and types, or axes whose number does not fit the shape.
        """
        if isinstance(description, Tensor):
            return description
        unknown = sorted(set(description) - set(_KEYS))
        if unknown or "dtype" not in description:
            raise LayoutError(f"tensor {dict(description)!r}: needs 'dtype', and may have {', '.join(_KEYS[1:])}")
        shape = checked_shape(description.get("shape", ()))
        axes: dict[str, Any] = {}
        for key in _KEYS[2:]:
            value = description.get(key)
            axes[key] = None if value is None else tuple(value)
            if value is not None and len(value) != len(shape):
                raise LayoutError(f"tensor {key} {value!r}: {len(value)} for {len(shape)} axes of shape {shape}")
        name = _checked_name(description["dtype"])
        tensor = cls(name, shape, **axes)
        _ = tensor.stored_shape
        return tensor

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype of views."""
        named = element(self.dtype)
        return named[0] if named else np.dtype(self.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one frame in views: as declared, the last axis packed for types below a byte."""
        named = element(self.dtype)
        per_byte = named[1] if named else 1
        if per_byte == 1:
            return self.shape
        last = self.shape[-1] if self.shape else 1
        if last % per_byte:
            raise LayoutError(
                f"tensor of {self.dtype} with shape {self.shape}: the last axis must be a multiple of "
                f"{per_byte}, as many are packed in a byte"
            )
        return (*self.shape[:-1], last // per_byte)

    @property
    def frame_nbytes(self) -> int:
        """Size of one frame."""
        return self.stored_dtype.itemsize * math.prod(self.stored_shape)

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`parse` reads, with what was not given left out."""
        return {key: getattr(self, key) for key in _KEYS if getattr(self, key) is not None}
