"""Observers: see what they can, never hold anyone back, and are told what they missed."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import await_frames
from labdaq.ring.control import end_of_claims
from labdaq.ring.event_reading import Event
from labdaq.ring.layout import DATA, FLAGS_PLANE
from labdaq.ring.memory import Memory
from labdaq.ring.observing_steps import count_torn, note_seen, oldest_safe
from labdaq.ring.participants import Participant
from labdaq.ring.spans import Array, whole_frames

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore

__all__ = ["ObservedEvent", "Observer"]


class ObservedEvent(Event):
    """An event as an observer sees it: a checked copy, which stays good for ever, or a view.

    Attributes
    ----------
    missed : int
        Frames that were gone, or passed over, before the observer began.
    skipped : int
        Frames before this one that the observer missed since the last event.
    """

    __slots__ = ("_copies", "_observer", "skipped")

    def __init__(self, observer: "Observer", memory: Memory, index: int, skipped: int) -> None:
        super().__init__(memory, index)
        self._observer = observer
        self._copies: dict[str, Any] = {}
        self.skipped = skipped

    @property
    def data(self) -> Array:
        """The frame: a copy that is yours, or with ``copy=False`` a view; see :meth:`valid`."""
        array: Array = self._copies[DATA] if self._copies else super().data
        return array

    def plane(self, name: str) -> Any:
        """The value, or row, of a plane for this event."""
        return self._copies[name] if self._copies else super().plane(name)

    def valid(self) -> bool:
        """Whether what was read from a view until now is good: the frame was not written over.

        Of a ring of a GPU: what this thread has put on its stream until now, which it waits for.
        """
        if self._copies:
            return True
        self._memory.finish_reading()
        same_memory = self._observer._core.control[w.GENERATION] == self._memory.generation
        return same_memory and count_torn(self._observer._address, self.index, self.index + 1) == 0

    def _keep(self) -> bool:
        """Copy everything, then check: False when it was written over meanwhile."""
        copies: dict[str, Any] = {}
        for name, plane in self._memory.planes.items():
            copies[name] = plane.kept(self.index)
        if not self.valid():
            return False
        self._copies = copies
        return True


class Observer(Participant):
    """Looks at a ring of events without disturbing anyone, from ``ring.observer()``; iterates.

    Parameters
    ----------
    copy
        Hand out checked copies (torn data is never given), or views whose :meth:`ObservedEvent.valid`
        must be asked after use.
    latest
        Begin with the newest event instead of the oldest.

    Attributes
    ----------
    missed : int
        Frames that were gone, or passed over, before the observer began.
    skipped : int
        Frames missed so far: written over, or passed over by :meth:`latest`, before they could be read.
    overwritten : int
        Frames that were written over while they were being copied. None of them was handed out.
    """

    _role = w.OBSERVER

    def __init__(self, core: "RingCore", *, copy: bool = True, latest: bool = False, label: str = "") -> None:
        self._closed = True
        if not core.is_typed:
            raise LayoutError(f"ring {core.name!r} holds bytes: observe it with read(guarantee=False)")
        super().__init__(core, label=label)
        self._copy = copy
        self.skipped = 0
        self.overwritten = 0
        self._pending = 0
        oldest = oldest_safe(core.control.address)
        newest = end_of_claims(core.control.writers)
        self._cursor = newest if latest else oldest
        self.missed = self._place[w.P_MISSED] = self._cursor - core.control[w.FIRST_FRAME]
        note_seen(self._address, self._cursor, 0, 0, 0)

    def read(self, timeout: float | None = None) -> ObservedEvent:
        """The next event that is still in the ring.

        Raises
        ------
        WaitTimeoutError
            When none came in time.
        EndOfDataError
            When the ring has ended.
        """
        event = self._next_event(timeout)
        if event is None:
            raise EndOfDataError(f"ring {self._core.name!r} has ended")
        return event

    def latest(self, timeout: float | None = None) -> ObservedEvent:
        """The newest event; those before it count as skipped."""
        self._skip_to(self._newest())
        return self.read(timeout)

    def _newest(self) -> int:
        """Index of the newest event that was not taken back, or the cursor where there is none behind it."""
        control = self._core.control
        if control[w.GENERATION] != self._memory.generation:
            self._remap()
        frame = control.at(control.writers + w.FRONTIER) - 1
        oldest = max(self._cursor, oldest_safe(control.address))
        while frame > oldest and self._is_void(frame):
            frame -= 1
        return max(frame, self._cursor)

    def __iter__(self) -> "Generator[ObservedEvent, None, None]":
        try:
            while True:
                event = self._next_event(None)
                if event is None:
                    return
                yield event
        finally:
            self.close()

    def _next_event(self, timeout: float | None) -> ObservedEvent | None:
        while True:
            found = await_frames(self._address, self._cursor, 1, 0)
            if found < 0 or self._closed:
                found = self._wait(await_frames, (self._cursor, 1), timeout, "observing an event")
                if found < 0:
                    return None
            if self._skip_to(oldest_safe(self._core.control.address)):
                continue  # behind what was lost, the next frame may not be there yet
            if self._core.control[w.GENERATION] != self._memory.generation:
                self._remap()
            event = ObservedEvent(self, self._memory, self._cursor, self._pending)
            if self._is_void(event.index):
                self._cursor += 1
                continue
            if self._copy and not event._keep():
                self._lose()
                continue
            self._cursor += 1
            self._pending = 0
            note_seen(self._address, self._cursor, 1, 0, 0)
            return event

    def _is_void(self, frame: int) -> bool:
        flags = self._memory.planes[FLAGS_PLANE]
        return bool(flags.array[frame % flags.slots]) and count_torn(self._address, frame, frame + 1) == 0

    def _skip_to(self, frame: int) -> bool:
        """Whether frames were missed."""
        missed = frame - self._cursor
        if missed <= 0:
            return False
        self._cursor = frame
        self._pending += missed
        self.skipped += missed
        note_seen(self._address, self._cursor, 0, missed, 0)
        return True

    def _lose(self) -> None:
        """A writer was at our heels: this frame is gone, and a lead of a quarter ring is needed."""
        self.overwritten += 1
        self._pending += 1
        self._cursor += 1
        note_seen(self._address, self._cursor, 0, 0, 1)
        control = self._core.control
        lead = oldest_safe(control.address) + self._memory.capacity // 4
        self._skip_to(min(lead, control.at(control.writers + w.FRONTIER)))

    def spans(self, n: int, timeout: float | None = None) -> "Generator[list[ObservedEvent], None, None]":
        """Lists of up to ``n`` events, as many as are there."""
        most = whole_frames(n, 1, self._memory.contiguous, "spans", self._core.name)
        try:
            while True:
                first = self._next_event(timeout)
                if first is None:
                    return
                batch = [first]
                while len(batch) < most and await_frames(self._address, self._cursor, 1, 0) > 0:
                    event = self._next_event(0)
                    if event is None:
                        break
                    batch.append(event)
                yield batch
        finally:
            self.close()

    def _reason(self) -> str:
        return "nothing was written"
