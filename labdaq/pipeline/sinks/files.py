"""Sinks that come with labdaq: files of every format, streams of the store, and what makes a sink of them."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, ResourceError
from labdaq.files import CsvFile, Hdf5File, ParquetFile, ParquetTarFile, ZarrFile
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.sinks.journal import Journal
from labdaq.pipeline.streams.sinks import StreamSink
from labdaq.store import NumericStreamEncoder
from labdaq.stream import OutputStream

__all__ = ["ArchiveSink", "DatasetSink", "StoreSink", "TableSink", "as_sink"]

_FLUSH_S = 2.0
"""What waits in memory for more of its kind is written after so long."""
_METADATA = (("counter", "i8"), ("timestamp_ns", "i8"), ("deadtime", "f8"))


def as_sink(sink: Any, ring: DeclaredRing) -> Any:
    """What keeps the events of a ring.

    Parameters
    ----------
    sink
        A file of :mod:`labdaq.files` that was not written yet, the name of one by its ending, ``"store"``, a
        :class:`labdaq.OutputStream`, or what is a sink already.
    ring
        Whose events it will get.

    Raises
    ------
    LayoutError
        It is no sink, or an ending is not known.
    """
    if isinstance(sink, str | Path) and str(sink) != "store":
        return _by_ending(Path(sink), ring)
    if isinstance(sink, str):
        return StoreSink(ring)
    if isinstance(sink, CsvFile | ParquetFile):
        return TableSink(sink, ring)
    if isinstance(sink, ParquetTarFile):
        return ArchiveSink(sink, ring)
    if isinstance(sink, OutputStream):
        return StreamSink(sink, ring)
    if hasattr(sink, "connect"):
        sink.connect(ring)
    if hasattr(sink, "write") or callable(sink):
        return sink
    raise LayoutError(
        f"{sink!r:.60} is no sink: give a file of labdaq.files, the name of one, 'store', an object with "
        "write(events), or a function of an event"
    )


def _by_ending(path: Path, ring: DeclaredRing) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        ".csv": lambda: TableSink(CsvFile(path), ring),
        ".txt": lambda: TableSink(CsvFile(path, separator="\t"), ring),
        ".parquet": lambda: TableSink(ParquetFile(path), ring),
        ".tar": lambda: ArchiveSink(ParquetTarFile(path), ring),
        ".h5": lambda: DatasetSink(Hdf5File, path, ring),
        ".hdf5": lambda: DatasetSink(Hdf5File, path, ring),
        ".nxs": lambda: DatasetSink(Hdf5File, path, ring),
        ".zarr": lambda: DatasetSink(ZarrFile, path, ring),
    }
    if path.suffix not in makers:
        raise LayoutError(f"{str(path)!r}: files end in {', '.join(makers)}")
    return makers[path.suffix]()


class _Reopened:
    """Goes to another process as it was before its first run: what is open stays here."""

    def __getstate__(self) -> dict[str, Any]:
        unopened: dict[str, Any] = {"_file": None, "_journal": None, "_streams": {}}
        return {name: unopened.get(name, value) for name, value in vars(self).items()}


class TableSink(_Reopened):
    """Writes events as rows of a table: counter, time stamp, dead time, and the fields of the ring.

    Parameters
    ----------
    file
        With the settings of the file; each run gets a new one of this name in its folder.
    ring
        Whose events they are.

    Attributes
    ----------
    file_names : tuple of str
        What it writes into the folder of a run, so that the record of the run says whose events are in it. Every
        sink of files has it.
    """

    def __init__(self, file: CsvFile | ParquetFile, ring: DeclaredRing) -> None:
        fields = dict(_fields_of(ring))
        if isinstance(file, CsvFile) and any(np.dtype(kind).shape for kind in fields.values()):
            raise LayoutError(
                f"ring {ring.name!r} holds {ring.dtype} of shape {ring.shape}, which does not fit in the cells of "
                f"{file.path}: use Parquet, HDF5, Zarr or the store"
            )
        self._template = file
        self._dtype = np.dtype([*_METADATA, *fields.items()])
        self._names = tuple(fields)
        units = {name: unit for name, unit in _units_of(ring).items() if name in fields}
        file.units = {"timestamp_ns": "ns", **units, **file.units}
        self._file: Any = None
        self._flushed_s = 0.0
        self.name = file.path.name
        self.file_names = (file.path.as_posix(),)

    @property
    def lost(self) -> int:
        """Events that it took and could not keep, because the disk was full."""
        return getattr(self._file, "lost", 0)

    def open(self, folder: Path) -> None:
        """Begin a file in the folder of a run."""
        self._file = self._template.at(_placed(folder, self._template.path))
        self._file.write(np.empty(0, self._dtype))
        self._flushed_s = time.monotonic()

    def write(self, events: Any) -> None:
        """Append a batch of events."""
        rows = _rows_of(events, self._dtype, self._names)
        self._file.write(rows)
        now_s = time.monotonic()
        if now_s - self._flushed_s > _FLUSH_S and isinstance(self._file, ParquetFile):
            self._file.flush()  # from now on a kill cannot take them away
            self._flushed_s = now_s

    def close(self) -> None:
        """Complete the file."""
        if self._file is not None:
            self._file.close()


class ArchiveSink(_Reopened):
    """Writes each event as a small Parquet file of a tar archive, as mimoCoRB does."""

    def __init__(self, file: ParquetTarFile, ring: DeclaredRing) -> None:
        if ring.dtype.names is None or len(ring.shape) != 1:
            raise LayoutError(
                f"an archive of events takes a field for each channel and shape (samples,); ring {ring.name!r} holds "
                f"{ring.dtype} of shape {ring.shape}"
            )
        self._template = file
        self._file: ParquetTarFile | None = None
        self.name = file.path.name
        self.file_names = (file.path.as_posix(),)

    def open(self, folder: Path) -> None:
        """Begin an archive in the folder of a run."""
        self._file = self._template.at(_placed(folder, self._template.path))

    def write(self, events: Any) -> None:
        """Append a batch of events."""
        if self._file is not None:
            for event, counter in zip(events.data, events.planes["counter"], strict=True):
                self._file.write(event, int(counter))

    def close(self) -> None:
        """Complete the archive."""
        if self._file is not None:
            self._file.close()


class DatasetSink(_Reopened):
    """Writes events into growing datasets of an HDF5 or Zarr file: one for each field and plane.

    Such a file can be read only when it is complete. Until then a :class:`~labdaq.pipeline.sinks.journal.Journal`
    beside it keeps what a kill, or a full disk, would take away.
    """

    def __init__(self, kind: Callable[..., Any], path: Path, ring: DeclaredRing) -> None:
        self._kind, self._path, self._ring = kind, path, ring
        self._fields = dict(_fields_of(ring))
        self._dtype = np.dtype([*_METADATA, *self._fields.items()])
        self._units = {"timestamp_ns": "ns", **_units_of(ring)}
        self._file: Any = None
        self._journal: Journal | None = None
        self._is_whole = True
        self.name = path.name
        self.file_names = (path.as_posix(),)

    def open(self, folder: Path) -> None:
        """Begin a file in the folder of a run."""
        path = _placed(folder, self._path)
        self._file = self._kind(path)
        self._file.entry(self._ring.name)
        for name in self._dtype.names or ():
            dtype = self._dtype[name]
            self._file.dataset(name, np.empty((0, *dtype.shape), dtype.base), units=self._units.get(name))
        units = {name: unit for name, unit in self._units.items() if name in (self._dtype.names or ())}
        self._journal, self._is_whole = Journal(path, self._dtype, units), True

    def write(self, events: Any) -> None:
        """Append a batch of events."""
        rows = _rows_of(events, self._dtype, tuple(self._fields))
        if self._journal is not None:
            self._journal.append(rows)
        self._is_whole = False
        for name in self._dtype.names or ():
            self._file.append(name, rows[name])
        self._is_whole = True

    def close(self) -> None:
        """Complete the file. When it cannot be completed, the journal stays."""
        if self._file is None or self._journal is None:
            return
        is_whole, self._is_whole = self._is_whole, False
        try:
            self._file.close()
            self._is_whole = is_whole
        finally:
            self._journal.close(remove=self._is_whole)


class StoreSink(_Reopened):
    """Keeps events as streams of the run's scan: ``ring``, or ``ring.field``, and ``ring.counter`` and so on."""

    def __init__(self, ring: DeclaredRing) -> None:
        self._ring = ring
        self._streams: dict[str, Any] = {}
        self.name = f"keep {ring.name}"

    def declare(self, scan: Any) -> None:
        """Make its streams, before the scan begins."""
        ring = self._ring
        info = {"ring": ring.name, **({"header": ring.header} if ring.header else {})}
        self._streams = {}
        for name, kind in (*_METADATA, *_fields_of(ring)):
            dtype = np.dtype(kind)
            is_whole = ring.dtype.names is None and name == "data"
            label = ring.name if is_whole else f"{ring.name}.{name}"
            self._streams[name] = scan.create_stream(label, NumericStreamEncoder(dtype.base, dtype.shape), info)

    def write(self, events: Any) -> None:
        """Append a batch of events."""
        planes, data = events.planes, events.data
        for name, stream in self._streams.items():
            if name in {name for name, _ in _METADATA}:
                stream.send(np.array(planes[name]))
            else:
                stream.send(np.array(data if data.dtype.names is None else data[name]))


def _rows_of(events: Any, dtype: np.dtype[Any], fields: tuple[str, ...]) -> npt.NDArray[Any]:
    """Events as rows of a table: what is known of each, and its fields."""
    planes, data = events.planes, events.data
    rows = np.empty(len(data), dtype)
    for name, _ in _METADATA:
        rows[name] = planes[name]
    for name in fields:
        rows[name] = data if data.dtype.names is None else data[name]
    return rows


def _placed(folder: Path, path: Path) -> Path:
    """Where a file of a run goes; the folders on the way are made."""
    place = folder / path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError.of(error, "making the folder", place.parent) from error
    return place


def _fields_of(ring: DeclaredRing) -> list[tuple[str, npt.DTypeLike]]:
    """Names and dtypes of what an event holds: its fields, or ``data``."""
    if ring.dtype.names is None:
        return [("data", np.dtype((ring.dtype, ring.shape)) if ring.shape else ring.dtype)]
    taken = {name for name, _ in _METADATA}
    for name in ring.dtype.names:
        if name in taken:
            raise LayoutError(f"a field of ring {ring.name!r} is called {name}, as what is kept with every event")
    return [
        (name, np.dtype((ring.dtype[name].base, (*ring.shape, *ring.dtype[name].shape)))) for name in ring.dtype.names
    ]


def _units_of(ring: DeclaredRing) -> Mapping[str, str]:
    """Units of the fields, from what is known of the data."""
    units = ring.header.get("units")
    if isinstance(units, Mapping):
        return {str(name): str(unit) for name, unit in units.items()}
    unit = ring.header.get("unit")
    return {"data": str(unit)} if unit and ring.dtype.names is None else {}
