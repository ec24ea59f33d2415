"""Datasets that grow point by point, whatever the library that keeps them; and what fits in one."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["Column", "RaggedColumn", "Time", "batch_of", "check_name", "plain", "text_of_time"]

Time = str | dt.datetime | None


class Column:
    """A dataset, and the points that wait until they fill a chunk of it.

    Parameters
    ----------
    array : dataset of h5py or array of Zarr
        Where the points go; empty.
    dtype : dtype or None
        Kind of the points; None for texts.
    point : tuple of int
        Shape of one point.
    chunk : int
        Points in a chunk.
    """

    def __init__(self, array: Any, dtype: np.dtype[Any] | None, point: tuple[int, ...], chunk: int) -> None:
        self.array, self.dtype, self.point, self.chunk = array, dtype, point, chunk
        self._waiting: list[npt.NDArray[Any]] = []
        self._waiting_points = 0

    def append(self, data: Any) -> None:
        """Add points.

        Raises
        ------
        LayoutError
            If they differ in shape, or in a dtype that does not fit.
        """
        batch = batch_of(data)
        if batch.size == 0 and batch.ndim == 1 and not isinstance(data, np.ndarray):
            return  # an empty list has no dtype
        if not self._takes(batch, is_exact=isinstance(data, np.ndarray)) or batch.shape[1:] != self.point:
            held = f"{self.dtype or 'texts'}{list(self.point)}"
            raise LayoutError(f"the dataset holds points of {held}; {batch.dtype}{list(batch.shape[1:])} do not fit")
        self._waiting.append(batch.astype(self.dtype or object))
        self._waiting_points += len(batch)
        if self._waiting_points >= self.chunk:
            self.flush()

    def _takes(self, batch: npt.NDArray[Any], *, is_exact: bool) -> bool:
        """Whether no value is lost; a list of Python's numbers has no dtype that it insists on."""
        if self.dtype is None or batch.dtype.hasobject:
            return self.dtype is None and batch.dtype.hasobject
        if is_exact or np.can_cast(batch.dtype, self.dtype, "safe"):
            return np.can_cast(batch.dtype, self.dtype, "safe")
        if batch.dtype.kind in "iu" and self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            return bool(np.all((batch >= limits.min) & (batch <= limits.max)))
        return np.can_cast(batch.dtype, self.dtype, "same_kind")

    def flush(self) -> None:
        """Write the points that wait."""
        if not self._waiting_points:
            return
        batch = np.concatenate(self._waiting)
        self._waiting, self._waiting_points = [], 0
        begin = self.array.shape[0]
        self.array.resize((begin + len(batch), *self.point))
        self.array[begin : begin + len(batch)] = batch


class RaggedColumn:
    """Points that differ in length: their values in a row, and the offsets at which each begins and ends.

    Parameters
    ----------
    values : Column
        All values, one point after the other.
    offsets : Column
        Point i is ``values[offsets[i]:offsets[i + 1]]``.
    """

    def __init__(self, values: Column, offsets: Column) -> None:
        self.values, self.offsets = values, offsets
        self.array = values.array
        self._end = 0
        offsets.append(np.zeros(1, np.int64))

    def append(self, data: Any) -> None:
        """Add points, a sequence of arrays."""
        for point in data:
            batch = batch_of(point)
            self.values.append(batch if len(batch) else batch[:0].astype(self.values.dtype or object))
            self._end += len(batch)
            self.offsets.append(np.array([self._end]))

    def flush(self) -> None:
        """Write the points that wait."""
        self.values.flush()
        self.offsets.flush()


def batch_of(data: Any) -> npt.NDArray[Any]:
    """Points along the first axis: numbers as they are, texts as objects.

    Raises
    ------
    LayoutError
        If they are neither, or have no first axis.

    Examples
    --------
    >>> batch_of([1, 2]), batch_of(["a", "bc"])
    (array([1, 2]), array(['a', 'bc'], dtype=object))
    """
    try:
        batch = np.asarray(data)
    except ValueError as error:
        raise LayoutError(f"the points differ in shape ({error}): make the dataset with ragged=True") from error
    if batch.ndim == 0:
        raise LayoutError(f"points come along a first axis: [{data!r}], not {data!r}")
    if batch.dtype.kind in "biufc":
        return batch
    if batch.dtype.kind in "MmSV":
        hint = "times as integers with units, records field by field, bytes as uint8"
        raise LayoutError(f"a dataset holds numbers or texts, not {batch.dtype}; give {hint}")
    return _texts(data if batch.dtype.kind == "U" and isinstance(data, list | tuple) else batch.tolist())


def _texts(texts: Any) -> npt.NDArray[Any]:
    for text in texts:
        if not isinstance(text, str) or "\0" in text or _is_broken(text):
            raise LayoutError(f"a dataset holds numbers, or texts in a row without zero bytes; not {text!r}")
    batch = np.empty(len(texts), object)
    batch[:] = texts
    return batch


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def check_name(name: str) -> None:
    """Raise LayoutError if a name of an entry, a dataset or a plot would be taken for a path or hidden."""
    if not name or name.startswith((".", "__")) or any(c in name for c in "/\\\0") or _is_broken(name):
        raise LayoutError(f"{name!r} is no name for a part of a file: no slashes, no dot or __ in front")


def plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as texts, numbers and lists of one kind of them; what is none of these becomes JSON text.

    Raises
    ------
    LayoutError
        If one cannot be written as JSON.

    Examples
    --------
    >>> plain({"gain": np.float32(0.5), "channels": ("A", "B"), "range": {"low": 1}})
    {'gain': 0.5, 'channels': ['A', 'B'], 'range': '{"low": 1}'}
    """
    return {str(name): _plain(str(name), value) for name, value in attributes.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if _is_simple(value):
        return value
    if isinstance(value, list | tuple) and value and _is_simple(value[0]) and len({type(v) for v in value}) == 1:
        return list(value) if all(map(_is_simple, value)) else json.dumps(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise LayoutError(f"attribute {name!r} is no text, number or JSON: {error}") from error


def _is_simple(value: Any) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, float) or (isinstance(value, str) and "\0" not in value and not _is_broken(value))


def text_of_time(time: Time) -> str:
    """A time as ISO 8601; now, if it is not given."""
    if isinstance(time, str):
        return time
    return (time or dt.datetime.now(dt.UTC)).isoformat()
