"""Reading events: in groups that share the work, or as an observer that disturbs nobody."""

import os
from collections.abc import Generator
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import BusyError, ClosedError, EndOfDataError, LabdaqError, LayoutError
from labdaq.ring import groups, sequence_table
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire
from labdaq.ring.layout import FLAGS_PLANE
from labdaq.ring.memory import Memory
from labdaq.ring.participants import SLICE_NS, Participant
from labdaq.ring.reading_steps import release
from labdaq.ring.spans import NATIVE, Array, Span, whole_frames

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore

__all__ = ["Event", "EventReader", "EventsRead", "Group"]

_IN_USE, _START, _END = w.IN_USE >> 3, w.START >> 3, w.END >> 3
_TICKET, _ADOPTED = w.TICKET >> 3, w.ADOPTED >> 3
_OVER_MESSAGE = "this event is over: its frame belongs to the ring again; copy what you want to keep"


class Event:
    """One event being read.

    Attributes
    ----------
    index : int
        The ring's number of this frame. A gap is a frame whose writer gave up or died.
    redelivered : bool
        Another member of the group had it and did not finish: its work may have been done before.
    """

    __slots__ = ("_is_open", "_memory", "index", "redelivered")

    def __init__(self, memory: Memory, index: int, redelivered: bool = False) -> None:
        self._memory = memory
        self._is_open = True
        self.index = index
        self.redelivered = redelivered

    @property
    def data(self) -> Array:
        """The frame, read-only, in ring memory: a view that is valid until the event is released.

        Raises
        ------
        ClosedError
            After the release.
        """
        if not self._is_open:
            raise ClosedError(_OVER_MESSAGE)
        plane = self._memory.data
        view: Array = plane.frozen[self.index % plane.slots, ...]
        return view

    def plane(self, name: str) -> Any:
        """The value, or row, of a plane for this event."""
        if not self._is_open:
            raise ClosedError(_OVER_MESSAGE)
        plane = self._memory.planes[name]
        return plane.frozen[self.index % plane.slots]

    @property
    def counter(self) -> int:
        """Number given by the first producer and copied down the chain."""
        return int(self.plane("counter"))

    @property
    def timestamp_ns(self) -> int:
        """When it happened, UTC."""
        return int(self.plane("timestamp_ns"))

    @property
    def deadtime(self) -> float:
        """Fraction of time, 0 to 1, in which the producer could not have seen another."""
        return float(self.plane("deadtime"))

    def __repr__(self) -> str:
        return f"<event {self.index}{'' if self._is_open else ', released'}>"


class EventsRead(Span):
    """A batch of events being read."""

    __slots__ = ("_memory", "redelivered")
    _writable = False
    _form = NATIVE

    def __init__(self, memory: Memory, start: int, end: int, *, redelivered: bool = False) -> None:
        self._memory = memory
        self._start = start
        self._end = end
        self._is_open = True
        self._staged = None
        self.redelivered = redelivered


class Group:
    """A declared reader group: it holds writers from now on, whether or not anyone reads yet."""

    def __init__(self, core: "RingCore", name: str) -> None:
        self.name = groups.checked_name(name)
        self._core = core
        with core.control.locked():
            known = groups.find(core.control, name)
            if known is None:
                known = groups.join(core.control, name, is_declared=True)
            core.control.put(known + w.IS_DECLARED, 1)

    def reader(self, label: str = "") -> "EventReader":
        """A member of the group."""
        self._core.check_open()
        return EventReader(self._core, self.name, label)

    def close(self) -> None:
        """Writers wait for this group no longer; it ends now, or with its last member."""
        control = self._core.control
        with control.locked():
            group = groups.find(control, self.name)
            if group is not None:
                control.put(group + w.IS_DECLARED, 0)
                if groups.members(control, group) == 0:
                    groups.dissolve(control, group)

    def __repr__(self) -> str:
        return f"<group {self.name!r} of ring {self._core.name!r}>"


class EventReader(Participant):
    """A member of a reader group, from ``ring.reader()``; iterates over events, and is a context manager.

    It closes when a loop over it ends, by ``break`` too; the event at hand counts as read. When an exception
    leaves its ``with`` block, an event from :meth:`read` that was not released goes back to the group, to be
    delivered again.

    Attributes
    ----------
    ahead : int
        How many events, at most, it claims at once for :meth:`read` and iteration; 1 at first. More make reading
        quicker, and fewer of them are left to the other members meanwhile. They are released together.
    """

    _role = w.READER

    def __init__(self, core: "RingCore", group: str | None, label: str = "") -> None:
        self._closed = True
        if not core.is_typed:
            raise LayoutError(f"ring {core.name!r} holds bytes, which are read in sequences: use read()")
        control = core.control
        if group is not None:
            groups.checked_name(group)
        with control.locked():
            sequencer = groups.find(control, group) if group else None
            if sequencer is None:
                sequencer = groups.join(control, group or "", is_declared=False)
            try:
                super().__init__(core, sequencer=sequencer, label=label)
            finally:  # a group that its first reader could not join would hold writers for ever
                groups.dissolve_empty(control)
        self._closed = False
        self.group = group
        self.missed = control.at(sequencer + w.JOINED_AT) - control[w.FIRST_FRAME]
        """Frames that were gone from the ring before the group began."""
        self._place[w.P_MISSED] = self.missed
        self._current: Event | EventsRead | None = None
        self._claim_start = self._claim_end = self._next = 0
        self._is_claimed = self._is_adopted = self._is_releasing = False
        self._wanted = 1
        self.ahead = 1
        self._thread = get_ident()

    @property
    def claim(self) -> int:
        """Index of the first event of the claim at hand; -1 for none."""
        return self._claim_start if self._is_claimed else -1

    @property
    def is_claim_over(self) -> bool:
        """Whether asking for the next event will release the claim at hand, if there is any."""
        return self._next >= self._claim_end

    def _after_fork(self) -> None:
        super()._after_fork()
        self._current = None
        self._claim_start = self._claim_end = self._next = 0
        self._is_claimed = self._is_adopted = self._is_releasing = False

    def _remap(self) -> None:
        super()._remap()
        flags = self._memory.planes.get(FLAGS_PLANE)
        self._flags = flags.array.data if flags is not None else memoryview(bytes(1))
        self._flag_slots = flags.slots if flags is not None else 1

    # ------------------------------------------------------------------------------ claim, release

    def _claim(self, least: int, most: int, timeout: float | None) -> bool:
        """Claim the next frames of the group; False at the end of the ring."""
        handle = self._handle
        try:
            start = acquire(self._address, least, most, SLICE_NS if timeout is None else 0)
            if start < 0:
                self._wanted = least
                start = self._wait(acquire, (least, most), timeout, f"reading {least} events")
                if start < 0:
                    return False
            self._is_claimed = True
            self._is_adopted = handle[_ADOPTED] == handle[_TICKET]
            self._claim_start = self._next = start
            self._claim_end = handle[_END]
            handle[_IN_USE] = 0
        except LabdaqError:
            raise
        except BaseException:
            self._keep_claim()
            raise
        return True

    def _keep_claim(self) -> None:
        """After an interrupt which came when the step had just succeeded: what it claimed is read next."""
        handle = self._handle
        if handle[_IN_USE]:
            self._is_claimed = True
            self._is_adopted = handle[_ADOPTED] == handle[_TICKET]
            self._claim_start = self._next = handle[_START]
            self._claim_end = handle[_END]
            handle[_IN_USE] = 0

    def _finish(self) -> None:
        """Release the claim that was delivered whole."""
        was_interrupted, self._is_releasing = self._is_releasing, True
        if self._memory.uses is not None:
            self._memory.uses.end(self._claim_start, self._claim_end)
        done = release(self._address, self._claim_start)
        self._is_claimed = self._is_releasing = False
        if done < 0 and not was_interrupted:  # an interrupt may come between the release and the note of it
            raise ClosedError("these events were taken away: the reader was closed, or its process thought dead")

    def release(self) -> None:
        """Give the event or batch at hand back to the ring; done by itself when the next is asked for."""
        if self._current is not None:
            self._current._is_open = False
            self._current = None
        if self._is_claimed and self._next >= self._claim_end:
            self._finish()

    def read(self, timeout: float | None = None) -> Event:
        """The next event; the one before is released.

        Raises
        ------
        WaitTimeoutError
            When none came in time.
        EndOfDataError
            When the ring has ended and everything was read.
        """
        event = self._next_event(timeout)
        if event is None:
            raise EndOfDataError(f"ring {self._core.name!r} has ended and everything was read")
        return event

    def _check_thread(self) -> None:
        """Another thread may take the reader over between two events, not while one is at hand."""
        if self._current is not None and not self._closed:
            raise BusyError(
                f"an event of this reader (group {self.group!r}) is at hand in another thread: give each thread its own"
            )
        self._thread = get_ident()
        self._note_thread()

    def _next_event(self, timeout: float | None) -> Event | None:
        if get_ident() != self._thread:
            self._check_thread()
        if self._current is not None:
            self._current._is_open = False
        while True:
            while self._next < self._claim_end:
                frame = self._next
                self._next = frame + 1
                if not self._flags[frame % self._flag_slots]:
                    self._current = event = Event(self._memory, frame, self._is_adopted)
                    return event
            self._current = None
            if self._is_claimed:
                self._finish()
            if not self._claim(1, self.ahead, timeout):
                return None

    def __iter__(self) -> "Generator[Event, None, None]":
        try:
            while True:
                event = self._next_event(None)
                if event is None:
                    return
                yield event
        finally:
            self.release()
            self.close()

    def spans(self, n: int, least: int = 1, timeout: float | None = None) -> "Generator[EventsRead, None, None]":
        """Batches of up to ``n`` events, as many as are there, but no fewer than ``least``.

        Yields
        ------
        EventsRead
            ``data`` of shape ``(count, *shape)`` and ``planes``; released when the next is asked for.
            Fewer than ``least`` come at the end, before the border of a sequence, and around frames that
            were never filled.
        """
        try:
            while True:
                yield self.read_span(n, least, timeout)
        except EndOfDataError:
            return
        finally:
            self.release()
            self.close()

    def read_span(self, n: int, least: int = 1, timeout: float | None = None) -> EventsRead:
        """The next batch, as in `spans`; the one before is released.

        Raises
        ------
        WaitTimeoutError
            When too few came in time; they will be read next.
        EndOfDataError
            When the ring has ended.
        """
        most = whole_frames(n, 1, self._memory.contiguous, "spans", self._core.name)
        fewest = whole_frames(least, 1, most, "spans: least", self._core.name)
        batch = self._next_batch(fewest, most, timeout)
        if batch is None:
            raise EndOfDataError(f"ring {self._core.name!r} has ended")
        return batch

    def _next_batch(self, least: int, most: int, timeout: float | None) -> EventsRead | None:
        if get_ident() != self._thread:
            self._check_thread()
        if self._current is not None:
            self._current._is_open = False
        while True:
            while self._next < self._claim_end:
                start, end = self._filled_run()
                end = min(end, start + most)  # a claim taken over from another may be longer
                self._next = end
                if start < end:
                    self._current = batch = EventsRead(self._memory, start, end, redelivered=self._is_adopted)
                    return batch
            self._current = None
            if self._is_claimed:
                self._finish()
            if not self._claim(least, most, timeout):
                return None

    def _filled_run(self) -> tuple[int, int]:
        """The next frames of the claim that lie together and were filled."""
        flags = self._memory.planes[FLAGS_PLANE].parts(self._next, self._claim_end - self._next, writable=False)
        void = np.concatenate(flags) != 0 if len(flags) > 1 else flags[0] != 0
        if not void.any():
            return self._next, self._claim_end
        start = int(void.argmin()) if not void.all() else len(void)
        rest = void[start:]
        end = start + (int(rest.argmax()) if rest.any() else len(rest))
        return self._next + start, self._next + end

    # ------------------------------------------------------------------------------------ waiting

    def _reason(self) -> str:
        return "nothing was written"

    def _check_deadlock(self) -> None:
        self._core.check_deadlock(self._sequencer, self._wanted)

    def close(self) -> None:
        """Leave the group. The event at hand counts as read; what was claimed behind it goes to others."""
        if not self._closed and self._pid == os.getpid():
            self.release()
        super().close()

    def __exit__(self, kind: object, *_exception: object) -> None:
        if kind is not None and self._current is not None:
            self._current._is_open = False
            self._current = None
            self._next = self._claim_start  # not released by close(): the group gets it again
        self.close()

    def sequence_of(self, event: Event) -> "sequence_table.Setup | None":
        """The sequence which an event belongs to; None when it was written outside of any."""
        setups = [s for s in sequence_table.snapshots(self._core.control) if s.begin <= event.index]
        return setups[-1] if setups else None
