"""Named datasets of a tree, read piece by piece: what HDF5 and Zarr have in common."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, DataError, LayoutError, NotFoundError
from labdaq.files.table import LARGEST, PathLike, check_size, reading

__all__ = ["DatasetInfo", "DatasetReader", "Points"]

Points = npt.NDArray[Any] | list[str] | list[npt.NDArray[Any]]
"""Points of a dataset: numbers, texts, or arrays that differ in length."""

_DAMAGED = (ValueError, TypeError, LookupError, RuntimeError, AttributeError, EOFError, OverflowError, zlib.error)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset without reading it."""

    shape: tuple[int, ...]
    """Points along the first axis; of ragged points, their number."""
    dtype: np.dtype[Any] | None
    """Kind of the values; None for texts."""
    units: str | None = None
    """Unit of the values."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """Everything that is told about the dataset."""
    is_ragged: bool = False
    """Whether the points differ in length."""


class DatasetReader(ABC):
    """Read the datasets of a file; see :class:`~labdaq.files.hdf5.Hdf5Reader`."""

    kind = "a file of datasets"

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._root: Any = None
        with self._reading():
            self._root = self._open()

    @abstractmethod
    def _open(self) -> Any:
        """Outermost group of the file."""

    @abstractmethod
    def _walk(self) -> Iterator[tuple[str, Any]]:
        """Every group and dataset, and its path."""

    @abstractmethod
    def _child(self, group: Any, name: str) -> Any:
        """Part of a group; None if there is no such part, or it is a link that leads elsewhere."""

    @abstractmethod
    def _dtype(self, array: Any) -> np.dtype[Any] | None:
        """Kind of the values; None for texts."""

    @abstractmethod
    def _texts(self, array: Any, where: Any) -> Any:
        """Texts of a dataset."""

    def _reading(self) -> Any:
        return reading(self.path, self.kind, *_DAMAGED)

    def names(self) -> dict[str, DatasetInfo]:
        """Every dataset by its path, such as ``entry/measurement/energy``, and what is known of it."""
        found: dict[str, DatasetInfo] = {}
        self._opened()
        with self._reading():
            inner: tuple[str, ...] = ()
            for path, node in sorted(self._walk(), key=lambda found: found[0]):
                if path.startswith(inner or ("\0",)):
                    continue
                if _is_ragged(node):
                    inner = (*inner, f"{path}/")
                if _is_ragged(node) or hasattr(node, "shape"):
                    found[path] = self._info(node)
        return found

    def info(self, name: str) -> DatasetInfo:
        """What is known of a dataset."""
        with self._reading():
            return self._info(self._dataset(name))

    def attributes(self, name: str = "") -> dict[str, Any]:
        """What is told about a group or a dataset; by default, about the file."""
        with self._reading():
            return _attributes(self._node(name))

    def read(self, name: str, start: int | None = None, stop: int | None = None, *, limit: int = LARGEST) -> Points:
        """Read points of a dataset.

        Parameters
        ----------
        name : str
            Its path.
        start, stop : int, optional
            Which points, as in a slice.
        limit : int
            Bytes of memory that they may take.

        Returns
        -------
        ndarray, list of str or list of ndarray
            Numbers, texts, or ragged points. A dataset without axes has no points and is read whole.

        Raises
        ------
        NotFoundError
            If there is no such dataset.
        DataError
            If the file is damaged, or the points take more than the limit: read fewer.
        """
        with self._reading():
            node = self._dataset(name)
            if _is_ragged(node):
                return self._ragged(node, start, stop, limit)
            begin, end, _ = slice(start, stop).indices(node.shape[0] if node.shape else 1)
            where = slice(begin, max(begin, end)) if node.shape else ()
            points: Points = self._values(node, where, limit)
            return points

    def iterate(self, name: str, npoint: int) -> Iterator[Points]:
        """Read a dataset piece by piece, `npoint` points at a time."""
        if npoint < 1:
            raise LayoutError(f"a piece holds at least one point, not {npoint}")
        length = (self.info(name).shape or (1,))[0]
        for begin in range(0, length, npoint):
            yield self.read(name, begin, begin + npoint)

    def _values(self, array: Any, where: Any, limit: int) -> Any:
        dtype = self._dtype(array)
        npoint = where.stop - where.start if where else 1
        itemsize = 8 if dtype is None else dtype.itemsize
        check_size(npoint * itemsize * _product(array.shape[1:]), limit, str(self.path))
        check_size(itemsize * _product(getattr(array, "chunks", None) or ()), limit, f"a chunk of {self.path}")
        if dtype is not None and dtype.hasobject:
            raise LayoutError(f"{self.path}: points of {dtype} are no numbers or texts")
        return self._texts(array, where) if dtype is None else np.asarray(array[where])

    def _ragged(self, node: Any, start: int | None, stop: int | None, limit: int) -> list[npt.NDArray[Any]]:
        values, offsets = self._child(node, "values"), self._child(node, "offsets")
        begin, end, _ = slice(start, stop).indices(max(0, offsets.shape[0] - 1))
        if begin >= end:
            return []
        bounds = np.asarray(self._values(offsets, slice(begin, end + 1), limit)).astype(np.int64)
        if bounds[0] < 0 or np.any(np.diff(bounds) < 0) or bounds[-1] > values.shape[0]:
            raise DataError(f"{self.path}: offsets of ragged points do not rise from 0 to their end")
        row = self._values(values, slice(int(bounds[0]), int(bounds[-1])), limit)
        return [np.asarray(point) for point in np.split(np.asarray(row), bounds[1:-1] - bounds[0])]

    def _info(self, node: Any) -> DatasetInfo:
        about = _attributes(node)
        units = about.get("units")
        told = (None if units is None else str(units), about)
        if not _is_ragged(node):
            return DatasetInfo(tuple(node.shape), self._dtype(node), *told)
        values, offsets = self._child(node, "values"), self._child(node, "offsets")
        return DatasetInfo((max(0, offsets.shape[0] - 1),), self._dtype(values), *told, is_ragged=True)

    def _opened(self) -> Any:
        if self._root is None:
            raise ClosedError(f"{self.path} was closed")
        return self._root

    def _find(self, name: str) -> Any:
        """Group or dataset of a path; None if there is none."""
        node = self._opened()
        for part in filter(None, name.split("/")):
            is_group = not hasattr(node, "shape") and part not in {".", ".."}
            node = self._child(node, part) if is_group else None
            if node is None:
                return None
        return node

    def _node(self, name: str) -> Any:
        node = self._find(name)
        if node is None:
            raise NotFoundError(f"{self.path} has no {name!r}; there are {self._there()}")
        return node

    def _there(self) -> str:
        return ", ".join(list(self.names())[:50]) or "none"

    def _dataset(self, name: str) -> Any:
        node = self._node(name)
        if not hasattr(node, "shape") and not _is_ragged(node):
            raise NotFoundError(f"{name!r} in {self.path} is no dataset; there are {self._there()}")
        return node

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        self._root = None

    def __enter__(self) -> "DatasetReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_ragged(node: Any) -> bool:
    return not hasattr(node, "shape") and bool(node.attrs.get("ragged", False))


def _attributes(node: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in node.attrs.items()}


def _plain(value: Any) -> Any:
    """Numbers and texts of Python, whatever the library gave."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for n in shape:
        product *= int(n)  # Python's integers do not wrap
    return product
