"""Tables in columns: Apache Parquet, streamed in row groups.

A Parquet file can be read only when its last bytes are written. Until then it stands beside its final
name as ``<name>.part``; closing completes it and moves it to its place, so that the name never stands for
half a file. Units are metadata of the columns, as ``unit``; arrays in a field become fixed-size lists.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError
from labdaq.files.table import PathLike, Table, check_free, check_units, fields_of, resource_error

__all__ = ["ParquetFile", "read_parquet"]


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet files need pyarrow: pip install 'labdaq[store]'") from error
    return pa


class ParquetFile:
    """Write records to a Parquet file.

    The file is made with the first batch, which may be empty, and its fields are those of this batch.

    Parameters
    ----------
    path : path-like
        The file.
    units : mapping of str to str, optional
        Units of the fields.
    metadata : mapping of str to str, optional
        What else to keep in the file.
    row_group : int
        Records collected in memory before they are written as one row group.
    overwrite : bool
        Replace an existing file; without it that is an error.

    Raises
    ------
    ResourceError
        From any method: the file exists, or the system refuses to open or extend it.
    MissingExtraError
        If pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pulses.parquet"
    >>> with ParquetFile(path, units={"delay": "us"}) as file:
    ...     file.write(np.array([(1, 2.25), (2, 0.5)], [("n", "i4"), ("delay", "f4")]))
    >>> table = read_parquet(path)
    >>> table.records["delay"], table.units
    (array([2.25, 0.5 ], dtype=float32), {'delay': 'us'})
    """

    def __init__(
        self,
        path: PathLike,
        *,
        units: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        row_group: int = 65536,
        overwrite: bool = False,
    ) -> None:
        if row_group < 1:
            raise LayoutError(f"a row group holds at least one record, not {row_group}")
        self._arrow = _pyarrow()
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.units, self.metadata = dict(units or {}), dict(metadata or {})
        self.row_group, self.overwrite = row_group, overwrite
        self._writer: Any = None
        self._dtype: np.dtype[Any] | None = None
        self._waiting: list[npt.NDArray[Any]] = []
        self._waiting_records = 0
        self._is_closed = False

    def write(self, records: npt.NDArray[Any]) -> None:
        """Append a batch; the records are copied.

        Parameters
        ----------
        records : structured ndarray, shape (n,)
            Fields of integers, reals, booleans, texts or times, or arrays of numbers.

        Raises
        ------
        LayoutError
            If a field does not fit, or the fields are not those of the first batch.
        ClosedError
            If the file was closed.
        """
        if self._is_closed:
            raise ClosedError(f"{self.path} was closed")
        if self._writer is None:
            self._begin(records)
        elif records.dtype != self._dtype:
            raise LayoutError(f"{self.path} holds records of {self._dtype}, not {records.dtype}")
        self._waiting.append(records.copy())
        self._waiting_records += len(records)
        if self._waiting_records >= self.row_group:
            self._flush()

    def _begin(self, records: npt.NDArray[Any]) -> None:
        check_units(self.units, tuple(fields_of(records)))
        check_free(self.path, overwrite=self.overwrite)
        schema = _to_arrow(self._arrow, records[:0], self.units).schema.with_metadata(self.metadata)
        try:
            self._writer = self._arrow.parquet.ParquetWriter(self.part, schema)
        except OSError as error:
            raise resource_error(error, self.path, "opening the file") from error
        self._dtype = records.dtype

    def _flush(self) -> None:
        if not self._waiting:
            return
        batch = np.concatenate(self._waiting)
        self._waiting, self._waiting_records = [], 0
        try:
            self._writer.write_table(_to_arrow(self._arrow, batch, self.units), self.row_group)
        except OSError as error:
            self._give_up()
            raise resource_error(error, self.path, f"writing {batch.nbytes} bytes") from error

    def _give_up(self) -> None:
        """Without its last bytes the file is of no use: take it away."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._writer.close()
        with contextlib.suppress(OSError):
            self.part.unlink()

    def close(self) -> None:
        """Complete the file and give it its name. Closing twice is fine."""
        if self._is_closed:
            return
        if self._writer is not None:
            self._flush()
            try:
                self._writer.close()
                self.part.replace(self.path)
            except OSError as error:
                self._give_up()
                raise resource_error(error, self.path, "completing the file") from error
        self._is_closed = True

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _to_arrow(arrow: Any, records: npt.NDArray[Any], units: Mapping[str, str]) -> Any:
    """Records as an Arrow table; what Arrow has no word for goes to the metadata of the columns."""
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


def read_parquet(path: PathLike) -> Table:
    """Read a table of flat columns, written by :class:`ParquetFile` or by another program.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Table
        The records, with the dtypes they were written with, their units and the metadata of the file.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it is not a complete Parquet file.
    MissingExtraError
        If pyarrow is not installed.
    """
    arrow, file = _pyarrow(), Path(path)
    try:
        with arrow.parquet.ParquetFile(file) as parquet:
            table = parquet.read()
    except arrow.ArrowInvalid as error:
        raise DataError(f"{file} is not a complete Parquet file: {error}") from error
    except OSError as error:
        raise resource_error(error, file, "reading the file") from error
    columns = {about.name: _from_arrow(about, table.column(about.name)) for about in table.schema}
    records = np.empty(len(table), [(name, c.dtype, c.shape[1:]) for name, c in columns.items()])
    for name, column in columns.items():
        records[name] = column
    units = {about.name: _told(about)["unit"] for about in table.schema if "unit" in _told(about)}
    return Table(records, units, _text(table.schema.metadata))


def _from_arrow(about: Any, column: Any) -> npt.NDArray[Any]:
    told = _told(about)
    shape = tuple(json.loads(told.get("shape", "[]")))
    column = column.combine_chunks()
    values = (column.flatten() if shape else column).to_numpy(zero_copy_only=False)
    dtype = np.dtype(told["numpy"]) if "numpy" in told else values.dtype
    if dtype.hasobject:
        dtype = np.array(values.tolist()).dtype
    return np.asarray(values.astype(dtype).reshape(len(column), *shape))


def _told(about: Any) -> dict[str, str]:
    return _text(about.metadata)


def _text(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
