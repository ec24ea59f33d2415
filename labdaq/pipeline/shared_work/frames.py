"""Events and what became of them, as they travel between machines: fixed binary fields, checked on arrival."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labdaq.errors import DataError, LayoutError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.calls import INPUT
from labdaq.pipeline.workers.trace import TRACE
from labdaq.stream.layouts import checked_dtype, checked_shape, dtype_from_json, dtype_to_json

__all__ = ["Collected", "HeldEvent", "Kind", "event_from", "head_of", "pack_failure", "pack_result", "unpack_result"]

_HEAD = struct.Struct("<qqdqq")
_OUTCOME = struct.Struct("<4sB3x")
_COUNT = struct.Struct("<I")
_MAGIC = b"LDQW"
_PASSED_ON = 0xFFFFFFFF
_MOST_TEXT = 8000


class Kind(NamedTuple):
    """What the events of a ring are."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Of one event."""
        return int(self.dtype.itemsize) * int(np.prod(self.shape, dtype=np.int64))

    @classmethod
    def of(cls, name: str, dtype: DTypeLike, shape: Any) -> "Kind":
        """Checked.

        Examples
        --------
        >>> Kind.of("raw", "f4", (2,)).nbytes
        8
        """
        return cls(name, np.dtype(dtype), tuple(shape))

    def to_json(self) -> list[Any]:
        """As it travels."""
        return [self.name, dtype_to_json(self.dtype), list(self.shape)]

    @classmethod
    def from_json(cls, told: Any) -> "Kind":
        """Raises DataError for what describes none."""
        try:
            name, dtype, shape = told
            sizes = checked_shape([-1, *shape]) or (-1,)
            return cls(str(name), checked_dtype(dtype_from_json(dtype)), sizes[1:])
        except (TypeError, ValueError, LayoutError) as error:
            raise DataError(f"{told!r:.100} describes no ring: {error}") from error

    def record(self, data: bytes) -> NDArray[Any]:
        """A record of its bytes, read-only. Raises DataError when they are too many, or too few."""
        if len(data) != self.nbytes:
            raise DataError(f"an event of ring {self.name!r} has {self.nbytes} bytes, not {len(data)}")
        return np.frombuffer(data, self.dtype).reshape(self.shape)


class HeldEvent:
    """An event that is not, or not only, in a ring; see :class:`labdaq.roles.EventView`."""

    __slots__ = ("counter", "data", "deadtime", "index", "redelivered", "timestamp_ns", "trace")

    def __init__(  # noqa: PLR0917 - in the order of the fields on the wire
        self, data: Any, counter: int, timestamp_ns: int, deadtime: float, trace: int, index: int, *, redelivered: bool
    ) -> None:
        self.data, self.counter, self.timestamp_ns, self.deadtime = data, counter, timestamp_ns, deadtime
        self.trace, self.index, self.redelivered = trace, index, redelivered

    def plane(self, name: str) -> Any:
        """The value of a plane."""
        return self.trace if name == TRACE else getattr(self, name)

    def __repr__(self) -> str:
        return f"<event {self.index}, held>"


def head_of(planes: Any, at: int, index: int) -> bytes:
    """What goes along with the data of one event of a batch."""
    trace = int(planes[TRACE][at]) if TRACE in [*planes] else 0
    stamps = int(planes["counter"][at]), int(planes["timestamp_ns"][at]), float(planes["deadtime"][at])
    return _HEAD.pack(*stamps, trace, index)


def event_from(head: bytes, data: bytes, kind: Kind, *, redelivered: bool) -> HeldEvent:
    """The event that arrived.

    Raises
    ------
    DataError
        It is none.

    Examples
    --------
    >>> planes = {"counter": [7], "timestamp_ns": [5], "deadtime": [0.5]}
    >>> event = event_from(head_of(planes, 0, 3), bytes(8), Kind.of("raw", "f4", (2,)), redelivered=False)
    >>> event.counter, event.index, event.data.tolist()
    (7, 3, [0.0, 0.0])
    """
    if len(head) != _HEAD.size:
        raise DataError(f"the head of an event has {_HEAD.size} bytes, not {len(head)}")
    counter, timestamp_ns, deadtime, trace, index = _HEAD.unpack(head)
    return HeldEvent(kind.record(data), counter, timestamp_ns, deadtime, trace, index, redelivered=redelivered)


class Collected:
    """Takes the records for one output; has the form of an `Outlet`."""

    def __init__(self, kind: Kind) -> None:
        self.ring = kind
        self.records: list[Any] = []

    def put(self, record: Any, event: Any, part: int, *, again: bool) -> None:  # noqa: ARG002 - numbered later
        """Take one record."""
        self.put_all([record], event, again=again)

    def put_all(self, records: list[Any], event: Any, *, again: bool) -> None:  # noqa: ARG002 - noted later
        """Take the records that one event gave."""
        for record in records:
            if record is event.data:
                self.records.append(INPUT)
                continue
            given = np.asarray(record, self.ring.dtype)
            if given.shape != self.ring.shape:
                raise LayoutError(f"ring {self.ring.name!r} takes shape {self.ring.shape}, and {given.shape} was given")
            self.records.append(given.tobytes())


def pack_result(outcome: int, outlets: Sequence[Collected]) -> bytes:
    """What became of an event, with the records for each output; these are taken out."""
    parts = [_OUTCOME.pack(_MAGIC, outcome)]
    for outlet in outlets:
        records, outlet.records = outlet.records, []
        if records and records[0] is INPUT:
            parts.append(_COUNT.pack(_PASSED_ON))
            continue
        parts += [_COUNT.pack(len(records)), *records]
    return b"".join(parts)


def pack_failure(text: str) -> bytes:
    """The work for an event raised."""
    return _OUTCOME.pack(_MAGIC, b.QUARANTINED) + text.encode(errors="replace")[-_MOST_TEXT:]


def unpack_result(told: bytes, kinds: Sequence[Kind]) -> tuple[int, list[list[Any]], str]:
    """The outcome, the records for each output (INPUT: the event itself), and why it failed.

    Raises
    ------
    DataError
        It is no result.

    Examples
    --------
    >>> kind = Kind.of("high", "u1", (2,))
    >>> outlet = Collected(kind)
    >>> outlet.put(np.array([1, 2], "u1"), HeldEvent(None, 0, 0, 0, 0, 0, redelivered=False), 0, again=False)
    >>> unpack_result(pack_result(b.ACCEPTED, [outlet]), [kind])
    (0, [[array([1, 2], dtype=uint8)]], '')
    """
    if len(told) < _OUTCOME.size:
        raise DataError(f"{len(told)} bytes are no result")
    magic, outcome = _OUTCOME.unpack_from(told)
    if magic != _MAGIC or outcome not in {b.ACCEPTED, b.REJECTED, b.QUARANTINED}:
        raise DataError("a result that is none of labdaq's")
    at = _OUTCOME.size
    if outcome == b.QUARANTINED:
        return outcome, [[] for _ in kinds], told[at : at + _MOST_TEXT].decode(errors="replace")
    found: list[list[Any]] = []
    for kind in kinds:
        if len(told) < at + _COUNT.size:
            raise DataError("a result ends too early")
        (count,) = _COUNT.unpack_from(told, at)
        at += _COUNT.size
        if count == _PASSED_ON:
            found.append([INPUT])
            continue
        if count * max(kind.nbytes, 1) > len(told) - at:
            raise DataError(f"a result says that it has {count} records, and has not")
        steps = range(at, at + count * kind.nbytes, kind.nbytes)
        found.append([kind.record(told[step : step + kind.nbytes]) for step in steps])
        at += count * kind.nbytes
    if at != len(told):
        raise DataError(f"a result has {len(told) - at} bytes too many")
    return outcome, found, ""
