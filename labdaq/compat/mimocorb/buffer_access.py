"""Writing, reading and observing a buffer, by the setup dictionary that the buffer gave for it."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.flags import DEADTIME_PPB, LIMIT, Flags
from labdaq.compat.mimocorb.metadata import METADATA, UNSET, Metadata, nanoseconds, seconds
from labdaq.errors import ClosedError, EndOfDataError, LabdaqError, WaitTimeoutError
from labdaq.native.process import is_exiting
from labdaq.ring import EventReader, EventsRead, EventWriter, Ring, WriteEvent
from labdaq.ring import Observer as RingObserver
from labdaq.ring import words as w
from labdaq.ring.control import end_of_claims
from labdaq.ring.sequencer import orphaned_frames

__all__ = ["Observer", "Reader", "Writer"]

_SLICE_S = 0.1  # so long may somebody who waits overlook that a switch was thrown
_NOTHING = Metadata(0, UNSET, UNSET)

Array = npt.NDArray[Any]
Result = TypeVar("Result")
logger = logging.getLogger("labdaq.compat.mimocorb")


class _Access:
    """What writers, readers and observers have in common.

    Attributes
    ----------
    number_of_slots, values_per_slot : int
        Of the buffer.
    dtype
        As it was given to the buffer.
    """

    metadata_dtype = METADATA

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        self.number_of_slots: int = setup_dict["number_of_slots"]
        self.values_per_slot: int = setup_dict["values_per_slot"]
        self.dtype: Any = setup_dict["dtype"]
        self._ring: Ring = setup_dict["ring"]
        self._flags: Flags = setup_dict["flags"]
        self._active = setup_dict["active"]
        self._paused = setup_dict["paused"]
        if setup_dict["debug"]:
            logger.debug("%s of %s", type(self).__name__, self._ring)

    def _await(self, step: Callable[..., Result]) -> Result:
        """Repeat a step in short waits until it succeeds.

        Raises
        ------
        SystemExit
            When the buffer has come to its end.
        """
        while self._active.is_set():
            try:
                return step(timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            except (EndOfDataError, ClosedError):
                break
        raise SystemExit


class Writer(_Access):
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

    def get_new_buffer(self) -> Array:
        """A free slot, to be filled; the one before is handed to the readers.

        Blocks while there is none. What is in it are old values.

        Raises
        ------
        SystemExit
            When the buffer takes no more events.
        """
        self.process_buffer()
        limit = self._flags[LIMIT]
        if limit and end_of_claims(self._ring._core.control.writers) >= limit:
            raise SystemExit
        event: WriteEvent = self._await(self._reserve)
        if 0 < limit <= event.index:  # another writer took the last one meanwhile
            event.void()
            raise SystemExit
        self._event = event
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
        if deadtime > 0:
            self._flags.add(DEADTIME_PPB, int(1e9 * min(deadtime, 1.0)))

    def give_up(self) -> None:
        """Take the event in the slot back: nobody will see it. Without one, nothing happens."""
        event, self._event = self._event, None
        if event is not None:
            event.void()

    def close(self) -> None:
        """Leave the buffer; an event that was not handed over is given up."""
        self._event = None
        if self._writer is not None:
            self._writer.close()


class Reader(_Access):
    """A member of a reader group.

    Parameters
    ----------
    setup_dict
        From ``NewBuffer.new_reader_group()``. All readers with the same one share the events between them.
    """

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        super().__init__(setup_dict)
        self._reader: EventReader = self._ring.reader(setup_dict["group"])
        self._metadata = _NOTHING

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
        self._metadata = Metadata(event.counter, seconds(event.timestamp_ns), event.deadtime)
        return event.data

    def get_batch(self, n: int) -> EventsRead:
        """The next events, as many as are there, up to ``n``: what :meth:`get` does, several at once."""
        self._done()
        count = max(1, min(n, self._ring.contiguous))
        return self._await(lambda timeout: self._reader.read_span(count, timeout=timeout))

    def _done(self) -> None:
        self._reader.release()
        self._metadata = _NOTHING

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
            self._reader.release()
        return False

    def close(self) -> None:
        """Leave the group; the event at hand counts as read."""
        self._reader.close()

    def __del__(self) -> None:
        # As in v1, what a forgotten reader had counts as read. This takes no lock, which is not allowed here.
        reader = getattr(self, "_reader", None)
        if reader is not None and not is_exiting():
            with contextlib.suppress(LabdaqError):
                reader.release()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the group. After an error the event at hand goes to another member."""
        self._reader.__exit__(*exception)


class Observer(_Access):
    """Looks at events without disturbing anyone; there may be any number.

    Parameters
    ----------
    setup_dict
        From ``NewBuffer.new_observer()``.
    """

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        super().__init__(setup_dict)
        self._observer: RingObserver = self._ring.observer()

    def get(self) -> tuple[Array, Array] | None:
        """The newest event that was not seen yet; waits for it.

        Returns
        -------
        tuple or None
            Copies of the data, and of the metadata with shape ``(1,)``; None when no more will come. A copy is
            never torn.
        """
        try:
            event = self._await(self._observer.latest)
        except SystemExit:
            return None
        metadata = np.array([(event.counter, seconds(event.timestamp_ns), event.deadtime)], METADATA)
        return event.data, metadata

    @property
    def dataQ(self) -> "Observer":  # noqa: N802
        """What v1 has as a queue: this, which is read with the same ``get()``."""
        return self

    def close(self) -> None:
        """Stop looking."""
        self._observer.close()
