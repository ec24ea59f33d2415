"""Tables in columns: Apache Parquet, streamed in row groups.

A Parquet file can be read only when its last bytes are written. Until then it stands beside its final name as
``<name>.part``; closing completes it and moves it to its place, so that the name never stands for half a file. Of a
part whose writer was killed, all row groups that were written can be read (:func:`iterate_parquet_part`). Units are
metadata of the columns, as ``unit``; arrays in a field become fixed-size lists.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, LayoutError, ResourceError
from labdaq.files.arrow import damaged, from_arrow, pyarrow, to_arrow
from labdaq.files.parquet_pieces import PiecesFile, pieces_of
from labdaq.files.place import discard, part_of, put_in_place
from labdaq.files.table import (
    LARGEST,
    PathLike,
    Table,
    check_fields,
    check_free,
    check_size,
    fields_of,
    reading,
)

__all__ = ["ParquetFile", "iterate_parquet", "iterate_parquet_part", "read_parquet", "rows_in_part", "table_from"]

_WHAT = "a complete Parquet file"


_LARGEST_GROUP = 1 << 23
"""Bytes of records that are written at once, whatever their number: more do not stay in the caches."""


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
        Records collected in memory before they are written as one row group; fewer when they take 8 MiB.
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
        self._arrow = pyarrow()
        self.path = Path(path)
        self.part = part_of(self.path)
        self.units, self.metadata = dict(units or {}), dict(metadata or {})
        self.row_group, self.overwrite = row_group, overwrite
        self._writer: Any = None
        self._dtype: np.dtype[Any] | None = None
        self._rows: npt.NDArray[Any] = np.empty(0)
        self._waiting = 0  # so many of these rows; the memory is used again, for new memory costs as much as copying
        self._is_closed = False
        self.lost = 0
        """Records that were taken and could not be written."""

    def at(self, path: PathLike) -> "ParquetFile":
        """A file with the same settings at another place."""
        return ParquetFile(
            path, units=self.units, metadata=self.metadata, row_group=self.row_group, overwrite=self.overwrite
        )

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
        self._collect(records)
        if self._waiting >= self.row_group or self._waiting * records.itemsize >= _LARGEST_GROUP:
            self.flush()

    def _collect(self, records: npt.NDArray[Any]) -> None:
        end = self._waiting + len(records)
        if end > len(self._rows):
            rows = np.empty(max(end, 2 * len(self._rows)), records.dtype)
            rows[: self._waiting] = self._rows[: self._waiting]
            self._rows = rows
        self._rows[self._waiting : end] = records
        self._waiting = end

    def _begin(self, records: npt.NDArray[Any]) -> None:
        check_fields(self.units, "units", tuple(fields_of(records)))
        check_free(self.path, overwrite=self.overwrite)
        schema = to_arrow(records[:0], self.units).schema.with_metadata(self.metadata)
        try:
            self._writer = PiecesFile(self._arrow, self.part, schema)
        except ResourceError:
            raise
        except OSError as error:
            raise ResourceError.of(error, "opening the file", self.path) from error
        self._dtype, self._rows = records.dtype, np.empty(0, records.dtype)

    def flush(self) -> None:
        """Write what waits for its row group: then it can be read even if the program is killed.

        Raises
        ------
        ResourceError
            The system refuses: the file is completed with what was written before, and `lost` says what it lacks.
        """
        if not self._waiting:
            return
        batch = self._rows[: self._waiting]
        try:
            self._writer.write_table(to_arrow(batch, self.units), self.row_group)
        except OSError as error:
            self.lost = len(batch)
            self._give_up()
            if isinstance(error, ResourceError):
                raise
            raise ResourceError.of(error, f"writing {batch.nbytes} bytes", self.path) from error
        self._waiting = 0

    def _give_up(self) -> None:
        """Nothing more can be written: complete the file with what is there; without anything, take it away."""
        self._is_closed = True
        if not self._writer.nrow:
            self._writer.give_up()
            discard(self.path)
            return
        try:
            self._writer.close()
            put_in_place(self.path, overwrite=self.overwrite)
        except OSError:  # not even its end could be written: the part can be read
            self._writer.give_up()

    def close(self) -> None:
        """Complete the file and give it its name. Closing twice is fine."""
        if self._is_closed:
            return
        if self._writer is not None:
            self.flush()
            try:
                self._writer.close()
            except OSError as error:
                self._give_up()
                if isinstance(error, ResourceError):
                    raise
                raise ResourceError.of(error, "completing the file", self.path) from error
            self._is_closed = True
            put_in_place(self.path, overwrite=self.overwrite)
        self._is_closed = True
        self._rows = np.empty(0)

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_parquet(path: PathLike, *, limit: int = LARGEST) -> Table:
    """Read a table of flat columns, written by :class:`ParquetFile` or by another program.

    Parameters
    ----------
    path : path-like
        The file.
    limit : int
        Bytes of memory that the table may take.

    Returns
    -------
    Table
        The records, with the dtypes they were written with, their units and the metadata of the file.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it is not a complete Parquet file, or larger than the limit: see :func:`iterate_parquet`.
    MissingExtraError
        If pyarrow is not installed.
    """
    return table_from(path, Path(path), limit=limit)


def table_from(source: Any, path: Path, *, limit: int = LARGEST) -> Table:
    """Read a table from what pyarrow can open; the path is for messages."""
    arrow = pyarrow()
    with reading(path, _WHAT, *damaged(arrow)), arrow.parquet.ParquetFile(source) as parquet:
        groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
        values = [group.column(i).num_values for group in groups for i in range(group.num_columns)]
        check_size(8 * sum(values), limit, str(path))  # a few bytes can stand for many equal values
        return from_arrow(parquet.read())


def iterate_parquet(path: PathLike, nrecord: int = 65536) -> Iterator[Table]:
    """Read a table batch by batch, so that it need not fit in memory.

    Parameters
    ----------
    path : path-like
        The file.
    nrecord : int
        Records at a time; where a row group ends there may be fewer.

    Yields
    ------
    Table
        Some records, as :func:`read_parquet` returns them all.

    Raises
    ------
    ResourceError, DataError, MissingExtraError
        As :func:`read_parquet` does, when the file is opened with the first batch, or later.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pulses.parquet"
    >>> with ParquetFile(path) as file:
    ...     file.write(np.array([(1,), (2,), (3,)], [("n", "i4")]))
    >>> [table.records["n"].tolist() for table in iterate_parquet(path, 2)]
    [[1, 2], [3]]
    """
    if nrecord < 1:
        raise LayoutError(f"a batch holds at least one record, not {nrecord}")
    arrow, file = pyarrow(), Path(path)
    with contextlib.ExitStack() as opened:
        with reading(file, _WHAT, *damaged(arrow)):
            parquet = opened.enter_context(arrow.parquet.ParquetFile(file))
            batches = parquet.iter_batches(nrecord)
        while True:
            with reading(file, _WHAT, *damaged(arrow)):
                batch = next(batches, None)
                if batch is None:
                    return
                table = from_arrow(arrow.Table.from_batches([batch]))
            yield table


def iterate_parquet_part(path: PathLike) -> Iterator[Table]:
    """Read what was written of a file of :class:`ParquetFile` that was not completed: ``<name>.parquet.part``.

    Parameters
    ----------
    path : path-like
        The part.

    Yields
    ------
    Table
        What was written at once, as :func:`read_parquet` returns it; what was cut is left out.

    Raises
    ------
    ResourceError, DataError, MissingExtraError
        As :func:`read_parquet` does.

    Examples
    --------
    >>> import tempfile
    >>> file = ParquetFile(Path(tempfile.mkdtemp()) / "pulses.parquet")
    >>> file.write(np.array([(1,), (2,)], [("n", "i4")]))
    >>> file.flush()
    >>> [table.records["n"].tolist() for table in iterate_parquet_part(file.part)]
    [[1, 2]]
    >>> file.close()
    """
    arrow, file = pyarrow(), Path(path)
    for piece in pieces_of(file):
        yield table_from(arrow.BufferReader(piece), file)


def rows_in_part(path: PathLike) -> int:
    """How many records of a part can be read; see :func:`iterate_parquet_part`.

    Raises
    ------
    ResourceError, MissingExtraError
        As :func:`read_parquet` does.
    """
    arrow, count = pyarrow(), 0
    for piece in pieces_of(Path(path)):
        with reading(Path(path), _WHAT, *damaged(arrow)):
            count += arrow.parquet.read_metadata(arrow.BufferReader(piece)).num_rows
    return count
