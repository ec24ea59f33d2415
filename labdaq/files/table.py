"""Tables: records that share a dtype, and the units of their fields; and what all formats have in common."""

import contextlib
import errno
import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LabdaqError, LayoutError, MissingExtraError, ResourceError

__all__ = [
    "LARGEST",
    "PathLike",
    "Table",
    "check_fields",
    "check_free",
    "check_size",
    "fields_of",
    "needed",
    "reading",
]

PathLike = str | os.PathLike[str]

LARGEST = 2**32
"""Bytes that are read at once unless the caller allows more: what a file claims to hold may be nonsense."""


@dataclass(frozen=True)
class Table:
    """What was read from a file of records."""

    records: npt.NDArray[Any]
    """Structured array, shape (n,)."""
    units: Mapping[str, str]
    """Units by field, for the fields that have one."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What else the writer told about the table."""

    def __len__(self) -> int:
        return len(self.records)


def fields_of(records: Any) -> dict[str, np.dtype[Any]]:
    """Fields of a batch of records, and their dtypes.

    Raises
    ------
    LayoutError
        If this is not a row of records, or a field holds Python objects.

    Examples
    --------
    >>> fields_of(np.zeros(3, [("time", "f8"), ("n", "i4")]))
    {'time': dtype('float64'), 'n': dtype('int32')}
    """
    if not isinstance(records, np.ndarray) or records.dtype.names is None or records.ndim != 1:
        given = getattr(records, "dtype", type(records).__name__), getattr(records, "shape", "")
        raise LayoutError(f"a table takes a one-dimensional array with named fields, not {given[0]}{given[1]}")
    kinds = {name: records.dtype[name] for name in records.dtype.names}
    for name, dtype in kinds.items():
        if dtype.hasobject:
            raise LayoutError(f"field {name!r} holds Python objects; a file takes numbers, texts and times")
    return kinds


def check_fields(given: Mapping[str, str], what: str, names: tuple[str, ...]) -> None:
    """Raise LayoutError if something, such as units, is given for a field that is not there."""
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise LayoutError(f"{what} given for {', '.join(unknown)}; the fields are {', '.join(names)}")


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise ResourceError if no file can have this name, or one has it and must not be replaced."""
    if "\0" in str(path):
        raise ResourceError(errno.EINVAL, "the name of a file has no zero bytes", repr(str(path)))
    try:
        is_there = path.is_file() or path.is_dir()
    except OSError as error:
        raise ResourceError.of(error, "looking for the file", path) from error
    if is_there and not overwrite:
        raise ResourceError(f"{path} exists: give another name, or overwrite=True to replace it")


def check_size(nbyte: int, limit: int, what: str) -> None:
    """Raise DataError if something would take more bytes than are allowed."""
    if nbyte > limit:
        raise DataError(f"{what} would take {nbyte} bytes of memory; at most {limit} are read at once")


def needed(package: str) -> Any:
    """Import a package that comes with the extra ``store``.

    Raises
    ------
    MissingExtraError
        If it is not installed.

    Examples
    --------
    >>> needed("json").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise MissingExtraError(f"this kind of file needs {name}: pip install 'labdaq[store]'") from error


@contextlib.contextmanager
def reading(path: Path, what: str, *damaged: type[Exception]) -> Iterator[None]:
    """Tell in our errors what goes wrong while a file is read.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it should be.
    *damaged : exception classes
        What the reader raises if it is something else. An OSError without a number of the system is one too.

    Examples
    --------
    >>> with reading(Path("pulses.json"), "a list", ValueError):
    ...     raise ValueError("no bracket")
    Traceback (most recent call last):
    labdaq.errors.DataError: pulses.json is not a list: no bracket
    """
    try:
        yield
    except LabdaqError:
        raise
    except MemoryError as error:
        raise ResourceError(errno.ENOMEM, f"reading it takes too much memory: {error}", str(path)) from error
    except OSError as error:
        if error.errno is not None:
            raise ResourceError.of(error, "reading the file", path) from error
        raise DataError(f"{path} is not {what}: {error}") from error
    except damaged as error:
        raise DataError(f"{path} is not {what}: {error}") from error
