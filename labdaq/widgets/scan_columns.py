"""What of a scan can be drawn: its streams of numbers, and the tables that a run wrote into its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LabdaqError, NotFoundError
from labdaq.pipeline import open_run
from labdaq.pipeline.kept.tables import METADATA
from labdaq.store import Scan, Stream
from labdaq.store.exchange.selection import is_scalar, unit_of

__all__ = ["ScanColumns"]

_REAL = "iufb"


class ScanColumns:
    """Columns of numbers of a scan, by name; read when they are asked for.

    A stream of numbers is a column, a stream of waveforms is its last one. Of a table ``pulses.csv`` that a run wrote,
    the field ``height`` is the column ``pulses.csv: height``.

    Parameters
    ----------
    scan
        One that was loaded.

    Attributes
    ----------
    title : str
        Name and number of the scan.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> store = DataStore("memory://")
    >>> scan = store.create_scan({"name": "plateau", "number": 3, "data_policy": "none"})
    >>> scan.create_stream("rate", NumericStreamEncoder(float), info={"unit": "1/s"}).send([4.0, 5.0])
    >>> columns = ScanColumns(scan)
    >>> columns.title, columns.names, columns.unit("rate"), columns.read("rate").tolist()
    ('plateau 3', ['rate'], '1/s', [4.0, 5.0])
    >>> store.close()
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.title = f"{scan.identity['name']} {scan.identity['number']}"
        self._readers: dict[str, tuple[Callable[[], Any], str]] = {}
        for name, stream in scan.streams.items():
            if is_drawn(stream):
                self._readers[name] = partial(_points, stream), unit_of(stream) or ""
        for name, read, unit in _columns_of_files(scan):
            self._readers.setdefault(name, (read, unit))

    @property
    def names(self) -> list[str]:
        """Of all columns; those that are kept with every event come last."""
        return sorted(self._readers, key=lambda name: name.replace(": ", ".").rpartition(".")[2] in METADATA)

    def unit(self, name: str) -> str:
        """Of a column; empty when it is not known."""
        return self._readers[name][1] if name in self._readers else ""

    def read(self, name: str) -> npt.NDArray[np.float64]:
        """The numbers of a column so far.

        Raises
        ------
        NotFoundError
            There is no such column; lists those that there are.
        """
        if name not in self._readers:
            raise NotFoundError(f"{self.title} has no column {name!r}; it has {', '.join(self.names) or 'none'}")
        return np.asarray(self._readers[name][0](), np.float64)


def is_drawn(stream: Stream) -> bool:
    """Whether it is one of numbers, or of waveforms."""
    if stream.dtype is None or stream.shape is None or stream.dtype.kind not in _REAL:
        return False
    return is_scalar(stream) or len(stream.shape) == 1


def _points(stream: Stream) -> Any:
    extent = stream.extent()
    if is_scalar(stream):
        return stream.points(extent.first, extent.length, extent)
    return stream.points(extent.length - 1, extent.length, extent)[0] if extent.length > extent.first else ()


def _columns_of_files(scan: Scan) -> list[tuple[str, Callable[[], Any], str]]:
    """Of the tables in the folder of a run; what cannot be read is left out."""
    folder = scan.identity.get("path")
    if not folder or not Path(str(folder)).is_dir():
        return []
    found: list[tuple[str, Callable[[], Any], str]] = []
    try:
        with open_run(Path(str(folder))) as run:
            for file in run.files:
                dtype = run.text_dtype(file.path) if file.is_complete else None
                for field in (dtype.names or ()) if dtype is not None else ():
                    if dtype is not None and dtype[field].kind in _REAL and not dtype[field].shape:
                        unit = run.units(run.ring_of(file.path) or "").get(field, "")
                        found.append((f"{file.name}: {field}", partial(_read_file, folder, file.name, field), unit))
    except LabdaqError:
        return found
    return found


def _read_file(folder: Any, name: str, field: str) -> Any:
    with open_run(Path(str(folder))) as run:
        return run.table(name)[field]
