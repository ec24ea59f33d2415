"""Rows that are safe at once, beside a file that is not readable before its end: HDF5 and Zarr.

A line of JSON says what a row is, and then come rows as they are in memory. The journal goes away when its file is
complete; when the program is killed, or the disk is full, everything that was written is in it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError
from labdaq.files.place import AppendedFile
from labdaq.files.table import Table, reading

__all__ = ["ROWS", "Journal", "iterate_rows", "rows_in"]

ROWS = ".rows"
"""Ends the name of a journal: ``pulses.h5.rows`` belongs to ``pulses.h5``."""

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
_LONGEST = 1 << 20


class Journal:
    """Writes rows.

    Parameters
    ----------
    file
        Whose journal it is.
    dtype
        Of a row.
    units
        Of the fields that have one.

    Raises
    ------
    ResourceError
        From any method: the system refuses. All rows before stay.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "pulses.h5"
    >>> journal = Journal(file, np.dtype([("height", "f4")]), {"height": "mV"})
    >>> journal.append(np.array([(2.5,), (0.5,)], [("height", "f4")]))
    >>> [(table.records["height"].tolist(), table.units) for table in iterate_rows(journal.path, 1000)]
    [([2.5, 0.5], {'height': 'mV'})]
    >>> journal.close(remove=True)
    """

    def __init__(self, file: Path, dtype: np.dtype[Any], units: Mapping[str, str]) -> None:
        self.path = file.with_name(file.name + ROWS)
        self._file = AppendedFile(self.path, overwrite=True)
        about = {"dtype": np.lib.format.dtype_to_descr(dtype), "units": dict(units)}
        self._file.append(json.dumps(about).encode() + b"\n")

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows, all of them or none."""
        self._file.append(rows.tobytes())

    def close(self, *, remove: bool) -> None:
        """Write no more; remove it when its file is complete."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)


def iterate_rows(path: Path, nrow: int) -> Iterator[Table]:
    """Read a journal, so many rows at a time; one that was cut is left out.

    Raises
    ------
    ResourceError, DataError
        It cannot be read, or is none.
    """
    with reading(path, "a journal of rows", *_MALFORMED), path.open("rb") as file:
        dtype, units = _layout(path, file.readline(_LONGEST))
        while True:
            text = file.read(nrow * dtype.itemsize)
            whole = len(text) // dtype.itemsize
            yield Table(np.frombuffer(text, dtype, whole), units)
            if whole < nrow:
                return


def rows_in(path: Path) -> int:
    """How many rows a journal holds.

    Raises
    ------
    ResourceError, DataError
        As for `iterate_rows`.
    """
    with reading(path, "a journal of rows", *_MALFORMED), path.open("rb") as file:
        head = file.readline(_LONGEST)
        dtype, _ = _layout(path, head)
        return (path.stat().st_size - len(head)) // dtype.itemsize


def _layout(path: Path, head: bytes) -> tuple[np.dtype[Any], dict[str, str]]:
    about = json.loads(head)
    fields = [(name, kind, *map(tuple, shape)) for name, kind, *shape in about["dtype"]]
    dtype = np.dtype(fields)
    if not dtype.itemsize or dtype.hasobject:
        raise DataError(f"{path}: rows of {dtype} cannot be read")
    return dtype, {str(name): str(unit) for name, unit in about["units"].items()}
