"""Writing events: records that stand for themselves, by any number of writers at once."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import BusyError, ClosedError, LabdaqError, LayoutError, SpanError
from labdaq.native.cuda import is_on_device
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import reserve
from labdaq.ring.participants import SLICE_NS, Participant, places
from labdaq.ring.spans import NATIVE, Array, Span, whole_frames
from labdaq.ring.writing_steps import commit, commit_event, commit_short, describe_events, next_counter

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore
    from labdaq.ring.event_reading import Event
    from labdaq.ring.memory import Memory

__all__ = ["EventSpan", "EventWriter", "WriteEvent"]

_START = w.START >> 3
_TAKEN = "these frames were taken away: their writer was closed, or its process was thought dead"


class EventWriter(Participant):
    """One of the writers of a ring of events, from ``ring.writer()``; a context manager.

    Each thread makes its own. Leaving voids what is still open; it does not end the ring.

    Attributes
    ----------
    waited_ns : int
        How long it waited for room and copied, in all: the sum of what the dead times of its events are made of.
    """

    _role = w.WRITER

    def __init__(self, core: "RingCore", label: str = "") -> None:
        self._closed = True
        if not core.is_typed:
            raise LayoutError(f"ring {core.name!r} holds bytes, which are written in sequences: use begin_writing()")
        with core.control.locked():
            exclusive = [p for p in places(core.control) if p[w.P_ROLE] == w.EXCLUSIVE_WRITER and not p.is_lost]
            if exclusive:
                raise BusyError(
                    f"ring {core.name!r} is being written by {exclusive[0].label}, which shares it with nobody"
                )
            core.end(ended=False)
            super().__init__(core, sequencer=core.control.writers, label=label)
        self._closed = False
        self._last_ns = time.time_ns()
        self.waited_ns = 0

    def reserve(self, n: int | None = None, timeout: float | None = None) -> "Any":
        """Claim the next frame, or the next ``n``, to fill in place; a context manager that commits.

        Blocks while all frames are held by readers that must see everything.

        Parameters
        ----------
        n
            None for one event (:class:`WriteEvent`), else a batch of n (:class:`EventSpan`).
        timeout
            Seconds; None waits for ever, 0 does not wait.

        Raises
        ------
        WaitTimeoutError
            When there was no room in time; the message names who holds it.
        SpanError
            When so many can never fit.
        ClosedError
            When the ring has ended.
        """
        asked_ns = time.time_ns()
        count = 1 if n is None else n
        self._handle[_START] = -1
        try:
            start = self._claim(count, timeout)
            return WriteEvent(self, start, asked_ns) if n is None else EventSpan(self, start, start + count, asked_ns)
        except LabdaqError:
            raise
        except BaseException:
            self._give_up()
            raise

    def _claim(self, count: int, timeout: float | None) -> int:
        if type(count) is not int or not 0 < count <= self._memory.contiguous or self._closed:
            count = self._checked(count)
        start = reserve(self._address, count, SLICE_NS if timeout is None else 0)
        if start < 0:
            start = self._wait(reserve, (count,), timeout, f"reserving {count} events")
            if start < 0:
                raise ClosedError(f"ring {self._core.name!r} has ended: nothing can be written any more")
        return start

    def _checked(self, count: Any) -> int:
        self._check_usable()
        self._remap()
        return whole_frames(count, 1, self._memory.contiguous, "reserve", self._core.name)

    def _reason(self) -> str:
        return self._core.who_holds()

    def put(
        self,
        record: Any,
        counter: int | None = None,
        timestamp_ns: int | None = None,
        deadtime: float | None = None,
        *,
        like: "Event | None" = None,
        planes: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Write one event that is ready: the frame is reserved only for the time of the copy.

        Parameters
        ----------
        record
            One frame of the ring's dtype and shape, or what NumPy makes one of.
        counter
            By default the next number of this ring, without gaps.
        timestamp_ns
            UTC; now by default.
        deadtime
            Fraction of time, 0 to 1; by default the time spent waiting and copying, over the time since
            the last event of this writer.
        like
            Copy counter, time stamp and dead time from this event, as filters do.
        planes
            Values, or rows, of other planes of the ring; what is not given there keeps an old value.
        timeout
            Seconds to wait for room; None waits for ever.

        Raises
        ------
        LayoutError
            For another dtype or shape; nothing was written.
        """
        asked_ns = time.time_ns()
        plane = self._memory.data
        dtype, shape = plane.layout_dtype, plane.layout_shape
        if type(record) is not np.ndarray or record.dtype != dtype or record.shape != shape:
            record = self.conformed(record)
        if like is not None:
            counter, timestamp_ns, deadtime = like.counter, like.timestamp_ns, like.deadtime
        elif counter is not None or timestamp_ns is not None or deadtime is not None:
            _check_metadata(counter, timestamp_ns, deadtime)
        self._handle[_START] = -1
        try:
            start = self._claim(1, timeout)
            plane = self._memory.data
            plane.array[start % plane.slots] = record
            if planes is not None:
                self._fill_planes(start, planes)
            now_ns = time.time_ns()
            if deadtime is None:
                deadtime = self._deadtime(now_ns - asked_ns, now_ns)
            self._commit(start, counter, now_ns if timestamp_ns is None else timestamp_ns, deadtime, now_ns)
        except LabdaqError:
            raise
        except BaseException:
            self._give_up()
            raise

    def _fill_planes(self, start: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            plane = self._memory.planes[name]
            plane.array[start % plane.slots] = value

    def _deadtime(self, waited_ns: int, now_ns: int) -> float:
        """Waiting, as a fraction of the time since this writer's last event."""
        self.waited_ns += waited_ns
        cycle_ns = now_ns - self._last_ns
        return min(max(waited_ns / cycle_ns, 0.0), 1.0) if cycle_ns > 0 else 0.0

    def _commit(self, start: int, counter: int | None, timestamp_ns: int, deadtime: float, now_ns: int) -> None:
        self._last_ns = now_ns
        if self._memory.uses is not None:
            self._memory.uses.end(start, start + 1)
        if not self._core.is_events:
            done = commit(self._address, start, start + 1)
        else:
            number = -1 if counter is None else int(counter)
            done = commit_event(self._address, start, number, int(timestamp_ns), float(deadtime))
        if done < 0:
            raise ClosedError(_TAKEN)

    def conformed(self, record: Any) -> NDArray[Any]:
        """A record as one frame of the ring.

        Raises
        ------
        LayoutError
            It has another dtype or shape, or NumPy makes no array of it.
        """
        plane = self._memory.data
        is_there = self._memory.uses is not None and is_on_device(record)
        if is_there and (record.dtype, record.shape) == (plane.layout_dtype, plane.layout_shape):
            return cast(NDArray[Any], record)
        wanted = f"ring {self._core.name!r} takes {plane.layout_dtype} of shape {plane.layout_shape}"
        given = record if isinstance(record, np.ndarray | np.generic) or is_on_device(record) else None
        if given is not None and given.dtype != plane.layout_dtype:
            raise LayoutError(f"{wanted}, and {given.dtype} of shape {given.shape} was given: use astype()")
        try:
            result = np.asarray(record, dtype=plane.layout_dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise LayoutError(f"{wanted}, and {record!r:.60} was given: {error}") from error
        if result.shape != plane.layout_shape:
            raise LayoutError(f"{wanted}, and shape {result.shape} was given")
        return result

    def _give_up(self) -> None:
        """After an interrupt: nobody else knows of the claim that was just made, if there is one."""
        if self._handle[_START] >= 0:
            self._void(self._handle[_START], self._handle[_START] + 1)

    def _void(self, start: int, end: int) -> None:
        if self._memory.uses is not None:
            self._memory.uses.end(start, end)
        commit(self._address, start, start)


def _check_metadata(counter: Any, timestamp_ns: Any, deadtime: Any) -> None:
    """Find out what is wrong while nothing is claimed.

    Raises
    ------
    LayoutError
        For what is no number of its kind.
    """
    for name, value in (("counter", counter), ("timestamp_ns", timestamp_ns)):
        if value is not None and not (isinstance(value, int | np.integer) and 0 <= value < 1 << 63):
            raise LayoutError(f"{name}={value!r}: a whole number of at least 0 and below 2**63, or None")
    if deadtime is not None and not isinstance(deadtime, int | float | np.number):
        raise LayoutError(f"deadtime={deadtime!r}: a number from 0 to 1, or None")


class WriteEvent:
    """One event being written; a context manager that commits it.

    Left by an exception it is voided: a gap in the ring's index, seen by no reader.

    Attributes
    ----------
    counter : int or None
        None: the next number of the ring, taken at the commit.
    timestamp_ns : int or None
        UTC in ns; None: when it is committed.
    deadtime : float or None
        0 to 1; None: the time waited for room, over the time since the writer's last event.
    """

    __slots__ = (
        "_asked_ns",
        "_granted_ns",
        "_is_open",
        "_start",
        "_writer",
        "counter",
        "deadtime",
        "timestamp_ns",
    )

    def __init__(self, writer: EventWriter, start: int, asked_ns: int) -> None:
        self._writer = writer
        self._start = start
        self._asked_ns = asked_ns
        self._granted_ns = time.time_ns()
        self._is_open = True
        self.counter: int | None = None
        self.timestamp_ns: int | None = None
        self.deadtime: float | None = None

    @property
    def index(self) -> int:
        """The ring's number of this frame."""
        return self._start

    @property
    def data(self) -> Array:
        """The frame in the ring, to be filled; it holds old values before."""
        if not self._is_open:
            raise ClosedError("this event is over: its frame belongs to the ring again")
        plane = self._writer._memory.data
        view: Array = plane.array[self._start % plane.slots, ...]
        return view

    def set_plane(self, name: str, value: Any) -> None:
        """Fill another plane of the ring for this event; what is not set keeps an old value."""
        if not self._is_open:
            raise ClosedError("this event is over: its frame belongs to the ring again")
        self._writer._fill_planes(self._start, {name: value})

    def copy_metadata(self, event: "Event | WriteEvent") -> None:
        """Take counter, time stamp and dead time from another event."""
        self.counter, self.timestamp_ns, self.deadtime = event.counter, event.timestamp_ns, event.deadtime

    def commit(self) -> None:
        """Publish the event."""
        if not self._is_open:
            raise ClosedError("this event is over")
        _check_metadata(self.counter, self.timestamp_ns, self.deadtime)
        now_ns = time.time_ns()
        stamp = now_ns if self.timestamp_ns is None else self.timestamp_ns
        dead = self.deadtime
        if dead is None:
            dead = self._writer._deadtime(self._granted_ns - self._asked_ns, now_ns)
        try:
            self._writer._commit(self._start, self.counter, stamp, dead, now_ns)
        except ClosedError:
            self._is_open = False
            raise
        self._is_open = False

    def void(self) -> None:
        """Give the event up: nobody will read it."""
        if self._is_open:
            self._writer._void(self._start, self._start + 1)
            self._is_open = False

    def __enter__(self) -> "WriteEvent":
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        try:
            if self._is_open and kind is None:
                self.commit()
        finally:
            self.void()


class EventSpan(Span):
    """A batch of events being written; a context manager that commits it."""

    __slots__ = ("_asked_ns", "_granted_ns", "_is_described", "_writer")
    _writable = True

    _form = NATIVE

    def __init__(self, writer: EventWriter, start: int, end: int, asked_ns: int) -> None:
        self._start = start
        self._end = end
        self._is_open = True
        self._staged = None
        self._writer = writer
        self._asked_ns = asked_ns
        self._granted_ns = time.time_ns()
        self._is_described = False

    @property
    def _memory(self) -> "Memory":  # type: ignore[override]
        return self._writer._memory

    @property
    def planes(self) -> Any:
        """The planes by name. ``counter`` holds -1 at first: the next number is taken where it stays so."""
        if not self._is_described and self._writer._core.is_events:
            self._is_described = True
            views = super().planes
            views["counter"][...] = -1
            views["timestamp_ns"][...] = self._granted_ns
            views["deadtime"][...] = self._deadtime(self._granted_ns)
        return super().planes

    def _deadtime(self, now_ns: int) -> float:
        return self._writer._deadtime(self._granted_ns - self._asked_ns, now_ns)

    def commit(self, n: int | None = None, *, give_back: bool = False) -> None:
        """Publish the first ``n`` events, or all.

        Parameters
        ----------
        n
            How many.
        give_back
            The others go back to the ring, when nobody has claimed frames behind them. Otherwise they are voided.

        Raises
        ------
        SpanError
            When ``n`` is more than the span has.
        """
        self._check_open()
        count = self.nframe if n is None else n
        if int(count) != count or not 0 <= count <= self.nframe:
            raise SpanError(f"commit({n!r}): the span has {self.nframe} events")
        kept = self._start + int(count)
        writer = self._writer
        now_ns = time.time_ns()
        if self._is_described:
            self._number(int(count))
        elif writer._core.is_events and count:
            describe_events(writer._address, self._start, kept, -1, now_ns, self._deadtime(now_ns))
        writer._last_ns = now_ns
        self._write_back()
        if self._memory.uses is not None:
            self._memory.uses.end(self._start, self._end)
        self._is_open = False
        done = commit_short(writer._address, self._start, kept) if give_back and kept < self._end else 0
        if done < 0 or (done == 0 and commit(writer._address, self._start, kept) < 0):
            raise ClosedError(_TAKEN)

    def _number(self, count: int) -> None:
        counters = self._plane_view("counter")[:count]
        missing = counters < 0
        amount = int(missing.sum())
        if amount:
            first = next_counter(self._writer._address, amount)
            counters[missing] = np.arange(first, first + amount)

    def void(self) -> None:
        """Give all of it up."""
        if self._is_open:
            self._is_open = False
            self._writer._void(self._start, self._end)

    def __enter__(self) -> "EventSpan":
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        try:
            if self._is_open and kind is None:
                self.commit()
        finally:
            self.void()
