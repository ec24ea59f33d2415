"""Arrays of types that count bits, which are NumPy's arrays otherwise."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.compat.bifrost.DataType import DataType
from labdaq.errors import LayoutError

__all__ = ["asarray", "empty", "ndarray", "zeros"]


class BFArrayInfo(NamedTuple):
    """What Bifrost notes of an array."""

    space: str
    dtype: DataType
    native: bool
    conjugated: bool


class ndarray(np.ndarray[Any, np.dtype[Any]]):  # noqa: N801 - the name of the peer
    """An array in the memory of this process.

    Parameters
    ----------
    base
        What it is made of.
    space
        ``"system"``: there is no other here.
    shape, dtype
        Without a base; types such as ``ci8``.
    buffer, offset, strides
        As of NumPy's.

    Raises
    ------
    LayoutError
        For another space, or a type that there is not.

    Examples
    --------
    >>> array = ndarray(shape=(2, 3), dtype="ci8")
    >>> array.dtype, array.bf.dtype, ndarray([1, 2]).bf.space
    (dtype([('re', 'i1'), ('im', 'i1')]), DataType('ci8'), 'system')
    """

    def __new__(
        cls,
        base: Any = None,
        space: str | None = None,
        shape: Any = None,
        dtype: Any = None,
        buffer: Any = None,
        offset: int = 0,
        strides: Any = None,
    ) -> "ndarray":
        """Make one."""
        if space not in (None, "system"):
            raise LayoutError(f"space {space!r}: arrays are in the memory of this process, 'system'")
        if base is not None:
            if shape is not None:
                raise LayoutError("give a base, or a shape: not both")
            given = np.array(base)
            return _converted(given, dtype).view(cls) if dtype is not None else given.view(cls)
        wanted = DataType("f32" if dtype is None else dtype).as_numpy_dtype()
        if buffer is None and strides is None:
            return np.zeros(shape if shape is not None else (), wanted).view(cls)
        return super().__new__(cls, shape, wanted, buffer, offset, strides)

    @property
    def bf(self) -> BFArrayInfo:
        """What Bifrost notes of it."""
        # derived, so that views and copies need not carry it along
        return BFArrayInfo("system", DataType(self.dtype), self.dtype.isnative, conjugated=False)

    def astype(self, dtype: Any, *arguments: Any, **options: Any) -> Any:
        """A copy of another type, by Bifrost's name or NumPy's."""
        if isinstance(dtype, str | DataType) or self.dtype.names:
            return _converted(np.asarray(self), dtype).view(ndarray)
        return super().astype(dtype, *arguments, **options)

    def copy(self, space: Any = None, order: Any = "C") -> Any:  # type: ignore[override]
        """A copy. The order of the axes may stand first, as NumPy has it."""
        if space in ("C", "F", "A", "K"):
            return super().copy(space)
        if space not in (None, "system"):
            raise LayoutError(f"space {space!r}: arrays are in the memory of this process, 'system'")
        return super().copy(order)


def _converted(array: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    """To and from complex integers, part by part."""
    wanted = DataType(dtype).as_numpy_dtype()
    if array.dtype == wanted:
        return array.copy()
    if "re_im" in (*(array.dtype.names or ()), *(wanted.names or ())):
        raise LayoutError(f"{DataType(array.dtype)} to {DataType(wanted)}: use quantize() and unpack()")
    numbers = array["re"] + 1j * array["im"] if array.dtype.names else array
    if wanted.names is None:
        return numbers.astype(wanted)
    out = np.empty(array.shape, wanted)
    out["re"], out["im"] = np.rint(numbers.real), np.rint(numbers.imag)
    return out


def asarray(array: Any, space: str | None = None) -> ndarray:
    """The same memory where possible."""
    return (
        array
        if isinstance(array, ndarray)
        else np.asarray(array).view(ndarray)
        if space is None
        else ndarray(array, space)
    )


def empty(shape: Any, dtype: Any = "f32", space: str = "system") -> ndarray:
    """A new array."""
    return ndarray(shape=shape, dtype=dtype, space=space)


def zeros(shape: Any, dtype: Any = "f32", space: str = "system") -> ndarray:
    """A new array of zeros."""
    return ndarray(shape=shape, dtype=dtype, space=space)
