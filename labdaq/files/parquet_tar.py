"""Events as mimoCoRB saves them: a tar archive with one small Parquet file for each event.

The columns of an event are the fields of its array, one row for each sample. Its number stands only in the
name of its member, ``<name>_<number>.parquet``; times are not kept. Members are never unpacked to the disk and
their names are used for nothing but the number, so that an archive from anywhere can be read.
"""

import contextlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy.typing as npt

from labdaq.errors import ClosedError, LayoutError
from labdaq.files.arrow import to_arrow
from labdaq.files.parquet import table_from
from labdaq.files.place import AppendedFile
from labdaq.files.table import PathLike, check_size, needed, reading

__all__ = ["ParquetTarFile", "TarEvent", "read_parquet_tar"]

_NUMBER = re.compile(r"_(\d{1,18})\.parquet$", re.ASCII)


class TarEvent(NamedTuple):
    """One event of an archive."""

    counter: int | None
    """Its number; None if the name of the member has none."""
    records: npt.NDArray[Any]
    """Structured array, shape (samples,), a field for each channel."""


class ParquetTarFile:
    """Write events to a tar archive of Parquet files.

    Each event is appended whole, so after a crash the archive can be read up to the last one.

    Parameters
    ----------
    path : path-like
        The archive, made with the first event.
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
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "pulses.tar"
    >>> with ParquetTarFile(path) as file:
    ...     file.write(np.array([(0.5,), (0.25,)], [("chA", "f4")]), counter=7)
    >>> [(event.counter, event.records["chA"].tolist()) for event in read_parquet_tar(path)]
    [(7, [0.5, 0.25])]
    """

    def __init__(self, path: PathLike, *, overwrite: bool = False) -> None:
        needed("pyarrow.parquet")
        self.path = Path(path)
        self.overwrite = overwrite
        self._file: AppendedFile | None = None
        self._next = 0
        self._is_closed = False

    def at(self, path: PathLike) -> "ParquetTarFile":
        """A file with the same settings at another place."""
        return ParquetTarFile(path, overwrite=self.overwrite)

    def write(self, event: npt.NDArray[Any], counter: int | None = None) -> None:
        """Append an event.

        Parameters
        ----------
        event : structured ndarray, shape (samples,)
            A field for each channel.
        counter : int, optional
            Its number, by default one more than that of the event before; the first one is 0.

        Raises
        ------
        LayoutError
            If the event is no such array, or the number is negative.
        ClosedError
            If the file was closed.
        """
        if self._is_closed:
            raise ClosedError(f"{self.path} was closed")
        number = self._next if counter is None else int(counter)
        if number < 0:
            raise LayoutError(f"events are counted from 0 on, not from {number}")
        member = _member(f"{self.path.name.partition('.')[0]}_{number}.parquet", event)
        if self._file is None:
            self._file = AppendedFile(self.path, overwrite=self.overwrite)
        self._file.append(member)
        self._next = number + 1

    def close(self) -> None:
        """Complete the archive. Closing twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._file is not None:
            try:
                self._file.append(bytes(2 * tarfile.BLOCKSIZE))
            finally:
                self._file.close()

    def __enter__(self) -> "ParquetTarFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _member(name: str, event: npt.NDArray[Any]) -> bytes:
    """An event as it stands in the archive: header, Parquet, and zeros up to a whole block."""
    content = io.BytesIO()
    needed("pyarrow.parquet").write_table(to_arrow(event, {}), content)
    about = tarfile.TarInfo(name)
    about.size = content.tell()
    return about.tobuf() + content.getvalue() + bytes(-about.size % tarfile.BLOCKSIZE)


def read_parquet_tar(path: PathLike, *, limit: int = 2**28) -> Iterator[TarEvent]:
    """Read events one by one; the archive may be compressed with gzip, bzip2 or xz.

    An event that a crash cut short is left out, if it is the last one.

    Parameters
    ----------
    path : path-like
        The archive. Members that are no Parquet files are skipped.
    limit : int
        Bytes of memory that one event may take.

    Yields
    ------
    TarEvent
        Number and samples of an event.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        If it is no archive, or an event in it is damaged or larger than the limit.
    MissingExtraError
        If pyarrow is not installed.
    """
    file = Path(path)
    needed("pyarrow.parquet")
    with contextlib.ExitStack() as opened:
        with reading(file, "a tar archive", tarfile.TarError, EOFError, zlib.error):
            archive = opened.enter_context(tarfile.open(file, "r|*"))
        while (content := _next_member(archive, file, limit)) is not None:
            name, data = content
            if not name.endswith(".parquet"):
                continue
            number = _NUMBER.search(name)
            records = table_from(io.BytesIO(data), file, limit=limit).records
            yield TarEvent(int(number[1]) if number else None, records)


def _next_member(archive: Any, file: Path, limit: int) -> tuple[str, bytes] | None:
    """Name and content of the next member; None at the end, also if it was cut off there."""
    with reading(file, "a tar archive", tarfile.TarError, EOFError, zlib.error, ValueError, UnicodeError):
        try:
            about = archive.next()
            archive.members.clear()  # else a long archive would fill the memory
            if about is None:
                return None
            if not about.isreg():
                return "", b""
            check_size(about.size, limit, f"an event in {file}")
            content = archive.extractfile(about)
            data = content.read() if content is not None else b""
        except tarfile.ReadError as error:
            if "unexpected end of data" in str(error):
                return None
            raise
    return (about.name, data) if len(data) == about.size else None
