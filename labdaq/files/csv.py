r"""Tables as text: one line of names and units, then one line for each record.

The header names the fields as ``decay_time [us]``, or by titles of your own. Each batch is appended whole with
a single call to the system, so after a crash the file holds everything that was written up to the last batch or
a part of it. Numbers are written so that they read back to the same value. Tables of other programs are read
too, whatever separates their cells: ``CsvFile(path, titles=..., separator="\t")`` writes what mimoCoRB writes.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, DataError, LayoutError
from labdaq.files.dialect import check_separator, rows_of, with_names
from labdaq.files.place import AppendedFile
from labdaq.files.table import PathLike, Table, check_fields, fields_of, reading

__all__ = ["CsvFile", "read_csv"]


class CsvFile:
    """Write records to a CSV file.

    The file is made with the first batch, which may be empty, and its fields are those of this batch.

    Parameters
    ----------
    path : path-like
        The file.
    units : mapping of str to str, optional
        Units of the fields; they follow the name in the header, as ``delay [us]``.
    titles : mapping of str to str, optional
        Headings by field. A title stands as it is, without the unit: say the unit in the title.
    separator : str
        What stands between the cells: a comma, a tab or a semicolon.
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

    def __init__(
        self,
        path: PathLike,
        *,
        units: Mapping[str, str] | None = None,
        titles: Mapping[str, str] | None = None,
        separator: str = ",",
        overwrite: bool = False,
    ) -> None:
        check_separator(separator)
        if separator == " ":
            raise LayoutError("blanks separate cells in tables of others only: texts hold blanks; write tabs")
        self.path = Path(path)
        self.units, self.titles = dict(units or {}), dict(titles or {})
        self.separator, self.overwrite = separator, overwrite
        self._file: AppendedFile | None = None
        self._dtype: np.dtype[Any] | None = None
        self._is_closed = False

    def at(self, path: PathLike) -> "CsvFile":
        """A file with the same settings at another place."""
        return CsvFile(path, units=self.units, titles=self.titles, separator=self.separator, overwrite=self.overwrite)

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
        self._file.append(self._lines(zip(*columns, strict=True)))

    def _begin(self, records: npt.NDArray[Any]) -> AppendedFile:
        fields = fields_of(records)
        for name, dtype in fields.items():
            if dtype.kind not in "biufSUM" or dtype.shape:
                raise LayoutError(f"field {name!r} ({dtype}) does not fit in a cell of a CSV file: use Parquet")
        headings = self._headings(tuple(fields))
        file = AppendedFile(self.path, overwrite=self.overwrite)
        self._dtype = records.dtype
        try:
            file.append(self._lines([headings]))
        except BaseException:
            self._is_closed = True
            file.close()
            raise
        return file

    def _headings(self, names: tuple[str, ...]) -> list[str]:
        check_fields(self.units, "units", names)
        check_fields(self.titles, "titles", names)
        named = {name: f"{name} [{self.units[name]}]" if name in self.units else name for name in names}
        headings = list((named | self.titles).values())
        if len(set(headings)) < len(headings):
            raise LayoutError(f"two columns would have the same heading: {', '.join(headings)}")
        if headings[0].startswith("#"):
            raise LayoutError(f"the first heading, {headings[0]!r}, would be read as a comment")
        return headings

    def _lines(self, rows: Any) -> bytes:
        lines = _Lines()
        csv.writer(lines, delimiter=self.separator).writerows(rows)
        return "".join(lines).encode()

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


class _Lines(list[str]):
    r"""Lines that end with ``\n``, in whose cells ``\r`` is quoted too: the writer quotes what ends its lines."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def _cells(column: npt.NDArray[Any]) -> list[Any]:
    kind = column.dtype.kind
    if kind == "b":
        column = column.astype(np.uint8)
    elif kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    elif kind == "M" or (kind == "f" and column.dtype.itemsize != 8):
        column = column.astype("U")  # the shortest text of this precision: 0.3, not 0.30000001192092896
    return list(column.tolist())


def read_csv(
    path: PathLike,
    dtype: npt.DTypeLike | None = None,
    *,
    titles: Mapping[str, str] | None = None,
    separator: str | None = None,
) -> Table:
    """Read a table of text, written by :class:`CsvFile` or by another program.

    The names of the columns come first, with or without a ``#``; lines with a ``#`` may precede them. A last
    line without an end, as a crash leaves it, is left out.

    Parameters
    ----------
    path : path-like
        The file.
    dtype : structured dtype, optional
        How to read the fields; by default columns of integers become int64, columns of numbers float64,
        and all others text.
    titles : mapping of str to str, optional
        Headings by field, as they were given to the writer.
    separator : str, optional
        Comma, tab, semicolon, or a blank for any stretch of blanks; by default it is found.

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
    NotFoundError
        If a title is not among the headings.
    """
    file = Path(path)
    with reading(file, "a text file", UnicodeDecodeError):
        text = file.read_bytes()
        complete = text[: text.rfind(b"\n") + 1].decode("utf-8")
    headings, rows = rows_of(complete, file, separator)
    names, units = with_names(headings, titles or {}, file)
    columns = zip(*(cells for _, cells in rows), strict=True) if rows else [()] * len(names)
    with reading(file, "a table that fits in memory"):
        texts = {name: np.array(column, "U") for name, column in zip(names, columns, strict=True)}
        return Table(_convert(file, texts, dtype), units)


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
