"""Named datasets that grow, in a Zarr group: the same as :mod:`labdaq.files.hdf5`, in a folder.

Title and times of an entry are attributes, and a plot names its datasets by their ``target``, since Zarr knows no
links. To work, the package zarr keeps a few threads of its own, which end with the process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import ResourceError
from labdaq.files.datasets import DatasetInfo, DatasetReader, Points
from labdaq.files.nexus import NexusFile
from labdaq.files.table import LARGEST, PathLike, needed

__all__ = ["ZarrFile", "ZarrReader", "list_zarr", "read_zarr"]


class ZarrFile(NexusFile):
    """Write datasets to a Zarr group, which is a folder.

    The folder stands beside its final name, as ``<name>.part``, until it is closed.

    Parameters
    ----------
    path : path-like
        The folder.
    overwrite : bool
        Replace an existing Zarr group, but no other folder; without it that is an error.
    compression : int
        Level of gzip from 0, which is none, to 9.

    Raises
    ------
    ResourceError
        From any method: the folder exists, or the system refuses to make or extend it. Nothing is left then.
    MissingExtraError
        If zarr is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scans.zarr"
    >>> with ZarrFile(path) as file:
    ...     file.entry("scan_1", title="K edge")
    ...     file.dataset("energy", [8.97, 8.98], units="keV")
    ...     file.append("energy", [8.99])
    >>> read_zarr(path, "scan_1/measurement/energy", 1)
    array([8.98, 8.99])
    """

    def _open(self, part: Path) -> Any:
        zarr = needed("zarr")
        if self.path.is_dir() and not (self.path / "zarr.json").is_file() and not (self.path / ".zgroup").is_file():
            raise ResourceError(f"{self.path} is a folder, but no Zarr group: it is not replaced")
        return zarr.open_group(str(part), mode="w-")

    def _shut(self) -> None:
        self._root.store.close()

    def _array(self, group: Any, name: str, dtype: np.dtype[Any] | None, point: tuple[int, ...], chunk: int) -> Any:
        codecs = [needed("zarr.codecs").GzipCodec(level=self.compression)] if self.compression else None
        chunks = (chunk, *(max(1, n) for n in point))
        return group.create_array(name, shape=(0, *point), chunks=chunks, dtype=dtype or str, compressors=codecs)

    def _text(self, group: Any, name: str, text: str) -> None:
        group.attrs.update({name: text})

    def _link(self, group: Any, name: str, target: Any) -> None:
        group.attrs.update({"target": group.attrs.get("target", {}) | {name: f"/{target.path}"}})


class ZarrReader(DatasetReader):
    """Read datasets of a Zarr group piece by piece, whoever wrote it.

    Parameters
    ----------
    path : path-like
        The folder.

    Raises
    ------
    ResourceError
        If the folder cannot be read.
    DataError
        From any method: it is no Zarr group, or damaged.
    MissingExtraError
        If zarr is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scans.zarr"
    >>> with ZarrFile(path) as file:
    ...     file.dataset("energy", [8.97, 8.98, 8.99], units="keV")
    >>> with ZarrReader(path) as file:
    ...     print(file.info("entry/measurement/energy").units, file.read("entry/measurement/energy", -1))
    keV [8.99]
    """

    kind = "a complete Zarr group"

    def _open(self) -> Any:
        zarr = needed("zarr")
        self.path.stat()  # a missing folder is not a damaged one
        return zarr.open_group(str(self.path), mode="r")

    def _walk(self) -> Iterator[tuple[str, Any]]:
        yield from self._root.members(max_depth=None)

    def _child(self, group: Any, name: str) -> Any:
        return group.get(name)

    def _dtype(self, array: Any) -> np.dtype[Any] | None:
        return None if array.dtype.kind in "TUO" else array.dtype

    def _texts(self, array: Any, where: Any) -> Any:
        return np.asarray(array[where]).astype(object).tolist()

    def close(self) -> None:
        """Let go of the group. Closing twice is fine."""
        if self._root is not None:
            self._root.store.close()
        super().close()


def read_zarr(
    path: PathLike, name: str, start: int | None = None, stop: int | None = None, *, limit: int = LARGEST
) -> Points:
    """Read points of one dataset of a Zarr group; see :meth:`ZarrReader.read`.

    Parameters
    ----------
    path : path-like
        The folder.
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
    with ZarrReader(path) as file:
        return file.read(name, start, stop, limit=limit)


def list_zarr(path: PathLike) -> dict[str, DatasetInfo]:
    """Every dataset of a Zarr group by its path, and what is known of it."""
    with ZarrReader(path) as file:
        return file.names()
