"""dtypes and shapes of streams, as they travel: plain JSON values, checked on arrival, nothing evaluated."""

import hashlib
import json
import re
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import DataError, LayoutError

__all__ = ["checked_dtype", "checked_shape", "dtype_from_json", "dtype_to_json", "fill_value", "schema_hash"]

_MOST_FIELDS, _MOST_DEPTH = 1000, 8
_KINDS = "biufcmMSUV"
_SIMPLE = re.compile(r"[<>|=][a-zA-Z?][0-9]{0,9}(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


def checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The dtype of a stream: any numbers, times, fixed-size texts and structures of them.

    Raises
    ------
    LayoutError
        For what is no dtype, and for Python objects.

    Examples
    --------
    >>> checked_dtype([("time", "<u8"), ("value", "<i4")]).names
    ('time', 'value')
    """
    try:
        result = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise LayoutError(f"dtype {dtype!r:.200} is none of NumPy's: {error}") from error
    if result.hasobject or result.kind not in _KINDS or result.itemsize == 0 or result.subdtype is not None:
        raise LayoutError(f"a stream cannot carry {result}: give numbers, times, sized texts, or structures of them")
    return result


def checked_shape(shape: Any) -> tuple[int, ...] | None:
    """The shape of chunks: axis 0 is time, -1 there leaves the number of samples free; None: as first sent.

    Raises
    ------
    LayoutError
        When it is no such shape.

    Examples
    --------
    >>> checked_shape([-1, 16])
    (-1, 16)
    """
    if shape is None:
        return None
    try:
        sizes = tuple(int(size) for size in shape)
        whole = all(a == b for a, b in zip(sizes, shape, strict=True))
    except (TypeError, ValueError) as error:
        raise LayoutError(f"shape={shape!r:.100}: give numbers, time first, like (-1, 16)") from error
    if not whole or not 0 < len(sizes) <= 32 or sizes[0] < -1 or sizes[0] == 0 or min(sizes[1:], default=1) < 1:
        raise LayoutError(f"shape={shape!r:.100}: time comes first, -1 or a fixed number; the others are at least 1")
    return sizes


def dtype_to_json(dtype: np.dtype[Any]) -> Any:
    """A dtype as JSON values.

    Examples
    --------
    >>> dtype_to_json(np.dtype("<M8[ms]"))
    '<M8[ms]'
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": dtype_to_json(base), "shape": list(shape)}
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [(name, *dtype.fields[name][:2]) for name in dtype.names]
    return {
        "fields": [[name, dtype_to_json(kind), offset] for name, kind, offset in fields],
        "itemsize": dtype.itemsize,
    }


def dtype_from_json(value: Any) -> np.dtype[Any]:
    """The dtype that `dtype_to_json` described.

    Raises
    ------
    DataError
        When it describes none.

    Examples
    --------
    >>> dtype = np.dtype([("t", "<u8"), ("xy", "<f4", (2,))])
    >>> dtype_from_json(dtype_to_json(dtype)) == dtype
    True
    """
    try:
        return checked_dtype(_parsed(value, 0))
    except (LayoutError, TypeError, ValueError, KeyError, OverflowError, AttributeError, MemoryError) as error:
        raise DataError(f"{value!r:.200} describes no dtype: {error}") from error


def _parsed(value: Any, depth: int) -> np.dtype[Any]:
    if depth > _MOST_DEPTH:
        raise ValueError("structures within structures without end")
    if isinstance(value, str):
        if not _SIMPLE.fullmatch(value):  # much else would be a dtype to NumPy, which reads it as Python
            raise ValueError("a simple dtype is its byte order, kind and size")
        return np.dtype(value)
    if "base" in value:
        shape = tuple(int(size) for size in value["shape"])
        if len(shape) > 32 or min(shape, default=1) < 1:
            raise ValueError(f"an array of shape {shape}")
        return np.dtype((_parsed(value["base"], depth + 1), shape))
    fields = value["fields"]
    if not 0 < len(fields) <= _MOST_FIELDS:
        raise ValueError(f"{len(fields)} fields")
    description: Any = {
        "names": [str(name) for name, _kind, _offset in fields],
        "formats": [_parsed(kind, depth + 1) for _name, kind, _offset in fields],
        "offsets": [int(offset) for _name, _kind, offset in fields],
        "itemsize": int(value["itemsize"]),
    }
    result: np.dtype[Any] = np.dtype(description)
    return result


def fill_value(dtype: np.dtype[Any], fill: Any = None) -> Any:
    """What stands where samples are missing: NaN or NaT where the dtype has one, else zero.

    Raises
    ------
    LayoutError
        When ``fill`` is no value of the dtype.

    Examples
    --------
    >>> fill_value(np.dtype("f4")), fill_value(np.dtype("i2"))
    (np.float32(nan), np.int16(0))
    """
    if fill is None and dtype.kind in "fc":
        fill = np.nan
    if fill is None and dtype.kind in "mM":
        fill = "NaT"
    try:
        return np.zeros((), dtype)[()] if fill is None else np.asarray(fill).astype(dtype)[()]
    except (TypeError, ValueError, OverflowError) as error:
        raise LayoutError(f"fill={fill!r:.60} is no value of {dtype}: {error}") from error


def schema_hash(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """64 bits by which both ends of a stream know that they speak of the same chunks.

    Examples
    --------
    >>> schema_hash(np.dtype("f4"), (-1, 2)) == schema_hash(np.dtype("<f4"), (-1, 2))
    True
    """
    text = json.dumps([dtype_to_json(dtype), list(shape[1:])], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
