"""Few-bit integers as numbers again."""

from typing import Any

import numpy as np

from labdaq import kernels
from labdaq.compat.bifrost.DataType import DataType
from labdaq.errors import LayoutError

__all__ = ["unpack"]


def unpack(src: Any, dst: Any, align_msb: bool = False) -> Any:
    """Make numbers of ``ci4`` in `dst`, which is ``ci8`` or of complex floating point; returns `dst`.

    The real part is in the high nibble, as :func:`quantize` writes it, and packets have it.

    Parameters
    ----------
    src, dst
        Of the same shape.
    align_msb
        Keep the four bits at the upper end of eight: numbers are 16 times as large.

    Raises
    ------
    LayoutError
        When types or shapes do not fit.

    Examples
    --------
    >>> from labdaq.compat import bifrost
    >>> few = bifrost.quantize(np.array([3 + 1j, -2 + 5j]), bifrost.ndarray(shape=(2,), dtype="ci4"))
    >>> bifrost.unpack(few, bifrost.ndarray(shape=(2,), dtype="ci8")).tolist()
    [(3, 1), (-2, 5)]
    """
    kind, wanted = DataType(src.dtype), DataType(dst.dtype)
    if str(kind) != "ci4" or str(wanted) not in ("ci8", "cf32", "cf64") or src.shape != dst.shape:
        raise LayoutError(f"{kind}{src.shape} into {wanted}{dst.shape}: ci4 into ci8, cf32 or cf64 of the same shape")
    numbers = kernels.unpack(np.ascontiguousarray(src).view(np.uint8), "ci4") * (16 if align_msb else 1)
    out = np.asarray(dst)
    if wanted == "ci8":
        out["re"], out["im"] = numbers.real, numbers.imag
    else:
        out[...] = numbers
    return dst
