"""The data of a run that was kept: streams of the store, and files of its sinks."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, NotFoundError
from labdaq.files.table import reading
from labdaq.pipeline.kept.remains import KeptFile, files_of
from labdaq.pipeline.kept.tables import (
    ENDINGS,
    METADATA,
    PIECE_NBYTES,
    Columns,
    KeptTable,
    ending_of,
    read_table,
    table_of,
)
from labdaq.pipeline.sinks.journal import ROWS
from labdaq.pipeline.sinks.kept_histogram import KeptHistogram, read_histogram
from labdaq.store import Scan, Stream

__all__ = ["KeptData"]

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


class KeptData:
    """What a run kept; the part of :class:`labdaq.pipeline.kept.open_run.OpenRun` that is about its data."""

    def __init__(self, folder: Path, name: str, number: int, scan: Scan | None) -> None:
        self.folder, self.name, self.number = folder, name, number
        self.info: dict[str, Any] = {} if scan is None else scan.info
        self._scan = scan

    def _described(self, part: str) -> dict[str, Any]:
        """A part of the description of the pipeline; empty when only the folder is left."""
        with self._reading("configuration"):
            return dict((self.info.get("configuration") or {}).get(part) or {})

    def _reading(self, what: str) -> Any:
        return reading(self.folder, f"the folder of a run whose {what} can be understood", *_MALFORMED)

    @property
    def rings(self) -> dict[str, Any]:
        """Its rings by name: dtype, shape, capacity, header."""
        return self._described("rings")

    def layout_of(self, ring: str) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
        """Dtype and shape of the events of a ring; None when it is not known."""
        if ring not in self.rings:
            return None
        with self._reading("configuration"):
            about = self.rings[ring]
            return np.lib.format.descr_to_dtype(_tuples(about["dtype"])), tuple(about["shape"])

    @property
    def files(self) -> list[KeptFile]:
        """What it wrote into its folder, and which of it is complete."""
        return files_of(self.folder)

    def _kept_by(self, name: str) -> Mapping[str, Any]:
        """What is known of a sink of this name; empty when there is none."""
        about = self._described("workers").get(name) or {}
        return about if about.get("role") == "sink" else {}

    def _ring_called(self, name: str) -> str:
        """A ring by its name, or by that of the sink that kept it in the store."""
        about = self._kept_by(name)
        is_other = name not in self.rings and about.get("work") == "StoreSink"
        return str(about["reads"][0]) if is_other else name

    def streams(self, ring: str) -> dict[str, Stream]:
        """Streams of the store that hold a ring, by field; empty when it was not kept there."""
        ring = self._ring_called(ring)
        found = self._scan.streams.values() if self._scan is not None else ()
        mine = [stream for stream in found if stream.info.get("ring") == ring]
        return {"data" if one.name == ring else one.name.removeprefix(f"{ring}."): one for one in mine}

    def units(self, ring: str) -> dict[str, str]:
        """Units of the fields of a ring."""
        header = self.rings.get(self._ring_called(ring), {}).get("header") or {}
        unit = {"data": str(header["unit"])} if "unit" in header else {}
        return {"timestamp_ns": "ns", **unit, **dict(header.get("units") or {})}

    def columns(self, ring: str) -> Generator[Columns]:
        """The events of a ring from the store, piece by piece; arrays are views of its files.

        Of a run that was cut, up to the last event of which all fields were acknowledged.
        """
        streams = self.streams(ring)
        if not streams:
            raise NotFoundError(f"ring {ring!r} was not kept in the store; kept were {self._there()}")
        first, length = self._extent(streams)
        units = {name: unit for name, unit in self.units(ring).items() if name in streams}
        nbytes = sum(stream.encoder.point_nbytes or 1 for stream in streams.values())
        count = max(1, PIECE_NBYTES // nbytes)
        for begin in range(first, max(length, first + 1), count):
            end = min(begin + count, length)
            yield Columns({name: stream[begin:end] for name, stream in streams.items()}, units)

    def _extent(self, streams: Mapping[str, Stream]) -> tuple[int, int]:
        extents = [stream.extent() for stream in streams.values()]
        return max(extent.first for extent in extents), min(extent.length for extent in extents)

    def table(self, name: str) -> KeptTable:
        """What was kept of a ring, or the content of a file, as records.

        Parameters
        ----------
        name
            Of a file (``"pulses.csv"``), of a ring that was kept in the store, or of a file without its ending; or
            of the sink that kept it.

        Raises
        ------
        NotFoundError
            There is nothing of this name; lists what there is.
        DataError
            The file is not complete, and cannot be read without what is missing; or it is damaged.
        """
        if self.streams(name):
            return table_of(self.columns(name), f"ring {name!r} of the store")
        path = self.file(name)
        return read_table(path, dtype=self.text_dtype(path))

    def histogram(self, name: str) -> KeptHistogram:
        """A histogram that a :class:`labdaq.pipeline.sinks.histograms.HistogramSink` kept, by its name."""
        return read_histogram(self.folder / f"{name.removesuffix('.npz')}.npz")

    def file(self, name: str) -> Path:
        """A file that can be read, by its name with or without the ending.

        Raises
        ------
        NotFoundError, DataError
            As for `table`.
        """
        files = {one.name: one for one in self.files}
        wanted = [name, *(f"{name}{ending}" for ending in ENDINGS), f"{name}.part", f"{name}{ROWS}"]
        wanted += [f"{name}{ending}{ROWS}" for ending in ENDINGS]
        written = self._kept_by(name).get("files", ())  # by a sink of this name
        wanted += [f"{file}{part}" for file in written for part in ("", ".part", ROWS)]
        for one in filter(None, map(files.get, wanted)):
            if ending_of(one.path) in ENDINGS and (one.is_complete or "can be read" in one.note):
                return one.path
        for one in filter(None, (files.get(f"{each}{part}") for each in wanted for part in ("", ".part"))):
            raise DataError(f"{one.path}: {one.note or 'this is no table'}")
        raise NotFoundError(f"run {self.number} of {self.name!r} kept no {name!r}; there are {self._there()}")

    def _there(self) -> str:
        rings = {str(stream.info.get("ring")) for stream in self._scan.streams.values()} if self._scan else set()
        return ", ".join([*sorted(rings), *(file.name for file in self.files)]) or "none"

    def ring_of(self, path: Path) -> str | None:
        """Which ring a file of a sink holds; None when that is not known."""
        there = path.relative_to(self.folder) if path.is_relative_to(self.folder) else Path(path.name)
        name = there.as_posix().removesuffix(".part").removesuffix(ROWS)
        workers = self._described("workers")
        with self._reading("configuration"):
            writers = [about for about in workers.values() if name in about.get("files", ())]
            # runs that were kept before files were written down: a sink without a name has that of its file
            about = (writers or [workers.get(name, {})])[0]
            return str(about["reads"][0]) if about.get("reads") else None

    def text_dtype(self, path: Path) -> np.dtype[Any] | None:
        """How the rows of a file were written; a table of text does not tell an f4 from an f8."""
        ring = self.ring_of(path)
        layout = None if ring is None else self.layout_of(ring)
        if layout is None:
            return None
        dtype = layout[0]
        fields = [(field, dtype[field]) for field in dtype.names] if dtype.names else [("data", dtype)]
        return np.dtype([*zip(METADATA, ("i8", "i8", "f8"), strict=True), *fields])

    def waveforms(self, ring: str, field: str | None = None) -> npt.NDArray[Any]:
        """All records of a ring, shape ``(n, *shape of one event)``.

        Of a ring that was kept in the store they are views of its files, read-only: nothing is read before it is
        needed, and they stay valid after `close`.

        Parameters
        ----------
        ring
            Which one; or the name of a file.
        field
            Which field of its events, if they have several.

        Raises
        ------
        NotFoundError
            There is no such ring, file or field; lists those that there are.
        """
        streams = self.streams(ring)
        table = None if streams else self.table(ring)
        fields = [name for name in streams or table.names if name not in METADATA]  # type: ignore[union-attr]
        wanted = fields[0] if field is None and len(fields) == 1 else field
        if wanted not in fields:
            raise NotFoundError(f"field={field!r}: which one? The fields of {ring!r} are {', '.join(fields)}")
        if table is not None:
            return np.asarray(table[wanted])
        first, length = self._extent(streams)
        return np.asarray(streams[wanted][first:length])


def _tuples(description: Any) -> Any:
    """A dtype as NumPy describes it, after JSON made lists of its tuples."""
    if not isinstance(description, list):
        return description
    return [(name, _tuples(kind), *map(tuple, shape)) for name, kind, *shape in description]
