"""Events that were recorded, wherever they come from: in pieces, in their order, with what was kept of each."""

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, NotFoundError
from labdaq.files import Recording, read_recording
from labdaq.pipeline.kept.listing import open_run
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.kept.tables import ENDINGS, METADATA, PIECE_NBYTES, Columns, ending_of, iterate_columns

__all__ = ["Piece", "Recorded", "recorded"]

Layout = tuple[np.dtype[Any], tuple[int, ...]]


@dataclass(frozen=True)
class Piece:
    """Some events."""

    data: npt.NDArray[Any]
    """Shape ``(n, *shape of one event)``."""
    planes: Mapping[str, npt.NDArray[Any]]
    """``counter``, ``timestamp_ns`` and ``deadtime``, those that were kept."""

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class Recorded:
    """Events that can be read again and again."""

    dtype: np.dtype[Any]
    """Of one event."""
    shape: tuple[int, ...]
    """Of one event."""
    header: Mapping[str, Any]
    """What is known of the data."""
    planes: frozenset[str]
    """What is kept with each event."""
    pieces: Callable[[], Generator[Piece]]
    """Begins to read them; what is open is closed with the iterator."""


def recorded(source: Any, ring: str | None = None, store: str | os.PathLike[str] = "runs") -> Recorded:
    """Find out what was recorded.

    Parameters
    ----------
    source
        A run (opened, its folder, number or key), a file of a sink, a tar archive of events, a recording of
        picoCosmo, or an array of events.
    ring
        Of a run, and of HDF5 and Zarr: which ring, when there are several.
    store
        Where runs are looked for.

    Raises
    ------
    LayoutError
        It is nothing of these.
    NotFoundError
        There is no such run, ring or file; or it must be said which.
    DataError, ResourceError, MissingExtraError
        It is damaged, cannot be read, or needs a package that is not installed.

    Examples
    --------
    >>> pool = recorded(np.zeros((500, 4, 100), "f4"))
    >>> pool.dtype, pool.shape
    (dtype('float32'), (4, 100))
    """
    if isinstance(source, OpenRun):
        return _of_run(source, ring)
    if isinstance(source, Recording):
        return _of_recording(source)
    if isinstance(source, np.ndarray):
        return _of_pool(source)
    if not isinstance(source, str | os.PathLike | int):
        raise LayoutError(f"{source!r:.60} cannot be replayed: give a run, a file, or an array of events")
    path = Path(str(source))
    if path.name.endswith("_waveforms.npz"):
        return _of_recording(read_recording(path))
    if ending_of(path) in ENDINGS:
        return _of_file(path, ring)
    run = open_run(source, store)
    try:
        found = _of_run(run, ring)
    finally:
        run.close()
    return Recorded(found.dtype, found.shape, found.header, found.planes, lambda: _reopened(run, source, ring, store))


def _reopened(run: OpenRun, source: Any, ring: str | None, store: Any) -> Generator[Piece]:
    """The events of a run, whose store is open while they are read."""
    is_folder = not str(source).isdecimal() and Path(source).is_dir()
    where, place = (source, store) if is_folder or not run.key else (run.key, _url_of(run, store))
    with open_run(where, place) as again:
        yield from _of_run(again, ring).pieces()


def _url_of(run: OpenRun, store: Any) -> Any:
    beside = run.folder.absolute().parent
    return beside if (beside / "catalogue.db").is_file() else store


# ---- arrays


def _of_pool(events: npt.NDArray[Any]) -> Recorded:
    if events.ndim == 0 or events.dtype.hasobject:
        raise LayoutError(f"a pool is an array whose first axis counts events, not {events.dtype}{events.shape}")

    def pieces() -> Generator[Piece]:
        yield Piece(events, {})

    return Recorded(events.dtype, events.shape[1:], {}, frozenset(), pieces)


def _of_recording(recording: Recording) -> Recorded:
    """Waveforms in volts; the experiment did not keep their times."""

    def pieces() -> Generator[Piece]:
        count = max(1, PIECE_NBYTES // max(4 * int(np.prod(recording.shape)), 1))
        for begin in range(0, len(recording), count):
            index = recording.index[begin : begin + count]
            yield Piece(recording.levels[index].reshape(len(index), *recording.shape), {})

    return Recorded(np.dtype(np.float32), recording.shape, recording.header, frozenset(), pieces)


# ---- runs and files


def _of_run(run: OpenRun, ring: str | None) -> Recorded:
    """A ring that was kept in the store, or by a sink in a file."""
    kept = [name for name in run.rings if run.streams(name)]
    tables = set(ENDINGS) - {".npz"}  # in which sinks keep histograms
    files = [file.path for file in run.files if ending_of(file.path) in tables and run.ring_of(file.path) is not None]
    in_files = {str(run.ring_of(path)): path for path in sorted(files, key=_preference, reverse=True)}
    candidates = [*kept, *(name for name in in_files if name not in kept)]
    wanted = candidates if ring is None else [name for name in candidates if name == ring]
    if len(wanted) != 1:
        there = ", ".join(candidates) or "none"
        raise NotFoundError(f"{run!r}: which ring is to be replayed? ring={ring!r}, and kept were {there}")
    name = wanted[0]
    header = run.rings[name].get("header") or {}
    if name not in kept:
        path = run.file(in_files[name].name)
        return _of_columns(
            lambda: iterate_columns(path, entry=_entry(path, name), dtype=run.text_dtype(path)),
            header,
            run.layout_of(name),
            str(path),
        )
    return _of_columns(lambda: run.columns(name), header, run.layout_of(name), f"ring {name!r}")


def _preference(path: Path) -> int:
    return ENDINGS.index(ending_of(path))


def _entry(path: Path, ring: str) -> str | None:
    """The entry of a ring, in the formats that have some."""
    return ring if path.suffix in {".h5", ".hdf5", ".nxs", ".zarr"} else None


def _of_file(path: Path, ring: str | None) -> Recorded:
    """A file of a sink; one in the folder of a run is known better than one that lies about."""
    if (path.parent / "board").is_file():
        with open_run(path.parent) as run:
            name, dtype = run.ring_of(path), run.text_dtype(path)
            layout = None if name is None else run.layout_of(name)
            header = run.rings.get(name or "", {}).get("header") or {}
        return _of_columns(lambda: iterate_columns(path, entry=ring, dtype=dtype), header, layout, str(path))
    return _of_columns(lambda: iterate_columns(path, entry=ring), {}, None, str(path))


def _of_columns(
    columns: Callable[[], Generator[Columns]], header: Mapping[str, Any], layout: Layout | None, what: str
) -> Recorded:
    """Rows of a table as events: of the layout that their ring had, or of one that fits."""
    opened = columns()
    try:
        first = next(opened, None)
    finally:
        opened.close()
    if first is None:
        raise DataError(f"{what} holds no events")
    fields = tuple(name for name in first.arrays if name not in METADATA)
    if not fields:
        raise DataError(f"{what} holds nothing of its events but {', '.join(first.arrays)}")
    dtype, shape = layout if layout is not None else _fitting({name: first.arrays[name] for name in fields})
    if set(dtype.names or fields) != set(fields):
        raise DataError(f"{what} holds the fields {', '.join(fields)}, and its ring had {dtype}")
    units = {name: unit for name, unit in first.units.items() if name in fields}
    known = dict(header) or ({"units": units} if units else {})
    planes = frozenset(first.arrays) & set(METADATA)

    def pieces() -> Generator[Piece]:
        read = columns()
        try:
            for some in read:
                yield _events(some, dtype, shape, fields)
        finally:
            read.close()

    return Recorded(dtype, shape, known, planes, pieces)


def _fitting(fields: Mapping[str, npt.NDArray[Any]]) -> Layout:
    """Fields of one shape are channels of a waveform; others are those of a record."""
    if set(fields) == {"data"}:
        return fields["data"].dtype, fields["data"].shape[1:]
    shapes = {column.shape[1:] for column in fields.values()}
    shape = shapes.pop() if len(shapes) == 1 else ()
    return np.dtype([(name, column.dtype, column.shape[1 + len(shape) :]) for name, column in fields.items()]), shape


def _events(columns: Columns, dtype: np.dtype[Any], shape: tuple[int, ...], fields: tuple[str, ...]) -> Piece:
    n = len(columns)
    planes = {name: columns.arrays[name][:n] for name in METADATA if name in columns.arrays}
    if dtype.names is None:
        data = columns.arrays[fields[0]][:n]
        if data.dtype != dtype or data.shape[1:] != shape:
            data = data.astype(dtype).reshape(n, *shape)
        return Piece(data, planes)
    records = np.empty((n, *shape), dtype)
    for name in dtype.names:
        records[name] = columns.arrays[name][:n].reshape(records[name].shape)
    return Piece(records, planes)
