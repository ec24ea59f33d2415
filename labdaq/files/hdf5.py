"""Named datasets that grow, in HDF5 with the structure of NeXus, so that viewers show a plot at once.

See :mod:`labdaq.files.nexus` for what the file looks like inside.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.files.datasets import DatasetInfo, DatasetReader, Points
from labdaq.files.nexus import NexusFile
from labdaq.files.table import LARGEST, PathLike, needed

__all__ = ["Hdf5File", "Hdf5Reader", "list_hdf5", "read_hdf5"]


class _Disk(io.FileIO):
    """A file that keeps a refusal of the system for us instead of telling HDF5.

    After a failed write, HDF5 can neither close its file nor end the process in order. So it is let believe
    that all is well, until the file is closed and taken away.
    """

    refusal: OSError | None = None

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        rest = memoryview(data).cast("B")
        while rest and self.refusal is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.refusal = error
        return size

    def truncate(self, size: int | None = None) -> int:
        if self.refusal is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.refusal = error
        return size or 0


class Hdf5File(NexusFile):
    """Write datasets to an HDF5 file.

    The file stands beside its final name, as ``<name>.part``, until it is closed.

    Parameters
    ----------
    path : path-like
        The file.
    overwrite : bool
        Replace an existing file; without it that is an error.
    compression : int
        Level of gzip from 0, which is none, to 9.

    Raises
    ------
    ResourceError
        From any method: the file exists, or the system refuses to open or extend it. Nothing is left then.
    MissingExtraError
        If h5py is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scans.h5"
    >>> with Hdf5File(path) as file:
    ...     file.entry("scan_1", title="K edge", attributes={"sample": "Cu"})
    ...     file.dataset("energy", [8.97, 8.98], units="keV")
    ...     file.dataset("counts", [10, 12])
    ...     file.append("energy", [8.99])
    ...     file.append("counts", [55])
    ...     file.plot("counts", axes=["energy"])
    >>> read_hdf5(path, "scan_1/measurement/energy", 1)
    array([8.98, 8.99])
    """

    _disk: "_Disk | None" = None

    def _open(self, part: Path) -> Any:
        h5py = needed("h5py")
        self._disk = _Disk(part, "w+")
        return h5py.File(self._disk, "w", libver=("v108", "v110"))  # since 1.8 attributes may be long

    def _shut(self) -> None:
        self._root.close()
        if self._disk is not None:
            self._disk.close()

    def _refused(self) -> OSError | None:
        return None if self._disk is None else self._disk.refusal

    def _array(self, group: Any, name: str, dtype: np.dtype[Any] | None, point: tuple[int, ...], chunk: int) -> Any:
        kind = needed("h5py").string_dtype() if dtype is None else dtype
        options = {"compression": "gzip", "compression_opts": self.compression, "shuffle": True}
        shape = {"shape": (0, *point), "maxshape": (None, *point), "chunks": (chunk, *(max(1, n) for n in point))}
        return group.create_dataset(name, dtype=kind, **shape, **(options if self.compression else {}))

    def _text(self, group: Any, name: str, text: str) -> None:
        group[name] = text

    def _link(self, group: Any, name: str, target: Any) -> None:
        target.attrs["target"] = target.name  # by this NeXus knows which of the two names came first
        group[name] = target


class Hdf5Reader(DatasetReader):
    """Read datasets of an HDF5 file piece by piece, whoever wrote it.

    Links to other files are not followed: a file from anywhere shows nothing but its own content.

    Parameters
    ----------
    path : path-like
        The file.

    Raises
    ------
    ResourceError
        If the file cannot be read.
    DataError
        From any method: it is no HDF5 file, or damaged.
    MissingExtraError
        If h5py is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scans.h5"
    >>> with Hdf5File(path) as file:
    ...     file.dataset("energy", [8.97, 8.98, 8.99], units="keV")
    >>> with Hdf5Reader(path) as file:
    ...     print(file.info("entry/measurement/energy").units, file.read("entry/measurement/energy", -1))
    keV [8.99]
    """

    kind = "a complete HDF5 file"

    def _open(self) -> Any:
        return needed("h5py").File(self.path, "r")

    def _walk(self) -> Iterator[tuple[str, Any]]:
        names: list[str] = []
        self._root.visit(names.append)  # hard links only, each object once
        for name in names:
            if (node := self._find(name)) is not None:
                yield name, node

    def _child(self, group: Any, name: str) -> Any:
        h5py = needed("h5py")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return None
        node = group[name]
        return node if isinstance(node, h5py.Group) or _is_own(node) else None

    def _dtype(self, array: Any) -> np.dtype[Any] | None:
        return None if needed("h5py").check_string_dtype(array.dtype) else array.dtype

    def _texts(self, array: Any, where: Any) -> Any:
        texts = array.asstr(errors="replace")[where]
        return texts.tolist() if isinstance(texts, np.ndarray) else texts

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        if self._root is not None:
            self._root.close()
        super().close()


def _is_own(node: Any) -> bool:
    """Whether the values are in this file: a dataset may point to those of another one."""
    return not (hasattr(node, "shape") and (node.is_virtual or node.external))


def read_hdf5(
    path: PathLike, name: str, start: int | None = None, stop: int | None = None, *, limit: int = LARGEST
) -> Points:
    """Read points of one dataset of an HDF5 file; see :meth:`Hdf5Reader.read`.

    Parameters
    ----------
    path : path-like
        The file.
    name : str
        Path of the dataset in it.
    start, stop : int, optional
        Which points, as in a slice.
    limit : int
        Bytes of memory that they may take.

    Returns
    -------
    ndarray, list of str or list of ndarray
        Numbers, texts, or ragged points.
    """
    with Hdf5Reader(path) as file:
        return file.read(name, start, stop, limit=limit)


def list_hdf5(path: PathLike) -> dict[str, DatasetInfo]:
    """Every dataset of an HDF5 file by its path, and what is known of it."""
    with Hdf5Reader(path) as file:
        return file.names()
