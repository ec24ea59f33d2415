"""How points become bytes and points again. Nothing is pickled.

A *point* is one number, one array, or one JSON value; a *batch* is what one call sent: its bytes and how many
points they are. The bytes of a batch are

- fixed shape: the points one after the other, C order;
- ragged: for each point its lengths along the ragged axes (int64, little-endian), then for each its data;
- JSON: one JSON array, UTF-8, of which each element is a point.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from labdaq.errors import DataError, LayoutError

__all__ = ["Batch", "Encoder", "JsonStreamEncoder", "NumericStreamEncoder", "encoder_of"]

_KINDS = "biufcmM"
_pack_float = struct.Struct("<d").pack
_RANK = {kind: rank for rank, kinds in enumerate(("b", "iu", "f", "c")) for kind in kinds}
_LENGTH = np.dtype("<i8")


class Batch(NamedTuple):
    """Points that were sent at once, as bytes."""

    start: int
    """Index of the first."""
    npoint: int
    payload: Any
    """Bytes, or a view of them."""


class Encoder(Protocol):
    """What a stream needs of its kind of points."""

    point_nbytes: int | None
    """Size of one point, when all have the same."""

    def encode(self, data: Any) -> tuple[Any, int]:
        """One point, or a batch, as bytes; and how many points these are."""

    def encode_many(self, points: Sequence[Any]) -> tuple[Any, int]:
        """A batch given as a sequence of points."""

    def decode(self, batches: Sequence[Batch], start: int, stop: int) -> Any:
        """The points from start to stop, from batches that hold all of them: an array, or a list."""

    def to_json(self) -> dict[str, Any]:
        """What :func:`encoder_of` needs to make it again."""


class NumericStreamEncoder:
    """Numbers, or arrays of one dtype and shape.

    Parameters
    ----------
    dtype
        Booleans, integers, reals, complex numbers or times. What is sent must have this very dtype; Python's
        own numbers fit wherever they keep their value.
    shape
        Of one point; ``()`` is a number. An axis of -1 may have another length in each point: such a stream is
        *ragged*.

    Raises
    ------
    LayoutError
        From `encode` too: when a dtype or a shape is another.

    Examples
    --------
    >>> waveforms = NumericStreamEncoder("u2", (3,))
    >>> payload, count = waveforms.encode(np.arange(6, dtype="u2").reshape(2, 3))
    >>> waveforms.decode([Batch(0, count, payload)], 1, 2)
    array([[3, 4, 5]], dtype=uint16)
    """

    def __init__(self, dtype: Any, shape: Any = ()) -> None:
        try:
            self.dtype = np.dtype(dtype)
            shape = tuple(shape) if isinstance(shape, Sequence | np.ndarray) else (shape,)
            self.shape = tuple(int(n) for n in shape)
        except (TypeError, ValueError, SyntaxError) as error:
            raise LayoutError(f"no points of dtype {dtype!r} and shape {shape!r}: {error}") from error
        if self.dtype.kind not in _KINDS:
            raise LayoutError(f"a numeric stream takes booleans, numbers and times, not {self.dtype}")
        if any(n < -1 or n == 0 for n in self.shape) or len(self.shape) > 16:
            raise LayoutError(f"shape {self.shape}: lengths are at least 1, or -1 where they vary; up to 16 axes")
        self._ragged = tuple(axis for axis, n in enumerate(self.shape) if n == -1)
        self.point_nbytes = None if self._ragged else self.dtype.itemsize * math.prod(self.shape)
        if self.point_nbytes is not None and self.point_nbytes > 2**31:
            raise LayoutError(f"a point of {self.point_nbytes} bytes is too large: at most 2 GiB")
        self._is_plain_float = self.shape == () and self.dtype == np.dtype("<f8")
        self._has_bytes = not self._ragged and _has_bytes(self.dtype)

    def encode(self, data: Any) -> tuple[Any, int]:
        """One point of the shape, or an array of points with one axis more; for ragged streams a list, too."""
        if self._is_plain_float and type(data) is float:  # the most frequent cases come first
            return _pack_float(data), 1
        if type(data) is np.ndarray and self._has_bytes and data.dtype == self.dtype:
            shape = data.shape
            count = 1 if shape == self.shape else shape[0] if shape and shape[1:] == self.shape else 0
            if count:
                try:
                    return data.data.cast("B"), count
                except TypeError:  # it does not lie in one piece
                    pass
        if self._ragged and isinstance(data, list | tuple) and all(isinstance(p, np.ndarray) for p in data):
            return self.encode_many(data)
        array = self._array(data)
        if array.ndim == len(self.shape):
            points, count = array[None], 1
        elif array.ndim == len(self.shape) + 1:
            points, count = array, len(array)
        else:
            raise self._misfit(array)
        if count == 0 or not all(n in {-1, m} for n, m in zip(self.shape, points.shape[1:], strict=True)):
            raise self._misfit(array)
        return self._payload(list(points) if self._ragged else [points]), count

    def encode_many(self, points: Sequence[Any]) -> tuple[Any, int]:
        """Points in a sequence."""
        arrays = [self._array(point) for point in points]
        for array in arrays:
            if array.ndim != len(self.shape) or not all(
                n in {-1, m} for n, m in zip(self.shape, array.shape, strict=True)
            ):
                raise self._misfit(array)
        if not arrays:
            raise LayoutError("there is no point in this batch")
        return self._payload(arrays), len(arrays)

    def _payload(self, arrays: list[Any]) -> Any:
        if not self._ragged and len(arrays) == 1:
            payload: Any = np.ascontiguousarray(arrays[0]).reshape(-1).view(np.uint8)
            return payload.data
        lengths = np.array([[array.shape[axis] for axis in self._ragged] for array in arrays], _LENGTH)
        return b"".join((lengths.tobytes(), *(array.tobytes() for array in arrays)))

    def _array(self, data: Any) -> np.ndarray[Any, Any]:
        if isinstance(data, np.ndarray | np.generic):
            # A single number of NumPy has the byte order of the machine, whichever array it is from.
            expected = self.dtype.newbyteorder("=") if isinstance(data, np.generic) else self.dtype
            if data.dtype != expected:
                raise LayoutError(f"this stream holds {self.dtype}, not {data.dtype}: convert with astype({self!s})")
            return np.asarray(data, self.dtype)
        try:
            array = np.asarray(data)
        except (ValueError, OverflowError) as error:
            raise LayoutError(f"this is no array of {self.dtype}: {error}") from error
        if array.dtype == self.dtype:
            return array
        if not _RANK.get(array.dtype.kind, 9) <= _RANK.get(self.dtype.kind, -1):
            if array.size == 0:  # whose dtype nobody chose
                raise self._misfit(array)
            raise LayoutError(f"this stream holds {self.dtype}, not {array.dtype}")
        with np.errstate(all="ignore"):
            converted = array.astype(self.dtype)
        is_integer = array.dtype.kind in "iu"  # then all of it is to be kept, else the size of the number
        if converted.tolist() != array.tolist() if is_integer else np.any(np.isinf(converted) & ~np.isinf(array)):
            raise LayoutError(f"{data!r} does not fit into {self.dtype}")
        return converted

    def _misfit(self, array: Any) -> LayoutError:
        if array.size == 0:
            return LayoutError(f"this is empty, of shape {array.shape}: a point of this stream has {self.shape}")
        return LayoutError(f"a point of this stream has shape {self.shape}, a batch one axis more; not {array.shape}")

    def decode(self, batches: Sequence[Batch], start: int, stop: int) -> Any:
        """An array of the points; a list of arrays when ragged. Views of the payloads where that is possible."""
        if self._ragged:
            return [point for batch in batches for point in self._split(batch, start, stop)]
        parts = [self._part(batch, start, stop) for batch in batches]
        if len(parts) == 1:
            return parts[0]
        points = np.concatenate(parts, dtype=self.dtype) if parts else np.empty((0, *self.shape), self.dtype)
        points.flags.writeable = False
        return points

    def _part(self, batch: Batch, start: int, stop: int) -> Any:
        try:
            points = np.frombuffer(batch.payload, self.dtype).reshape(batch.npoint, *self.shape)
        except ValueError as error:
            raise DataError(f"{len(batch.payload)} bytes are not {batch.npoint} points of {self!r}") from error
        points.flags.writeable = False
        return points[max(start - batch.start, 0) : stop - batch.start]

    def _split(self, batch: Batch, start: int, stop: int) -> list[Any]:
        nlength = batch.npoint * len(self._ragged)
        at, points = nlength * _LENGTH.itemsize, []
        if at > len(batch.payload):
            raise DataError(f"{len(batch.payload)} bytes are not {batch.npoint} points of {self!r}")
        lengths = np.frombuffer(batch.payload, _LENGTH, nlength).reshape(batch.npoint, -1)
        for number, ragged in enumerate(lengths.tolist(), batch.start):
            varying = iter(ragged)
            shape = tuple(next(varying) if n == -1 else n for n in self.shape)
            size = math.prod(shape)
            if min(shape) < 0 or at + size * self.dtype.itemsize > len(batch.payload):
                raise DataError(f"point {number} claims the shape {shape}, beyond the bytes of its batch")
            if start <= number < stop:
                points.append(self._point(batch, shape, at))
            at += size * self.dtype.itemsize
        if at != len(batch.payload):
            raise DataError(f"the batch at {batch.start} has {len(batch.payload)} bytes, its points only {at}")
        return points

    def _point(self, batch: Batch, shape: tuple[int, ...], at: int) -> Any:
        try:
            point = np.frombuffer(batch.payload, self.dtype, math.prod(shape), at).reshape(shape)
        except ValueError as error:  # lengths beyond all bounds, one of them 0
            raise DataError(f"a point claims the shape {shape}") from error
        point.flags.writeable = False
        return point

    def to_json(self) -> dict[str, Any]:
        """The dtype as NumPy writes it, and the shape."""
        return {"type": "numeric", "dtype": self.dtype.str, "shape": list(self.shape)}

    def __repr__(self) -> str:
        return f"NumericStreamEncoder({self!s}, {self.shape})"

    def __str__(self) -> str:
        return repr(self.dtype.name if self.dtype.isnative else self.dtype.str)


class JsonStreamEncoder:
    """Any JSON value; arrays and numbers of NumPy are written as lists and numbers.

    Examples
    --------
    >>> notes = JsonStreamEncoder()
    >>> payload, count = notes.encode({"gain": np.float32(0.5)})
    >>> notes.decode([Batch(0, count, payload)], 0, 1)
    [{'gain': 0.5}]
    """

    point_nbytes: int | None = None

    def encode(self, data: Any) -> tuple[Any, int]:
        """One point, whatever it is."""
        return self.encode_many([data])

    def encode_many(self, points: Sequence[Any]) -> tuple[Any, int]:
        """Points in a sequence."""
        if len(points) == 0:
            raise LayoutError("there is no point in this batch")
        return to_json_text(list(points)).encode(), len(points)

    def decode(self, batches: Sequence[Batch], start: int, stop: int) -> list[Any]:
        """A list of the points."""
        found: list[Any] = []
        for batch in batches:
            points = from_json_text(bytes(batch.payload))
            if not isinstance(points, list) or len(points) != batch.npoint:
                raise DataError(f"the batch at {batch.start} does not hold {batch.npoint} JSON values")
            found += points[max(start - batch.start, 0) : stop - batch.start]
        return found

    def to_json(self) -> dict[str, Any]:
        """Only what it is."""
        return {"type": "json"}

    def __repr__(self) -> str:
        return "JsonStreamEncoder()"


def _has_bytes(dtype: np.dtype[Any]) -> bool:
    """Whether the memory of such an array can be seen as bytes, as it is."""
    try:
        np.zeros(1, dtype).data.cast("B")
    except (TypeError, ValueError):
        return False
    return True


def encoder_of(description: Mapping[str, Any]) -> Encoder:
    """The encoder that a stream was made with, from its `to_json`.

    Raises
    ------
    DataError
        It is none that this version knows.
    """
    try:
        if description["type"] == "numeric":
            return NumericStreamEncoder(str(description["dtype"]), tuple(description["shape"]))
        if description["type"] == "json":
            return JsonStreamEncoder()
    except (KeyError, TypeError, LayoutError) as error:
        raise DataError(f"{dict(description)!r} does not describe the points of a stream") from error
    raise DataError(f"this stream holds points of type {description['type']!r}, which this version does not know")


def to_json_text(value: Any) -> str:
    """JSON in one line; what NumPy brings becomes lists and numbers, keys become texts, NaN stays NaN.

    Raises
    ------
    LayoutError
        There is something that JSON cannot hold.
    """
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))
        if not text.isascii() and _has_surrogates(text):
            text = json.dumps(value, default=_plain, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise LayoutError(f"this cannot be written as JSON: {error}") from error
    return text


def from_json_text(text: str | bytes) -> Any:
    """Read JSON.

    Raises
    ------
    DataError
        It is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {text[:60]!r}") from error


def _has_surrogates(text: str) -> bool:
    """Whether there are halves of characters, which names of files may have, and UTF-8 has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is {type(value).__name__}, which JSON does not have")
