"""Points of streams as Arrow has them: for tables in memory, and for Parquet files."""

import json
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.files.arrow import pyarrow
from labdaq.store.encoding import to_json_text
from labdaq.store.exchange.selection import Selected, native, unit_of

__all__ = ["arrow_column"]

_LARGE = 2**31


def arrow_column(points: Any, selected: Selected) -> tuple[Any, dict[str, str]]:
    """Points of a stream as a column, and what to tell about it.

    Raises
    ------
    LayoutError
        Arrow has no such numbers.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> from labdaq.store.exchange.selection import select
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("hits", NumericStreamEncoder("i2", (-1,))).send([np.arange(2, dtype="i2")])
    ...     (hits,) = select(scan)
    ...     column, told = arrow_column(hits.read(), hits)
    >>> column.to_pylist(), told["numpy"]
    ([[0, 1]], '<i2')
    """
    arrow, stream = pyarrow(), selected.stream
    told = {"info": to_json_text(dict(stream.info))}
    if (unit := unit_of(stream)) is not None:
        told["unit"] = unit
    try:
        if isinstance(points, list) and stream.dtype is None and not _are_frames(points):
            return arrow.array([to_json_text(point) for point in points], arrow.string()), told
        if isinstance(points, list):
            dtype = points[0].dtype if stream.dtype is None else stream.dtype
            return _lists(arrow, points, dtype, ndim=_ndim(points, stream)), told | {"numpy": dtype.str}
        told |= {"numpy": points.dtype.newbyteorder("=").str, "shape": json.dumps(points.shape[1:])}
        return _fixed(arrow, native(points)), told
    except (arrow.ArrowException, ValueError, TypeError) as error:
        raise LayoutError(f"stream {selected.name!r} of {stream.encoder!r} has no place in Arrow: {error}") from error


def _are_frames(points: list[Any]) -> bool:
    return bool(points) and all(isinstance(point, np.ndarray) for point in points)


def _ndim(points: list[Any], stream: Any) -> int:
    return len(stream.shape) if stream.shape is not None else max(point.ndim for point in points)


def _values(arrow: Any, flat: Any) -> Any:
    """Numbers in a row."""
    if flat.dtype.kind != "c":
        return arrow.array(flat)
    return arrow.StructArray.from_arrays([arrow.array(flat.real.copy()), arrow.array(flat.imag.copy())], ["re", "im"])


def _fixed(arrow: Any, points: Any) -> Any:
    values = _values(arrow, np.ascontiguousarray(points).reshape(-1))
    return values if points.ndim == 1 else arrow.FixedSizeListArray.from_arrays(values, int(np.prod(points.shape[1:])))


def _lists(arrow: Any, points: list[Any], dtype: Any, ndim: int) -> Any:
    """Arrays of any lengths as lists of lists: from the innermost axis outwards."""
    flat = [native(point).reshape(-1) for point in points]
    column = _values(arrow, np.concatenate(flat) if flat else np.empty(0, dtype.newbyteorder("=")))
    for axis in reversed(range(ndim)):
        lengths = [np.full(int(np.prod(p.shape[:axis], dtype=int)), p.shape[axis]) for p in points]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths) if lengths else [])]).astype(np.int64)
        if offsets[-1] < _LARGE:
            column = arrow.ListArray.from_arrays(arrow.array(offsets.astype(np.int32)), column)
        else:
            column = arrow.LargeListArray.from_arrays(arrow.array(offsets), column)
    return column
