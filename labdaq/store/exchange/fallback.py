"""Points that were trimmed, from a file that has them too.

Which file that is says the info of the stream, ``{"file_path": …, "data_path": …}``, given when it was made; or the
info of the scan, as ``scan.export(path, attach=True)`` notes it. The file is HDF5, or Zarr if its name ends
with ``.zarr``. A relative path begins at the folder of the store, which only embedded stores have.

What the file holds is compared with what is known of the stream: dtype, shape, length, and the first point which
the store still has. If anything differs, the points are not there.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import DataError, IndexNoMoreThereError, LabdaqError, LayoutError
from labdaq.files.table import reading
from labdaq.store.encoding import from_json_text, to_json_text
from labdaq.store.engine import Extent

if TYPE_CHECKING:
    from labdaq.files import DatasetReader
    from labdaq.store.stream import Stream

__all__ = ["FILES", "SHAPES", "first_there", "points_with_file"]

FILES = "files"  # in the info of a scan: by stream, where its points are
SHAPES = ".shapes"  # of ragged points that are kept flat: a dataset beside theirs


def points_with_file(stream: "Stream", start: int, stop: int, extent: Extent) -> Any:
    """The points from start to stop, of which the store has those from ``extent.first`` on.

    Raises
    ------
    IndexNoMoreThereError
        There is no file for the others, or it is not what it should be.
    """
    while True:
        edge = min(extent.first, stop)
        head = _from_file(stream, start, edge, extent)
        try:
            return head if edge == stop else _joined(stream, head, _kept(stream, edge, stop))
        except IndexNoMoreThereError:  # more was trimmed meanwhile
            before, extent = extent, stream.extent()
            if extent.first <= before.first:
                raise


def first_there(stream: "Stream", extent: Extent) -> int:
    """Index of the first point that can be read: from a file if there is one, else what the store has."""
    if extent.first == 0 or _place(stream) is None:
        return extent.first
    try:
        with _opened(stream, extent) as file:
            return min(file.first, extent.first) if file.stop >= extent.first else extent.first
    except IndexNoMoreThereError:
        return extent.first


def _kept(stream: "Stream", start: int, stop: int) -> Any:
    """Points from the store."""
    return stream.encoder.decode(stream.log.read(start, stop), start, stop)


def _joined(stream: "Stream", head: Any, tail: Any) -> Any:
    if isinstance(head, list):
        return [*head, *tail]
    points = np.concatenate([head, tail], dtype=stream.dtype)
    points.flags.writeable = False
    return points


def _from_file(stream: "Stream", start: int, stop: int, extent: Extent) -> Any:
    with _opened(stream, extent) as file:
        if not file.first <= start <= stop <= file.stop:
            raise DataError(f"it holds the points from {file.first} to {file.stop - 1}")
        return file.read(start, stop)


@contextmanager
def _opened(stream: "Stream", extent: Extent) -> Iterator["_File"]:
    """The file of a stream, after a look at whether it is the right one; all errors as one."""
    place = _place(stream)
    gone = f"points before {extent.first} of {stream.name!r} were removed to make room"
    if place is None:
        raise IndexNoMoreThereError(f"{gone}, and no file is known that has them")
    try:
        path = _path_of(stream, str(place["file_path"]))
        with _reader(path) as reader:
            file = _File(stream, reader, str(place["data_path"]).strip("/"), *_span(reader, place))
            file.check(extent)
            yield file
    except IndexNoMoreThereError:
        raise
    except (LabdaqError, OSError) as error:
        raise IndexNoMoreThereError(f"{gone}, and {place['file_path']!r} does not serve them: {error}") from error


def _place(stream: "Stream") -> Mapping[str, Any] | None:
    """Where the points of a stream are, if that was said."""
    own = stream.info
    if not _is_place(own):
        files = stream.engine.load(stream.record.scan_key).info.get(FILES)
        own = files.get(stream.name, {}) if isinstance(files, dict) else {}
    return own if _is_place(own) else None


def _is_place(info: Any) -> bool:
    keys = ("file_path", "data_path")
    return isinstance(info, Mapping) and all(isinstance(info.get(key), str) and info[key] for key in keys)


def _path_of(stream: "Stream", given: str) -> Path:
    path = Path(given)
    if path.is_absolute():
        return path
    folder = getattr(stream.engine, "folder", None)
    if folder is None:
        raise LayoutError("a relative path begins at the folder of the store, and this store has none")
    path = Path(folder, path)
    with reading(path, "the name of a file", ValueError, RuntimeError):
        is_inside = path.resolve().is_relative_to(Path(folder).resolve())
    if not is_inside:
        raise LayoutError("a relative path stays in the folder of the store")
    return path


def _reader(path: Path) -> "DatasetReader":
    from labdaq.files import Hdf5Reader, ZarrReader

    if path.suffix == ".zarr":
        return ZarrReader(path)
    if path.exists() and not path.is_file():
        raise LayoutError("it is no file")
    return Hdf5Reader(path)


def _span(reader: "DatasetReader", place: Mapping[str, Any]) -> tuple[int, int]:
    """Which points are in the file."""
    found = reader.info(place["data_path"])
    first = found.attributes.get("first_index", 0)
    if not isinstance(first, int) or first < 0 or not found.shape:
        raise DataError("it holds no points along a first axis")
    return first, first + found.shape[0]


@dataclass(frozen=True)
class _File:
    """The points of a stream in a file."""

    stream: "Stream"
    reader: "DatasetReader"
    name: str
    first: int
    stop: int

    def read(self, start: int, stop: int) -> Any:
        """The points from start to stop, as the stream would return them."""
        begin, end = start - self.first, stop - self.first
        points = self.reader.read(self.name, begin, end)
        if len(points) != stop - start:
            raise DataError(f"it ends before point {stop}")
        if self.stream.dtype is None:
            return [from_json_text(str(text)) for text in points]
        if isinstance(points, list):
            points = self._shaped(points, begin, end)
            return [self._as_stream(point) for point in points]
        return self._as_stream(points)

    def _shaped(self, points: list[Any], begin: int, end: int) -> list[Any]:
        """Ragged points with the axes that a point of the stream has."""
        expected = self.stream.shape or ()
        if -1 in expected[1:]:
            shapes = np.asarray(self.reader.read(self.name + SHAPES, begin, end)).tolist()
            if [point.size for point in points] != [math.prod(shape) for shape in shapes]:
                raise DataError("its points and their shapes do not fit together")
            points = [point.reshape(shape) for point, shape in zip(points, shapes, strict=True)]
        for point in points:
            if point.ndim != len(expected) or not all(n in {-1, m} for n, m in zip(expected, point.shape, strict=True)):
                raise DataError(f"it holds points of shape {point.shape}, the stream {expected}")
        return points

    def _as_stream(self, points: Any) -> Any:
        """An array of the stream's own dtype; times were written as integers."""
        dtype = self.stream.dtype
        array = np.ascontiguousarray(points).astype(dtype if dtype.kind not in "mM" else dtype.newbyteorder("="))
        array = array.astype(dtype, copy=False)
        array.flags.writeable = False
        return array

    def check(self, extent: Extent) -> None:
        """Raise DataError if these are not the points of the stream."""
        found, stream = self.reader.info(self.name), self.stream
        if not self._fits(found):
            raise DataError(f"it holds {found.dtype or 'texts'}{list(found.shape[1:])}, the stream {stream.encoder!r}")
        length = extent.length if extent.is_sealed else stream.extent().length
        if self.stop > length or (extent.is_sealed and self.stop != length):
            raise DataError(f"it has points up to {self.stop}, the stream up to {length}")
        edge = extent.first
        if self.first <= edge < min(self.stop, extent.length):
            self._compare(edge)

    def _compare(self, index: int) -> None:
        """Raise DataError if a point that the store has is another one in the file."""
        try:
            kept = _kept(self.stream, index, index + 1)[0]
        except IndexNoMoreThereError:  # trimmed meanwhile; then there is nothing to compare with
            return
        found = self.read(index, index + 1)[0]
        texts = self.stream.dtype is None  # as which NaN is equal to NaN
        same = to_json_text(kept) == to_json_text(found) if texts else kept.tobytes() == found.tobytes()
        if not same:
            raise DataError(f"point {index} differs from that of the stream")

    def _fits(self, found: Any) -> bool:
        dtype, shape = self.stream.dtype, self.stream.shape
        if dtype is None or shape is None:
            return found.dtype is None
        expected = np.dtype("i8") if dtype.kind in "mM" else dtype.newbyteorder("=")
        if found.dtype is None or found.dtype.newbyteorder("=") != expected:
            return False
        return -1 in shape if found.is_ragged else tuple(found.shape[1:]) == shape
