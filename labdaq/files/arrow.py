"""Tables as Apache Arrow has them, which is how Parquet is written and read.

Units are metadata of the columns, as ``unit``; arrays in a field become fixed-size lists. What Arrow has no word
for, such as the shape of an array, is metadata as well, so that a table reads back as it was.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.files.table import Table, fields_of, needed

__all__ = ["damaged", "from_arrow", "pyarrow", "to_arrow"]


def pyarrow() -> Any:
    """The package, with all that is needed for Parquet."""
    needed("pyarrow.parquet")
    return needed("pyarrow")


def damaged(arrow: Any) -> tuple[type[Exception], ...]:
    """What reading raises when the bytes make no sense, to Arrow or to us."""
    return (arrow.ArrowException, ValueError, TypeError, KeyError, OverflowError, SyntaxError)


def to_arrow(records: npt.NDArray[Any], units: Mapping[str, str]) -> Any:
    """Records as an Arrow table; what Arrow has no word for goes to the metadata of the columns."""
    arrow = pyarrow()
    fields, columns = [], []
    for name, dtype in fields_of(records).items():
        values = np.ascontiguousarray(records[name], dtype.base.newbyteorder("="))
        try:
            column = arrow.array(values.reshape(-1))
            if dtype.shape:
                column = arrow.FixedSizeListArray.from_arrays(column, int(np.prod(dtype.shape)))
        except (arrow.ArrowException, ValueError) as error:
            raise LayoutError(f"field {name!r} ({dtype}) does not fit in a Parquet file: {error}") from error
        about = {"numpy": dtype.base.str, "shape": json.dumps(dtype.shape)}
        if name in units:
            about["unit"] = units[name]
        fields.append(arrow.field(name, column.type, nullable=False, metadata=about))
        columns.append(column)
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields))


def from_arrow(table: Any) -> Table:
    """An Arrow table as records; of several chunks or one."""
    columns = {about.name: _column(about, table.column(about.name)) for about in table.schema}
    records = np.empty(len(table), [(name, c.dtype, c.shape[1:]) for name, c in columns.items()])
    for name, column in columns.items():
        records[name] = column
    units = {about.name: _told(about)["unit"] for about in table.schema if "unit" in _told(about)}
    return Table(records, units, _text(table.schema.metadata))


def _column(about: Any, column: Any) -> npt.NDArray[Any]:
    told = _told(about)
    column = column.combine_chunks()
    shape: tuple[int, ...] = tuple(json.loads(told["shape"])) if "shape" in told else _shape_of(column)
    values = (column.flatten() if shape else column).to_numpy(zero_copy_only=False)
    dtype = np.dtype(told["numpy"]) if "numpy" in told else values.dtype
    if dtype.hasobject:
        dtype = np.array(values.tolist()).dtype
    if dtype.hasobject:
        raise LayoutError(f"column {about.name!r} ({about.type}) does not fit in a table of numbers and texts")
    return np.asarray(values.astype(dtype).reshape(len(column), *shape))


def _shape_of(column: Any) -> tuple[int, ...]:
    """Shape of each value: another program's lists, if all are of the same length, are arrays."""
    if not hasattr(column, "flatten") or not hasattr(column, "value_lengths"):
        return ()
    lengths = set(column.value_lengths().to_pylist())
    if len(lengths) > 1:
        raise LayoutError(f"lists of different lengths ({column.type}) do not fit in a table")
    return (lengths.pop() if lengths else 0,)


def _told(about: Any) -> dict[str, str]:
    return _text(about.metadata)


def _text(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
