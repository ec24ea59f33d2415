"""Reading, writing and observing a buffer, each in a ``with`` block that gives metadata and data.

Metadata have shape ``(1,)`` and the fields ``counter``, ``timestamp`` [s, UTC] and ``deadtime`` (a fraction).
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_access import Reader, Writer
from labdaq.compat.mimocorb.buffer_observer import Observer
from labdaq.compat.mimocorb.flags import DEADTIME_PPB, DISCARDED, HELD, PAUSED, WRITERS_ACTIVE, Flags
from labdaq.compat.mimocorb.metadata import METADATA, UNSET
from labdaq.errors import ClosedError

__all__ = ["BufferObserver", "BufferReader", "BufferWriter", "mimoBuffer"]

_LOOK_EVERY_S = 0.01

Array = npt.NDArray[Any]
Slot = list[Any]  # metadata and data, or None and None


class mimoBuffer:  # noqa: N801
    """What there is to know of a buffer.

    Parameters
    ----------
    name
        Its name.
    setup_dict
        From :class:`labdaq.compat.mimocorb.mimo_buffer.NewBuffer`.

    Attributes
    ----------
    name, slot_count, data_length, data_dtype
        As in the suite.
    data_example, metadata_example : ndarray
        Zeros, as an event has them.
    """

    metadata_dtype = np.dtype(METADATA)
    metadata_length = 1

    def __init__(self, name: str, setup_dict: dict[str, Any]) -> None:
        self.name = name
        self.slot_count: int = setup_dict["number_of_slots"]
        self.data_length: int = setup_dict["values_per_slot"]
        self.data_dtype = np.dtype(setup_dict["dtype"])
        self.data_example: Array = np.zeros(self.data_length, self.data_dtype)
        self.metadata_example: Array = np.zeros(self.metadata_length, self.metadata_dtype)
        self._ring, self._flags = setup_dict["ring"], setup_dict["flags"]
        self._last = (time.monotonic(), 0, 0)

    def get_stats(self) -> dict[str, Any]:
        """Counts of events, rate [1/s] and mean dead time since the last call, and the state."""
        now, seen, dead_ppb = time.monotonic(), self._ring.statistics(), self._flags[DEADTIME_PPB]
        then, before, dead_before = self._last
        events = seen.frames_written
        self._last = (now, events, dead_ppb)
        return {
            "event_count": events,
            "filled_slots": seen.fill,
            "empty_slots": 1.0 - seen.fill,
            "flush_event_received": not self._flags[WRITERS_ACTIVE],
            "rate": (events - before) / max(now - then, 1e-9),
            "average_deadtime": (dead_ppb - dead_before) / 1e9 / max(1, events - before),
            "paused_count": self._flags[DISCARDED],
            "paused": bool(self._flags[PAUSED]),
        }


class _IsShutdown:
    """Whether a buffer takes no more events, as its ``value``."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self.is_done = False
        """Whether this worker has said so of itself."""

    @property
    def value(self) -> bool:
        return self.is_done or not self._flags[WRITERS_ACTIVE]


class _Interface:
    """What readers, writers and observers have in common."""

    def __init__(self, name: str, setup_dict: dict[str, Any]) -> None:
        self.buffer = mimoBuffer(name, setup_dict)
        self.name, self.slot_count = name, self.buffer.slot_count
        self.data_example, self.metadata_example = self.buffer.data_example, self.buffer.metadata_example
        self.get_stats = self.buffer.get_stats
        self._flags: Flags = setup_dict["flags"]
        self.is_shutdown = _IsShutdown(self._flags)

    def shutdown_buffer(self) -> None:
        """Let the buffer take no more events; what is in it can be read."""
        self._flags[WRITERS_ACTIVE] = 0


class BufferReader(_Interface):
    """Reads events; all who read a buffer share its events, and each event is read once.

    ``with reader as (metadata, data):`` gives copies of the next event, which are yours, or ``(None, None)`` when
    no more will come. The event counts as read at the end of the block. After an error it goes to another worker.

    Parameters
    ----------
    name
        Of the buffer.
    setup_dict
        From ``NewBuffer.new_reader_group()``.
    """

    def __init__(self, name: str, setup_dict: dict[str, Any]) -> None:
        super().__init__(name, setup_dict)
        self._reader = Reader(setup_dict)

    def __enter__(self) -> Slot:
        try:
            data = self._reader.get()
        except SystemExit:
            return [None, None]
        return [np.array([tuple(self._reader.get_metadata())], METADATA), data.copy()]

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None or kind is GeneratorExit:
            self._reader._done()

    def leave(self, *exception: object) -> None:
        """Read no more; after an error the event at hand goes to another worker."""
        self._reader.__exit__(*exception)


class BufferWriter(_Interface):
    """Writes events.

    ``with writer as (metadata, data):`` gives arrays to be filled, zeros at first; the event is handed over at the
    end of the block, and after an error it is not. It waits while the buffer is full. While the buffer is paused,
    what is written is discarded, and counted.

    Parameters
    ----------
    name
        Of the buffer.
    setup_dict
        From ``NewBuffer.new_writer()``.
    shut
        Is told the name when this one will write no more.

    Raises
    ------
    SystemExit
        At the beginning of the block, when the buffer takes no more events.
    ClosedError
        There, too, when this worker has shut it down.
    """

    def __init__(self, name: str, setup_dict: dict[str, Any], shut: Callable[[str], None] = lambda _name: None) -> None:
        super().__init__(name, setup_dict)
        self._writer = Writer(setup_dict)
        self._shut = shut
        self._is_discarding = False
        self._metadata: Array = self.metadata_example.copy()
        self._count = 0

    def await_start(self) -> None:
        """Wait until all workers of the suite are ready."""
        while self._flags[HELD] and not self.is_shutdown.value:
            time.sleep(_LOOK_EVERY_S)

    def __enter__(self) -> Slot:
        if self.is_shutdown.is_done:
            raise ClosedError(f"this worker has shut the buffer {self.name!r} down, and cannot write to it any more")
        self.await_start()
        self._metadata = np.array([(self._count, UNSET, UNSET)], METADATA)
        self._is_discarding = bool(self._flags[PAUSED] and self._flags[WRITERS_ACTIVE])
        if self._is_discarding:
            return [self._metadata, self.data_example.copy()]
        data = self._writer.get_new_buffer()
        data[...] = np.zeros((), data.dtype)
        return [self._metadata, data]

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if self._is_discarding:
            self.discard()
        elif kind is not None:
            self._writer.give_up()
        else:
            self._writer.set_metadata(*self._metadata[0].item())
            self._writer.process_buffer()
            self._count += 1

    def discard(self) -> None:
        """Count an event that nobody wanted."""
        self._writer.discard()

    def shutdown_buffer(self) -> None:
        """Write no more. The buffer ends when all who write it have said so, or have ended."""
        if not self.is_shutdown.is_done:
            self.is_shutdown.is_done = True
            self._writer.close()
            self._shut(self.name)

    send_flush_event = shutdown_buffer


class BufferObserver(_Interface):
    """Looks at events, and takes nothing away from those who read them.

    ``with observer as (metadata, data):`` waits for an event that it has not given yet, and gives copies of the
    newest; ``(None, None)`` when no more will come.

    Parameters
    ----------
    name
        Of the buffer.
    setup_dict
        From ``NewBuffer.new_observer()``.
    """

    def __init__(self, name: str, setup_dict: dict[str, Any]) -> None:
        super().__init__(name, setup_dict)
        self._observer = Observer(setup_dict)

    def __enter__(self) -> Slot:
        event = self._observer.get()
        return [None, None] if event is None else [event[1], event[0]]

    def __exit__(self, *_exception: object) -> None:
        """Nothing has to be given back."""
