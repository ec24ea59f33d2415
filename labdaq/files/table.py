"""Tables: records that share a dtype, and the units of their fields."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, ResourceError

__all__ = ["PathLike", "Table", "check_free", "check_units", "fields_of", "resource_error"]

PathLike = str | os.PathLike[str]


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


def check_units(units: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Raise LayoutError if a unit is given for a field that is not there."""
    unknown = sorted(set(units) - set(names))
    if unknown:
        raise LayoutError(f"units given for {', '.join(unknown)}; the fields are {', '.join(names)}")


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise ResourceError if the file exists and must not be replaced."""
    if not overwrite and path.is_file():
        raise ResourceError(f"{path} exists: give another name, or overwrite=True to replace it")


def resource_error(error: OSError, path: Path, doing: str) -> ResourceError:
    """Turn what the system said into our error, keeping its number."""
    reason = error.strerror or str(error)
    return ResourceError(error.errno, f"{doing} failed: {reason}", str(path))
