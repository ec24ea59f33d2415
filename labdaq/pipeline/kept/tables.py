"""Files that sinks wrote, read back piece by piece: whatever their format, columns of one length."""

import importlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, MissingExtraError, NotFoundError
from labdaq.files import (
    DatasetReader,
    Hdf5Reader,
    ZarrReader,
    iterate_parquet,
    iterate_parquet_part,
    read_csv,
    read_npz,
    read_parquet_tar,
)
from labdaq.files.table import LARGEST, PathLike, Table, check_size
from labdaq.pipeline.sinks.journal import ROWS, iterate_rows

__all__ = ["ENDINGS", "METADATA", "Columns", "KeptTable", "ending_of", "iterate_columns", "read_table", "table_of"]

METADATA = ("counter", "timestamp_ns", "deadtime")
"""What is kept with every event, beside its fields."""

PIECE_NBYTES = 1 << 24
"""Files are read in pieces of about this size."""


@dataclass(frozen=True)
class Columns:
    """Some rows of a table."""

    arrays: Mapping[str, npt.NDArray[Any]]
    """Values by name, each of shape ``(n, …)``."""
    units: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return min(map(len, self.arrays.values()), default=0)


@dataclass(frozen=True)
class KeptTable:
    """A table that was kept.

    Examples
    --------
    >>> table = KeptTable(np.array([(0, 2.5), (1, 0.5)], [("counter", "i8"), ("height", "f4")]), {"height": "V"})
    >>> len(table), table["height"]
    (2, array([2.5, 0.5], dtype=float32))
    """

    records: npt.NDArray[Any]
    """Structured array, shape (n,)."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units by field, for the fields that have one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields."""
        return self.records.dtype.names or ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, which: Any) -> Any:
        """A field by its name, or rows by number."""
        if isinstance(which, str) and which not in self.names:
            raise NotFoundError(f"no field {which!r}; the fields are {', '.join(self.names)}")
        return self.records[which]

    def to_pandas(self) -> Any:
        """As a DataFrame with a column for each field; arrays stand in their cells. Its ``attrs`` hold the units.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise MissingExtraError("this needs pandas: pip install 'labdaq[analysis]'") from error
        columns = {name: self.records[name] for name in self.names}
        frame = pandas.DataFrame({name: list(c) if c.ndim > 1 else c for name, c in columns.items()})
        frame.attrs["units"] = dict(self.units)
        return frame

    def to_arrow(self) -> Any:
        """As a table of Apache Arrow; arrays are lists of a fixed size, units are metadata of the columns.

        Raises
        ------
        MissingExtraError
            pyarrow is not installed.
        """
        from labdaq.files.arrow import to_arrow

        return to_arrow(self.records, self.units)

    def _repr_html_(self) -> str:
        heads = [f"{name} [{self.units[name]}]" if name in self.units else name for name in self.names]
        rows = [[str(value) for value in row] for row in self.records[:10]]
        lines = [f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"]
        lines += [f"<tr>{''.join(f'<td>{escape(cell[:40])}</td>' for cell in row)}</tr>" for row in rows]
        return f"<table>{''.join(lines)}</table>{len(self)} rows"


def table_of(pieces: Iterator[Columns], what: str, limit: int = LARGEST) -> KeptTable:
    """All pieces of a table together.

    Raises
    ------
    DataError
        They take more bytes than the limit; the message says what they are.
    """
    parts: list[npt.NDArray[Any]] = []
    units: dict[str, str] = {}
    nbytes = 0
    for piece in pieces:
        n = len(piece)
        dtype = np.dtype([(name, column.dtype, column.shape[1:]) for name, column in piece.arrays.items()])
        nbytes += n * dtype.itemsize
        check_size(nbytes, limit, what)
        records = np.empty(n, dtype)
        for name, column in piece.arrays.items():
            records[name] = column[:n]
        parts.append(records)
        units |= piece.units
    if len({part.dtype for part in parts}) > 1:
        raise DataError(f"{what}: its pieces differ: {', '.join(sorted({str(part.dtype) for part in parts}))}")
    return KeptTable(np.concatenate(parts) if parts else np.empty(0, [("counter", "i8")]), units)


def read_table(
    path: PathLike, *, entry: str | None = None, dtype: npt.DTypeLike | None = None, limit: int = LARGEST
) -> KeptTable:
    """Read a file of a sink whole; see :func:`iterate_columns`.

    Parameters
    ----------
    path, entry, dtype
        As there.
    limit
        Bytes of memory that the table may take.
    """
    return table_of(iterate_columns(path, entry=entry, dtype=dtype), str(path), limit)


def iterate_columns(
    path: PathLike, *, entry: str | None = None, dtype: npt.DTypeLike | None = None
) -> Generator[Columns]:
    """Read a file of a sink piece by piece, so that it need not fit in memory.

    Parameters
    ----------
    path
        The file; its ending says which format it has. One of text is read at once.
    entry
        Of HDF5 and Zarr: which entry, when there are several.
    dtype
        Of a table of text: how to read its fields, if it has these. Of HDF5 and Zarr: their order.

    Yields
    ------
    Columns
        At least one piece, which may be empty, unless the format does not tell what an empty one would be.

    Raises
    ------
    LayoutError
        No format has this ending.
    NotFoundError
        There is no such entry, or it must be said which.
    ResourceError, DataError, MissingExtraError
        The file cannot be read, is damaged, or needs a package that is not installed.
    """
    file = Path(path)
    ending = ending_of(file)
    if ending not in _READERS:
        raise LayoutError(f"{str(path)!r} cannot be read as a table: files end in {', '.join(ENDINGS)}")
    return _READERS[ending](file, entry, dtype)


def ending_of(path: Path) -> str:
    """What tells the format of a file: of Parquet also parts that were not completed can be read.

    Examples
    --------
    >>> ending_of(Path("pulses.csv")), ending_of(Path("pulses.parquet.part"))
    ('.csv', '.parquet.part')
    """
    return "".join(path.suffixes[-2:]) if path.suffix == ".part" else path.suffix


def _csv(path: Path, _entry: str | None, dtype: npt.DTypeLike | None) -> Generator[Columns]:
    table = read_csv(path)
    if dtype is not None and np.dtype(dtype).names == table.records.dtype.names:
        table = read_csv(path, dtype)
    yield _columns_of(table)


def _parquet(path: Path, _entry: str | None, _dtype: npt.DTypeLike | None) -> Generator[Columns]:
    itemsize = max((table.records.itemsize for table in _first(iterate_parquet(path, 1))), default=1)
    for table in iterate_parquet(path, max(1, PIECE_NBYTES // max(itemsize, 1))):
        yield _columns_of(table)


def _parquet_part(path: Path, _entry: str | None, _dtype: npt.DTypeLike | None) -> Generator[Columns]:
    for table in iterate_parquet_part(path):
        yield _columns_of(table)


def _rows(path: Path, _entry: str | None, _dtype: npt.DTypeLike | None) -> Generator[Columns]:
    """The journal of a file that was not completed."""
    itemsize = max((table.records.itemsize for table in _first(iterate_rows(path, 1))), default=1)
    for table in iterate_rows(path, max(1, PIECE_NBYTES // itemsize)):
        yield _columns_of(table)


def _first(tables: Iterator[Table]) -> list[Table]:
    """The first of them, if there is one."""
    try:
        return [table for _, table in zip(range(1), tables, strict=False)]
    finally:
        tables.close()  # type: ignore[attr-defined] # it is a generator, and its file is open


def _columns_of(table: Table) -> Columns:
    return Columns({name: table.records[name] for name in table.records.dtype.names or ()}, table.units)


def _npz(path: Path, _entry: str | None, _dtype: npt.DTypeLike | None) -> Generator[Columns]:
    found = read_npz(path)
    arrays = found.arrays
    if isinstance(found.metadata, dict) and {"worker", "error", "counter"} <= set(found.metadata) and "data" in arrays:
        about = {name: np.array([found.metadata[name]]) for name in METADATA if name in found.metadata}
        yield Columns(about | {"data": arrays["data"][None]})  # an event on which a filter failed
        return
    if len(arrays) == 1:
        (array,) = arrays.values()
        if array.dtype.names and array.ndim == 1:
            arrays = {field: array[field] for field in array.dtype.names}
        else:
            arrays = {"data": array}
    if any(array.ndim == 0 for array in arrays.values()) or len({len(array) for array in arrays.values()}) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"{path} is no table: its arrays differ in length: {shapes or 'there are none'}")
    yield Columns(arrays)


def _tar(path: Path, _entry: str | None, _dtype: npt.DTypeLike | None) -> Generator[Columns]:
    """Events with samples: a column for each channel."""
    counters: list[int | None] = []
    records: list[npt.NDArray[Any]] = []
    for event in read_parquet_tar(path):
        if records and (event.records.dtype, event.records.shape) != (records[0].dtype, records[0].shape):
            raise DataError(
                f"{path}: event {event.counter} holds {event.records.dtype}{event.records.shape}, and those before "
                f"{records[0].dtype}{records[0].shape}"
            )
        counters.append(event.counter)
        records.append(event.records)
        if len(records) * records[0].nbytes >= PIECE_NBYTES:
            yield _stacked(counters, records)
            counters, records = [], []
    if records:
        yield _stacked(counters, records)


def _stacked(counters: list[int | None], records: list[npt.NDArray[Any]]) -> Columns:
    numbers = {} if None in counters else {"counter": np.array(counters, np.int64)}
    fields = {name: np.stack([one[name] for one in records]) for name in records[0].dtype.names or ()}
    return Columns(numbers | fields)


def _datasets(
    kind: Callable[[Path], DatasetReader], path: Path, entry: str | None, dtype: npt.DTypeLike | None
) -> Generator[Columns]:
    with kind(path) as file:
        infos = {name: about for name, about in file.names().items() if about.dtype is not None and about.shape}
        group = _group(path, sorted({name.rpartition("/")[0] for name in infos}), entry)
        names = {name.rpartition("/")[2]: name for name in infos if name.rpartition("/")[0] == group}
        units = {leaf: unit for leaf, name in names.items() if (unit := infos[name].units)}
        length = min(infos[name].shape[0] for name in names.values())
        itemsize = sum(
            int(np.prod(infos[name].shape[1:])) * np.dtype(infos[name].dtype).itemsize for name in names.values()
        )
        count = max(1, PIECE_NBYTES // max(itemsize, 1))
        for begin in range(0, max(length, 1), count):
            end = min(begin + count, length)
            arrays = {leaf: np.asarray(file.read(name, begin, end)) for leaf, name in names.items()}
            yield Columns(_in_order(arrays, dtype), units)


def _group(path: Path, groups: list[str], entry: str | None) -> str:
    """Which group of datasets is meant."""
    meant = [group for group in groups if entry is None or entry in {group, group.partition("/")[0]}]
    if len(meant) != 1:
        there = ", ".join(group or "/" for group in groups) or "none"
        raise NotFoundError(f"{path}: which tables are to be read? entry={entry!r} stands for {len(meant)} of {there}")
    return meant[0]


def _in_order(arrays: Mapping[str, npt.NDArray[Any]], dtype: npt.DTypeLike | None) -> dict[str, npt.NDArray[Any]]:
    """In the order in which they were written; datasets have none."""
    known = METADATA if dtype is None else np.dtype(dtype).names or ()
    return {name: arrays[name] for name in (*known, *METADATA, *arrays) if name in arrays}


_READERS: dict[str, Callable[[Path, str | None, Any], Generator[Columns]]] = {
    ".parquet": _parquet,
    ".h5": partial(_datasets, Hdf5Reader),
    ".hdf5": partial(_datasets, Hdf5Reader),
    ".nxs": partial(_datasets, Hdf5Reader),
    ".zarr": partial(_datasets, ZarrReader),
    ".csv": _csv,
    ".txt": _csv,
    ".npz": _npz,
    ".tar": _tar,
    **dict.fromkeys((".gz", ".tgz", ".bz2", ".xz"), _tar),
    ".parquet.part": _parquet_part,
    ROWS: _rows,
}

ENDINGS = tuple(_READERS)
"""Of the files that can be read; the one that keeps most comes first."""
