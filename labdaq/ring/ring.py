"""The ring: circular memory of frames between those who write and those who read."""

import itertools
import weakref
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import BusyError, LayoutError, NotFoundError
from labdaq.native.cuda import Device
from labdaq.ring import picture, sequence_table
from labdaq.ring import words as w
from labdaq.ring.control import end_of_claims
from labdaq.ring.core import ClosedCore, RingCore
from labdaq.ring.event_reading import EventReader, Group
from labdaq.ring.event_writing import EventWriter
from labdaq.ring.layout import checked_dtype, checked_plane, checked_plane_name, checked_shape, is_users
from labdaq.ring.observer import Observer
from labdaq.ring.participants import Participant, places
from labdaq.ring.sequence_reading import ReadSequence, SequenceReader
from labdaq.ring.sequence_writing import RingWriter
from labdaq.ring.statistics import (
    ParticipantStatistics,
    RingStatistics,
    participant_statistics,
    ring_statistics,
)

__all__ = ["Ring"]

_numbers = itertools.count(1)
_named: "weakref.WeakValueDictionary[str, Ring]" = weakref.WeakValueDictionary()
_ATTACHED_ONLY = (w.ATTACHED, w.OBSERVER)


class Ring:
    """Circular memory of frames, in this process or shared with others.

    A ring without a dtype is a ring of bytes, written by one writer in *sequences* (a stretch of frames
    with one setup) and read in spans. A ring with a dtype holds *events*: independent records, written by
    any number of writers and read by groups whose members share the work. A reader group holds writers
    back until it has seen every frame; an observer never does.

    Parameters
    ----------
    name
        A label for people. Making a ring again under the name of an idle one in this process (as when a
        notebook cell is run again) replaces it. The system's name of shared memory is private.
    space
        ``"system"``: memory of this process. ``"shared"``: any process of this user on this machine may
        use the ring; a pickled ring attaches to it. ``"cuda"``: memory of the GPU; views are CuPy arrays, and
        those who work on them on streams wait for each other by events. ``"cuda_host"``: memory of this process
        that the GPU reaches by itself (pinned); views are NumPy arrays. See :func:`labdaq.copy`.
    dtype, shape
        Of one frame of a ring of events.
    capacity
        How many frames (or bytes) it holds, exactly. Without it, `resize` must be called first.
    planes
        Side arrays that go along with the frames of a ring of events: name to dtype, or (dtype, shape).
        Every ring of events has ``counter``, ``timestamp_ns`` and ``deadtime``.
    metadata
        False leaves these three out, for frames that are samples and not events.

    Raises
    ------
    BusyError
        When a ring of that name is in use in this process.
    LayoutError
        When dtype, shape or space are not possible.
    ResourceError
        When there is not that much memory; for ``cuda`` also without a driver or a GPU.
    MissingExtraError
        For ``cuda`` and ``cuda_host``: CuPy is not installed.

    Examples
    --------
    Events:

    >>> import labdaq
    >>> with labdaq.Ring("pulses", dtype="f4", shape=(100,), capacity=16) as ring:
    ...     group = ring.group("filter")
    ...     with ring.writer() as writer:
    ...         for height in range(3):
    ...             with writer.reserve() as event:
    ...                 event.data[:] = height
    ...     ring.end()
    ...     print([float(event.data.max()) for event in ring.reader(group="filter")])
    [0.0, 1.0, 2.0]

    Bytes, in a sequence:

    >>> with labdaq.Ring("stream") as ring:
    ...     ring.resize(4, 16)
    ...     with ring.begin_writing() as writer, writer.begin_sequence("a", header={"gain": 2}) as sequence:
    ...         with sequence.reserve(4) as span:
    ...             span.data[:] = [1, 2, 3, 4]
    ...     for sequence in ring.read():
    ...         print(sequence.name, sequence.header["gain"], [span.data.tolist() for span in sequence.read(2)])
    a 2 [[1, 2], [3, 4]]

    Notes
    -----
    Frames are counted from the beginning of the ring in 64 bits, up to 2**62: at 10 GB/s a ring of bytes
    lasts for 14 years.
    """

    _core: RingCore

    def __init__(
        self,
        name: str | None = None,
        space: str = "system",
        dtype: DTypeLike | None = None,
        shape: Any = (),
        capacity: int | None = None,
        *,
        planes: Mapping[str, Any] | None = None,
        metadata: bool = True,
        _first_frame: int = 0,
    ) -> None:
        if planes and capacity is None:
            raise LayoutError("planes need a capacity: give both")
        frame = (checked_dtype(dtype), checked_shape(shape)) if dtype is not None else None
        if frame is None and (checked_shape(shape) or planes):
            raise LayoutError("a ring without a dtype holds bytes: shape and planes belong to its sequences")
        if name is not None:
            _replace_idle(name)
        label = name if name is not None else f"ring-{next(_numbers)}"
        is_events = frame is not None and metadata
        self._core = RingCore.create(label, space, frame, is_events=is_events, first_frame=_first_frame)
        try:
            if capacity is not None:
                total = _count(capacity, "capacity")
                extra = {checked_plane_name(n): checked_plane(kind, total) for n, kind in (planes or {}).items()}
                self._core.resize(total, total, planes=extra)
        except BaseException:
            self._core.close()
            raise
        if name is not None:
            _named[name] = self

    @classmethod
    def _attach(cls, space: str, token: str, name: str) -> "Ring":
        ring = cls.__new__(cls)
        ring._core = RingCore.attach(space, token, name)
        return ring

    def __reduce__(self) -> tuple[Any, ...]:
        self._core.check_open()
        if self._core.space.is_private:
            raise LayoutError(
                f"ring {self.name!r} of space {self.space!r} cannot go to another process: make it with space='shared'"
            )
        return Ring._attach, (self.space, self._core.token, self.name)

    # ------------------------------------------------------------------------------- what it is

    @property
    def name(self) -> str:
        """The label."""
        return self._core.name

    @property
    def space(self) -> str:
        """Where the memory is: ``system``, ``shared``, ``cuda`` or ``cuda_host``."""
        return self._core.space.name

    @property
    def device(self) -> Device | None:
        """The device that works in its memory, for ``cuda`` and ``cuda_host``; else None."""
        return self._core.space.device

    @property
    def capacity(self) -> int:
        """Frames (bytes, without a dtype) that it holds; 0 before it was sized."""
        return self._core.control[w.CAPACITY]

    @property
    def contiguous(self) -> int:
        """The largest span, in frames."""
        return self._core.current_memory().contiguous

    @property
    def nringlet(self) -> int:
        """Parallel lanes of a ring of bytes."""
        return self._core.current_memory().nringlet

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one frame."""
        return self._core.frame[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame."""
        return self._core.frame[1]

    @property
    def planes(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Side arrays that go along with the frames of a ring of events; by name, dtype and shape of a row."""
        if not (self._core.is_typed and self._core.has_memory):
            return {}
        planes = self._core.current_memory().planes
        return {name: (plane.layout_dtype, plane.layout_shape) for name, plane in planes.items() if is_users(name)}

    @property
    def is_typed(self) -> bool:
        """Whether it holds frames of a dtype, and not bytes in sequences."""
        return self._core.is_typed

    @property
    def closed(self) -> bool:
        """Whether this process has closed it."""
        return self._core.is_closed

    # -------------------------------------------------------------------------------- its memory

    def resize(
        self, contiguous: int, total: int | None = None, nringlet: int = 1, *, timeout: float | None = None
    ) -> None:
        """Give the ring memory, or more of it; contents are kept, readers and writers go on.

        Parameters
        ----------
        contiguous
            The largest span that anyone will ask for, in frames (bytes, without a dtype).
        total
            The capacity; four times ``contiguous`` by default. Exactly so many frames are held.
        nringlet
            Parallel lanes of a ring of bytes: views become ``(nringlet, n)``.
        timeout
            Seconds to wait for open spans of others; None waits for ever.

        Notes
        -----
        A ring only grows: several users may each ask for what they need, and what is asked for last does
        not take anything away from the others.

        Raises
        ------
        SpanError
            When this thread itself holds a span of this ring.
        WaitTimeoutError
            When others did not finish theirs in time; the message names them.
        """
        self._core.check_open()
        span = _count(contiguous, "contiguous")
        wanted = 4 * span if total is None else _count(total, "total")
        lanes = _count(nringlet, "nringlet")
        if self._core.has_memory:
            memory = self._core.current_memory()
            span, wanted = max(span, memory.contiguous), max(wanted, memory.capacity)
            lanes = max(lanes, memory.nringlet)
            if (span, wanted, lanes) == (memory.contiguous, memory.capacity, memory.nringlet):
                return
        self._core.resize(span, max(wanted, span), lanes, timeout=timeout)

    # ------------------------------------------------------------------------- sequences of frames

    def begin_writing(self) -> RingWriter:
        """Become the only writer, to write sequences; a context manager.

        Raises
        ------
        BusyError
            When somebody writes already; names them.
        """
        self._core.check_open()
        return RingWriter(self._core)

    def read(self, whence: str | int = "earliest", guarantee: bool = True, *, copy: bool = True) -> SequenceReader:
        """Read sequence after sequence; iterate over the result.

        Parameters
        ----------
        whence
            ``"earliest"`` in the ring, ``"latest"``, or a time tag: the last sequence that does not begin
            after it.
        guarantee
            True: writers wait for this reader, and it loses nothing that was in the ring when it began.
            False: they do not, and spans tell what was skipped and overwritten.
        copy
            Without a guarantee: spans hold checked copies. False: views of the ring, whose
            ``nframe_overwritten`` must be looked at after use.
        """
        self._core.check_open()
        return SequenceReader(self._core, guarantee=guarantee, whence=whence, copy=copy)

    def open_sequence(self, name: str | bytes, guarantee: bool = True) -> ReadSequence:
        """The newest sequence with a name.

        Raises
        ------
        NotFoundError
            When there is none in the ring; lists those there are.
        """
        self._core.check_open()
        wanted = name.decode() if isinstance(name, bytes) else name
        setups = list(sequence_table.snapshots(self._core.control))
        found = [setup for setup in setups if setup.name == wanted]
        if not found:
            raise NotFoundError(
                f"no sequence {wanted!r} in ring {self.name!r}; there are: {[s.name for s in setups] or 'none'}"
            )
        return self._open(found[-1].number, guarantee)

    def open_sequence_at(self, time_tag: int, guarantee: bool = True) -> ReadSequence:
        """The last sequence that does not begin after a time tag.

        Raises
        ------
        NotFoundError
            When all begin later.
        """
        reader = self.read(int(time_tag), guarantee)
        return _opened(reader, reader._next_number)

    def open_earliest_sequence(self, guarantee: bool = True) -> ReadSequence:
        """The oldest sequence in the ring; waits for the first."""
        return _first(self.read("earliest", guarantee), self)

    def open_latest_sequence(self, guarantee: bool = True) -> ReadSequence:
        """The newest sequence in the ring; waits for the first."""
        return _first(self.read("latest", guarantee), self)

    def _open(self, number: int, guarantee: bool) -> ReadSequence:
        reader = self.read("earliest", guarantee)
        return _opened(reader, number)

    # ------------------------------------------------------------------------------------- events

    def writer(self, label: str = "") -> EventWriter:
        """A writer of events; a context manager. Each thread makes its own."""
        self._core.check_open()
        return EventWriter(self._core, label)

    def group(self, name: str) -> Group:
        """Declare a reader group: writers wait for it from now on, whether or not anyone reads yet."""
        self._core.check_open()
        if not name:
            raise LayoutError("a declared group needs a name")
        return Group(self._core, name)

    def reader(self, group: str | None = None, label: str = "") -> EventReader:
        """A reader of events: a member of a group, or with no name given a group of its own.

        A group that was not declared begins with its first reader, at the oldest frame that it can still
        protect (``reader.missed`` frames were gone before), and ends with its last.
        """
        self._core.check_open()
        return EventReader(self._core, group, label)

    def observer(self, *, copy: bool = True, latest: bool = False, label: str = "") -> Observer:
        """An observer of events, which never holds anyone back; see :class:`labdaq.ring.Observer`."""
        self._core.check_open()
        return Observer(self._core, copy=copy, latest=latest, label=label)

    def end(self) -> None:
        """Nothing more will be written: readers end after the last frame. A new writer begins again."""
        self._core.check_open()
        self._core.end()

    def reopen(self) -> None:
        """Take an `end` back before there is a writer: readers wait for one again."""
        self._core.check_open()
        self._core.end(ended=False)

    # -------------------------------------------------------------------------------- statistics

    def recover(self) -> int:
        """Settle now what users left whose processes are gone; how many there were.

        Who waits in a ring does the same several times a second: this is for those who cannot wait for that. What
        a reader had claimed is delivered again, what a writer had claimed is voided.
        """
        self._core.check_open()
        return self._core.recover()

    def statistics(self) -> RingStatistics:
        """What the ring and its users are doing; nobody is stopped."""
        self._core.check_open()
        self._core.look_after()
        return ring_statistics(self._core.control, self.name, self.space, self._core.frame_nbytes)

    def __repr__(self) -> str:
        if self.closed:
            return f"<ring {self.name!r}, closed>"
        frame = f"{self.dtype} {self.shape}" if self._core.is_typed else "bytes"
        return f"<ring {self.name!r} of {self.capacity} x {frame} in {self.space} memory>"

    def _repr_html_(self) -> str:
        return repr(self) if self.closed else picture.html(self.statistics())

    # -------------------------------------------------------------------------------------- life

    def close(self) -> None:
        """Give the ring up in this process. The last process to do so removes the memory.

        Arrays that still show ring memory stay valid; readers and writers of this process get ClosedError.
        """
        if not self.closed:
            self._core.close()
            # readers and writers may keep the core for a while; the ring itself holds no memory any more
            self._core = cast(RingCore, ClosedCore(self.name))
        if _named.get(self.name) is self:
            del _named[self.name]

    def __enter__(self) -> "Ring":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def statistics_of(participant: Participant) -> ParticipantStatistics:
    """The counters of one reader, writer or observer."""
    control = participant._core.control
    newest = end_of_claims(control.writers)
    return participant_statistics(control, participant._place, newest)


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise LayoutError(f"{what}={value!r}: a ring needs a whole number of at least 1")
    return int(value)


def _replace_idle(name: str) -> None:
    """Close a ring of this process that bears the same name, if nobody uses it."""
    old = _named.get(name)
    if old is None or old.closed:
        return
    users = [p for p in places(old._core.control) if p[w.P_ROLE] not in _ATTACHED_ONLY and not p.is_lost]
    if users:
        who = ", ".join(place.label for place in users)
        raise BusyError(f"ring {name!r} is in use by {who}: close them, or choose another name")
    old.close()


def _opened(reader: SequenceReader, number: int) -> ReadSequence:
    """A sequence with a reader of its own, which does not stay if the sequence has gone meanwhile."""
    setup = sequence_table.find(reader._core.control, number)
    if setup is None:
        reader.close()
        raise NotFoundError(f"sequence {number} has left ring {reader._core.name!r}")
    return ReadSequence(reader, setup)


def _first(reader: SequenceReader, ring: Ring) -> ReadSequence:
    sequence = reader.next_sequence()
    if sequence is None:
        reader.close()
        raise NotFoundError(f"ring {ring.name!r} has ended and holds no sequence")
    return sequence
