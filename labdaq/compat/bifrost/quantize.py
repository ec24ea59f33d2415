"""Numbers as few-bit integers."""

from typing import Any

import numpy as np

from labdaq.compat.bifrost.DataType import DataType
from labdaq.errors import LayoutError
from labdaq.kernels import quantise

__all__ = ["quantize"]


def quantize(src: Any, dst: Any, scale: float = 1.0) -> Any:
    """Round ``src * scale`` into `dst`, halves to the even neighbour, clipped symmetrically; returns `dst`.

    Raises
    ------
    LayoutError
        When shapes differ, or one is complex and the other is not.

    Examples
    --------
    >>> from labdaq.compat import bifrost
    >>> out = bifrost.ndarray(shape=(2,), dtype="ci8")
    >>> bifrost.quantize(bifrost.ndarray([-4.52 + 2.6j, 200]), out, scale=2).tolist()
    [(-9, 5), (127, 0)]
    """
    kind, numbers = DataType(dst.dtype), np.asarray(src)
    if numbers.shape != dst.shape or DataType(numbers.dtype).is_complex != kind.is_complex:
        raise LayoutError(
            f"{DataType(numbers.dtype)}{numbers.shape} into {kind}{dst.shape}: shapes must be equal, and both complex "
            "or both real"
        )
    found = quantise(numbers, str(kind), scale).data
    np.asarray(dst)[...] = found.view(kind.as_numpy_dtype())
    return dst
