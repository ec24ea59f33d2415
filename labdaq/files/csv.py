"""Tables as text: one line of names and units, then one line for each record.

The header names the fields as ``decay_time [us]``. Each batch is appended whole with a single call to the
system, so after a crash the file holds everything that was written up to the last batch or a part of it.
Numbers are written so that they read back to the same value.
"""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, DataError, LayoutError
from labdaq.files.table import PathLike, Table, check_free, check_units, fields_of, resource_error

__all__ = ["CsvFile", "read_csv"]


class CsvFile:
    """Write records to a CSV file.

    The file is made with the first batch, which may be empty, and its fields are those of this batch.

    Parameters
    ----------
    path : path-like
        The file.
    units : mapping of str to str, optional
        Units of the fields.
    overwrite : bool
        Replace an existing file; without it that is an error.

    Raises
    ------
    ResourceError
        From any method: the file exists, or the system refuses to open or extend it. After a full disk the
        file ends with the last complete batch.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pulses.csv"
    >>> with CsvFile(path, units={"delay": "us"}) as file:
    ...     file.write(np.array([(1, 2.25), (2, 0.5)], [("n", "i4"), ("delay", "f4")]))
    >>> print(path.read_text())
    n,delay [us]
    1,2.25
    2,0.5
    """

    def __init__(self, path: PathLike, *, units: Mapping[str, str] | None = None, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.units = dict(units or {})
        self.overwrite = overwrite
        self._file: io.FileIO | None = None
        self._dtype: np.dtype[Any] | None = None
        self._is_closed = False

    def write(self, records: npt.NDArray[Any]) -> None:
        """Append a batch.

        Parameters
        ----------
        records : structured ndarray, shape (n,)
            Fields of integers, reals, booleans, texts or times; one value each.

        Raises
        ------
        LayoutError
            If a field does not fit in a cell, or the fields are not those of the first batch.
        ClosedError
            If the file was closed.
        """
        if self._is_closed:
            raise ClosedError(f"{self.path} was closed")
        if self._file is None:
            self._file = self._begin(records)
        elif records.dtype != self._dtype:
            raise LayoutError(f"{self.path} holds records of {self._dtype}, not {records.dtype}")
        columns = [_cells(records[name]) for name in records.dtype.names or ()]
        self._append(self._file, _lines(zip(*columns, strict=True)))

    def _begin(self, records: npt.NDArray[Any]) -> io.FileIO:
        fields = fields_of(records)
        check_units(self.units, tuple(fields))
        for name, dtype in fields.items():
            if dtype.kind not in "biufSUM" or dtype.shape:
                raise LayoutError(f"field {name!r} ({dtype}) does not fit in a cell of a CSV file: use Parquet")
        check_free(self.path, overwrite=self.overwrite)
        try:
            file = io.FileIO(self.path, "w")
        except OSError as error:
            raise resource_error(error, self.path, "opening the file") from error
        self._dtype = records.dtype
        titles = [f"{name} [{self.units[name]}]" if name in self.units else name for name in fields]
        try:
            self._append(file, _lines([titles]))
        except BaseException:
            self._is_closed = True
            file.close()
            raise
        return file

    def _append(self, file: io.FileIO, text: bytes) -> None:
        end = file.tell() if file.seekable() else None
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            if end is not None:
                _cut(file, end)
            raise resource_error(error, self.path, f"writing {len(text)} bytes") from error

    def close(self) -> None:
        """Close the file; everything is on its way to the disk. Closing twice is fine."""
        self._is_closed = True
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "CsvFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cells(column: npt.NDArray[Any]) -> list[Any]:
    kind = column.dtype.kind
    if kind == "b":
        column = column.astype(np.uint8)
    elif kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    elif kind == "M" or (kind == "f" and column.dtype.itemsize != 8):
        column = column.astype("U")  # the shortest text of this precision: 0.3, not 0.30000001192092896
    return list(column.tolist())


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cut(file: io.FileIO, end: int) -> None:
    """Take a half-written batch off the end of a file, where the file can be cut."""
    try:
        os.ftruncate(file.fileno(), end)
        file.seek(end)
    except OSError:
        return


def read_csv(path: PathLike, dtype: npt.DTypeLike | None = None) -> Table:
    """Read a table that :class:`CsvFile` wrote. A last line that a crash cut short is left out.

    Parameters
    ----------
    path : path-like
        The file.
    dtype : structured dtype, optional
        How to read the fields; by default columns of integers become int64, columns of numbers float64,
        and all others text.

    Returns
    -------
    Table
        The records and their units.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it has no header, or a line does not fit to it.
    """
    file = Path(path)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise resource_error(error, file, "reading the file") from error
    try:
        complete = text[: text.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a text file: {error}") from error
    rows = list(csv.reader(io.StringIO(complete)))
    if not rows or not all(rows[0]):
        raise DataError(f"{file} does not begin with a line of names")
    names, units = _names(rows[0])
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise DataError(f"{file}, line {number}: {len(row)} values for {len(names)} fields")
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(names)
    texts = {name: np.array(column, "U") for name, column in zip(names, columns, strict=True)}
    return Table(_convert(file, texts, dtype), units)


def _names(titles: list[str]) -> tuple[list[str], dict[str, str]]:
    names, units = [], {}
    for title in titles:
        name, _, unit = title.partition(" [")
        names.append(name)
        if unit.endswith("]"):
            units[name] = unit[:-1]
    return names, units


def _convert(file: Path, texts: Mapping[str, npt.NDArray[Any]], dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
    kinds: np.dtype[Any] = np.dtype(dtype or [(name, _kind_of(text)) for name, text in texts.items()])
    if kinds.names != tuple(texts):
        raise LayoutError(f"{file} has the fields {', '.join(texts)}; asked for {kinds}")
    records = np.empty(min(map(len, texts.values())), kinds)
    for name, text in texts.items():
        try:
            # To NumPy any text is true, also "0": hence the way over numbers.
            records[name] = text.astype(np.uint8) if kinds[name].kind == "b" else text.astype(kinds[name])
        except (ValueError, OverflowError) as error:
            raise DataError(f"{file}: field {name!r} does not hold {kinds[name]}: {error}") from error
    return records


def _kind_of(text: npt.NDArray[Any]) -> np.dtype[Any]:
    """Integers if all are, else numbers if all are, else text."""
    for kind in (np.int64, np.uint64, np.float64):
        try:
            text.astype(kind)
        except (ValueError, OverflowError):
            continue
        return np.dtype(kind)
    return text.dtype
