"""How the bytes of a file get to their place, so that a crash never leaves what cannot be read.

A format that can be read up to any batch is appended to, whole batches at a time. One that can be read only
when it is complete is written beside its final name, as ``<name>.part``, and moved there when it is.
"""

import contextlib
import io
import os
import shutil
from pathlib import Path

from labdaq.errors import ClosedError, ResourceError
from labdaq.files.table import check_free

__all__ = ["AppendedFile", "discard", "part_of", "put_in_place"]


class AppendedFile:
    """A file to which whole batches are appended, each with a single call to the system.

    Parameters
    ----------
    path : Path
        The file, made at once.
    overwrite : bool
        Replace an existing file; without it that is an error.

    Raises
    ------
    ResourceError
        From any method: the system refuses. After a full disk the file ends with the last complete batch.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log"
    >>> file = AppendedFile(path, overwrite=False)
    >>> file.append(b"one"), file.append(b"two")
    (None, None)
    >>> file.close()
    >>> path.read_bytes()
    b'onetwo'
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        check_free(path, overwrite=overwrite)
        try:
            self._file = io.FileIO(path, "w")
        except OSError as error:
            raise ResourceError.of(error, "opening the file", path) from error

    def append(self, batch: bytes | memoryview) -> None:
        """Write a batch, all of it or nothing."""
        if self._file.closed:
            raise ClosedError(f"{self.path} was closed")
        end = self._file.tell() if self._file.seekable() else None
        rest = memoryview(batch)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if end is not None:
                self._cut(end)
            raise ResourceError.of(error, f"writing {len(batch)} bytes", self.path) from error

    def _cut(self, end: int) -> None:
        """Take a half-written batch off the end of the file, where the file can be cut."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), end)
            self._file.seek(end)

    def close(self) -> None:
        """Close the file; everything is on its way to the disk. Closing twice is fine."""
        self._file.close()


def part_of(path: Path) -> Path:
    """Where a file stands until it is complete."""
    return path.with_name(path.name + ".part")


def put_in_place(path: Path, *, overwrite: bool) -> None:
    """Move the complete part of a file, or of a folder, to its final name.

    Raises
    ------
    ResourceError
        If somebody else has taken the name, or the system refuses. The part is kept.
    """
    part, old = part_of(path), path.with_name(path.name + ".old")
    check_free(path, overwrite=overwrite)
    try:
        if part.is_dir() and path.is_dir():
            path.rename(old)  # a folder cannot replace another one that is not empty
            part.rename(path)
            shutil.rmtree(old)
        elif part.is_dir():
            part.rename(path)
        else:
            _to_disk(part)
            part.replace(path)
    except OSError as error:
        raise ResourceError.of(error, "completing the file", path) from error


def _to_disk(part: Path) -> None:
    """Have the content on the disk before the name: else the name may survive a power cut alone."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def discard(path: Path) -> None:
    """Take the part of a file or folder away, if there is one."""
    part = part_of(path)
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            part.unlink()
