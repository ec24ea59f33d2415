"""Frames by reference: a stream of JSON that says in which files the frames are, such as images of a camera.

Each point is ``{"file": …, "dataset": …, "index": …}``; the info of such a stream has ``{"reference": true}``. Files
are HDF5 (``.h5``, ``.hdf5``, ``.nxs``), Zarr and ``.npz``. Without an index, the dataset is the frame.

Whoever wrote the stream chose the paths. So the reader says where they may lead: nothing outside of this folder is
opened, neither by ``..`` nor by links.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labdaq.errors import DataError, LayoutError
from labdaq.files.table import PathLike, reading
from labdaq.store.stream import Stream

__all__ = ["is_reference", "resolve_frames"]

_HDF5 = {".h5", ".hdf5", ".hdf", ".nxs", ".nx5"}


class _Place(NamedTuple):
    """Where a frame is."""

    path: Path
    dataset: str
    number: int | None


def is_reference(stream: Stream) -> bool:
    """Whether the points of a stream say where frames are."""
    return stream.dtype is None and stream.info.get("reference") is True


def resolve_frames(stream: Stream, start: int = 0, stop: int | None = None, *, root: PathLike) -> Any:
    """The frames that the points of a stream refer to.

    Parameters
    ----------
    start, stop
        Which points, as in a slice.
    root
        The folder at which relative paths begin, and out of which no path leads.

    Returns
    -------
    array or list of array
        An array of frames of one dtype and shape, else a list.

    Raises
    ------
    DataError
        A point is no reference, it leads out of the folder, or there is no such frame.
    ResourceError
        A file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from labdaq.files import write_npz
    >>> from labdaq.store import DataStore, JsonStreamEncoder
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_npz(folder / "dark.npz", {"frames": np.arange(8, dtype="u2").reshape(2, 2, 2)})
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "dark", "number": 1, "data_policy": "none"})
    ...     camera = scan.create_stream("camera", JsonStreamEncoder(), {"reference": True})
    ...     camera.send({"file": "dark.npz", "dataset": "frames", "index": 1})
    ...     resolve_frames(camera, root=folder)
    array([[[4, 5],
            [6, 7]]], dtype=uint16)
    """
    if stream.dtype is not None:
        raise LayoutError(f"stream {stream.name!r} holds numbers; references are JSON")
    folder = _resolved(Path(root))
    places = [_place(point, folder) for point in stream[start:stop]]
    frames: list[Any] = []
    for (path, dataset), group in groupby(places, key=lambda place: place[:2]):
        frames += _frames(path, dataset, [place.number for place in group])
    kinds = {(frame.dtype, frame.shape) for frame in frames}
    return np.stack(frames) if len(kinds) == 1 else frames


def _place(point: Any, root: Path) -> _Place:
    if not isinstance(point, Mapping) or not isinstance(point.get("file"), str) or "\0" in point["file"]:
        raise DataError(f"{point!r} is no reference to a frame: that is {{'file': …, 'dataset': …, 'index': …}}")
    dataset, index = point.get("dataset", ""), point.get("index")
    if not isinstance(dataset, str) or not (index is None or (type(index) is int and index >= 0)):
        raise DataError(f"{point!r} is no reference to a frame: a dataset is a text, an index a number from 0 on")
    path = _resolved(root / point["file"])
    if not path.is_relative_to(root):
        raise DataError(f"{point['file']!r} leads out of {root}; if that is meant, give a folder above as root")
    return _Place(path, dataset, index)


def _resolved(path: Path) -> Path:
    with reading(path, "the name of a file", ValueError, RuntimeError):
        return path.resolve()


def _frames(path: Path, dataset: str, indices: list[int | None]) -> Iterator[Any]:
    """Frames of one dataset; those that follow each other are read together."""
    if path.suffix == ".npz":
        yield from _of_npz(path, dataset, indices)
        return
    from labdaq.files import Hdf5Reader, ZarrReader

    if path.suffix not in _HDF5 | {".zarr"}:
        raise LayoutError(f"{path.name}: frames are read from HDF5, Zarr and .npz files")
    with reading(path, "the name of a file", ValueError):
        if path.suffix in _HDF5 and path.exists() and not path.is_file():
            raise DataError(f"{path} is no file")
    with (ZarrReader if path.suffix == ".zarr" else Hdf5Reader)(path) as reader:
        for first, count in _runs(indices):
            frames = reader.read(dataset) if first is None else reader.read(dataset, first, first + count)
            if first is not None and len(frames) != count:
                raise DataError(f"{path} has no frame {first + len(frames)} in {dataset!r}")
            yield from ([np.asarray(frames)] * count if first is None else map(np.asarray, frames))


def _of_npz(path: Path, dataset: str, indices: list[int | None]) -> Iterator[Any]:
    from labdaq.files import read_npz

    arrays = read_npz(path).arrays
    if dataset not in arrays:
        raise DataError(f"{path} has no {dataset!r}; there are {', '.join(arrays) or 'none'}")
    array = arrays[dataset]
    for index in indices:
        if index is not None and (array.ndim == 0 or index >= len(array)):
            raise DataError(f"{path} has no frame {index} in {dataset!r}, an array of shape {array.shape}")
        yield array if index is None else array[index]


def _runs(indices: list[int | None]) -> Iterator[tuple[int | None, int]]:
    """Stretches of indices that follow each other: the first, and how many."""
    for _, group in groupby(enumerate(indices), key=lambda pair: None if pair[1] is None else pair[1] - pair[0]):
        run = [index for _, index in group]
        yield run[0], len(run)
