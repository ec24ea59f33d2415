"""Writing and reading a buffer, by the setup dictionary that the buffer gave for it."""

import contextlib
import time
from typing import Any

import numpy.typing as npt

from labdaq.compat.mimocorb.access import Access
from labdaq.compat.mimocorb.accounts import Place, claim_at
from labdaq.compat.mimocorb.flags import DEADTIME_PPB, DISCARDED, LIMIT
from labdaq.compat.mimocorb.metadata import UNSET, Metadata, nanoseconds, seconds
from labdaq.errors import ClosedError, LabdaqError
from labdaq.native.process import is_exiting
from labdaq.ring import EventReader, EventsRead, EventWriter, WriteEvent
from labdaq.ring import words as w
from labdaq.ring.control import end_of_claims
from labdaq.ring.sequencer import orphaned_frames

__all__ = ["Reader", "Writer"]

_NOTHING = Metadata(0, UNSET, UNSET)

Array = npt.NDArray[Any]


class Writer(Access):
    """One of the writers of a buffer.

    Parameters
    ----------
    setup_dict
        From ``NewBuffer.new_writer()``; any number of processes may share it.

    Notes
    -----
    An event is readable from its :meth:`process_buffer` on, which the next :meth:`get_new_buffer` calls by
    itself. One that is never handed over, because its process ends before, is seen by no reader.
    """

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        super().__init__(setup_dict)
        self._writer: EventWriter | None = None
        self._event: WriteEvent | None = None
        self._metadata = _NOTHING
        self._write_counter = 0
        self._asked_ns = 0

    def get_new_buffer(self) -> Array:
        """A free slot, to be filled; the one before is handed to the readers.

        Blocks while there is none. What is in it are old values.

        Raises
        ------
        SystemExit
            When the buffer takes no more events.
        """
        self.process_buffer()
        self._asked_ns = time.monotonic_ns()
        limit = self._flags[LIMIT]
        if limit and end_of_claims(self._ring._core.control.writers) >= limit:
            raise SystemExit
        event: WriteEvent = self._await(self._reserve)
        if 0 < limit <= event.index:  # another writer took the last one meanwhile
            event.void()
            raise SystemExit
        self._event = event
        self._account.passed()
        self._metadata = Metadata(self._write_counter, UNSET, UNSET)
        self._write_counter += 1
        return event.data

    def _reserve(self, timeout: float) -> Any:
        if self._writer is None:
            writer = self._ring.writer()
            if not self._active.is_set():  # joining has opened again what was ended meanwhile
                writer.close()
                self._ring.end()
                raise ClosedError("the buffer was shut down")
            self._writer = writer
        return self._writer.reserve(timeout=timeout)

    def set_metadata(self, counter: float, timestamp: float, deadtime: float) -> None:
        """Describe the event in the slot; without one, nothing happens.

        Parameters
        ----------
        counter
            Its number.
        timestamp
            When it happened, in seconds, UTC; -1 for the moment at which it is handed over.
        deadtime
            Fraction of time, 0 to 1, in which another event could not have been seen; -1 for unknown.
        """
        if self._event is not None:
            self._metadata = Metadata(int(counter), float(timestamp), float(deadtime))

    def process_buffer(self) -> None:
        """Hand the event in the slot to the readers; without one, nothing happens.

        Raises
        ------
        LayoutError
            For metadata that are not possible; nobody gets the event then.
        """
        event, self._event = self._event, None
        if event is None:
            return
        counter, timestamp, deadtime = self._metadata
        try:
            event.counter, event.deadtime = counter, deadtime
            event.timestamp_ns = None if timestamp == UNSET else nanoseconds(timestamp)
            event.commit()
        except LabdaqError:
            event.void()
            raise
        self._account.wrote(time.monotonic_ns() - self._asked_ns)
        if deadtime > 0:
            self._flags.add(DEADTIME_PPB, int(1e9 * min(deadtime, 1.0)))

    def give_up(self) -> None:
        """Take the event in the slot back: nobody will see it. Without one, nothing happens."""
        event, self._event = self._event, None
        if event is not None:
            event.void()

    def discard(self) -> None:
        """Count an event that came while nobody wanted it."""
        self._flags.add(DISCARDED, 1)
        self._account.discarded()

    def close(self) -> None:
        """Leave the buffer; an event that was not handed over is given up."""
        self._event = None
        if self._writer is not None:
            self._writer.close()


class Reader(Access):
    """A member of a reader group.

    Parameters
    ----------
    setup_dict
        From ``NewBuffer.new_reader_group()``. All readers with the same one share the events between them.
    """

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        super().__init__(setup_dict)
        self._place: Place = setup_dict["place"]
        self._reader: EventReader = self._ring.reader(setup_dict["group"])
        self._metadata = _NOTHING
        self._at_hand = 0

    def get(self) -> Array:
        """The next event, read-only, valid until the next call; the one before is done with.

        Blocks while there is none.

        Raises
        ------
        SystemExit
            When the buffer was shut down, or has ended and everything was read.
        """
        self._done()
        event = self._await(self._reader.read)
        self._take(1, event.redelivered)
        self._metadata = Metadata(event.counter, seconds(event.timestamp_ns), event.deadtime)
        return event.data

    def get_batch(self, n: int) -> EventsRead:
        """The next events, as many as are there, up to ``n``: what :meth:`get` does, several at once."""
        self._done()
        count = max(1, min(n, self._ring.contiguous))
        events = self._await(lambda timeout: self._reader.read_span(count, timeout=timeout))
        self._take(len(events), events.redelivered)
        return events

    def _take(self, count: int, redelivered: bool) -> None:
        self._at_hand = count
        self._account.took(self._claim, redelivered)

    @property
    def _claim(self) -> int:
        """The claim at hand, as it is noted; -1 for none."""
        return claim_at(self._place, self._reader.claim)

    def _done(self) -> None:
        self._release()
        self._metadata = _NOTHING

    def _release(self) -> None:
        """What is at hand was dealt with; another one may take the place of this process before it is noted."""
        claim = self._claim
        if self._at_hand:
            self._account.finished(claim, self._at_hand)
            self._at_hand = 0
        self._reader.release()
        if claim >= 0 > self._claim:
            self._account.released(claim)

    def get_metadata(self) -> tuple[int, float, float]:
        """Counter, time stamp [s] and dead time of the event at hand; ``(0, -1, -1)`` without one."""
        return self._metadata

    def data_available(self) -> bool:
        """Whether there is an event, so that :meth:`get` would not block."""
        group, control = self._reader._sequencer, self._ring._core.control
        if control.at(control.writers + w.FRONTIER) > end_of_claims(group):
            return True
        if orphaned_frames(group, w.CLAIM_SLOTS) > 0:
            return True
        if control[w.STATE] == w.ENDED:  # nobody writes over what is at hand, and shutdown() waits for it
            self._release()
        return False

    def close(self) -> None:
        """Leave the group; the event at hand counts as read."""
        self._release()
        self._reader.close()

    def __del__(self) -> None:
        # As in v1, what a forgotten reader had counts as read. This takes no lock, which is not allowed here.
        reader = getattr(self, "_reader", None)
        if reader is not None and not is_exiting():
            with contextlib.suppress(LabdaqError):
                self._release()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the group. After an error the event at hand goes to another member."""
        if exception[0] is None:
            self.close()
        else:
            self._at_hand = 0
            self._reader.__exit__(*exception)
