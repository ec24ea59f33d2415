"""Types of elements that count bits: ``i8`` and ``f32`` are int8 and float32 of NumPy, ``ci4`` has 4 bits a part."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["DataType"]

_NAME = re.compile(r"(c?)([iuf])(4|8|16|32|64)")


class DataType:
    """A type by its name, or by NumPy's.

    Raises
    ------
    LayoutError
        When there is none, or arrays of it cannot be made.

    Examples
    --------
    >>> DataType("ci8").as_numpy_dtype(), DataType(np.float32), DataType("ci4").itemsize
    (dtype([('re', 'i1'), ('im', 'i1')]), DataType('f32'), 1)
    """

    def __init__(self, kind: "str | DataType | npt.DTypeLike" = "f32") -> None:
        self._name: str = kind._name if isinstance(kind, DataType) else _name(kind)
        self._dtype = _dtype(self._name)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._dtype.itemsize

    @property
    def is_complex(self) -> bool:
        """Whether it has two parts."""
        return self._name.startswith("c")

    def as_numpy_dtype(self) -> np.dtype[Any]:
        """How NumPy stores it."""
        return self._dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str | DataType) and self._name == str(other)

    def __hash__(self) -> int:
        return hash(self._name)

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"DataType({self._name!r})"


def _dtype(name: str) -> np.dtype[Any]:
    match = _NAME.fullmatch(name)
    if match is None or name in ("i4", "u4", "f4", "f8", "cf4", "cf8", "cu4"):
        raise LayoutError(f"type {name!r}: i8 to i64, u8 to u64, f16 to f64, and ci4 to ci64, cf16 to cf64")
    is_complex, kind, bits = bool(match[1]), match[2], int(match[3])
    if name == "ci4":
        return np.dtype([("re_im", "u1")])
    part = np.dtype(f"{kind}{bits // 8}")
    if not is_complex:
        return part
    return np.dtype(f"c{bits // 4}") if kind == "f" and bits >= 32 else np.dtype([("re", part), ("im", part)])


def _name(kind: Any) -> str:
    if isinstance(kind, str) and _NAME.fullmatch(kind):
        return kind
    try:
        dtype = np.dtype(kind)
    except TypeError as error:
        raise LayoutError(f"type {kind!r}: {error}") from error
    if dtype.names == ("re_im",):
        return "ci4"
    if dtype.names == ("re", "im"):
        return f"c{dtype['re'].kind}{8 * dtype['re'].itemsize}"
    names = {"c": f"cf{4 * dtype.itemsize}", "b": "u8", "S": "i8"}
    return names.get(dtype.kind, f"{dtype.kind}{8 * dtype.itemsize}")
