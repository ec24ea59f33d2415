"""How the records that a worker makes come into its output ring."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labdaq.native.cuda import is_on_device
from labdaq.pipeline.workers.board import W_WRITTEN, Row
from labdaq.pipeline.workers.trace import TRACE, descended, is_redelivered
from labdaq.ring import Ring
from labdaq.ring.event_writing import EventWriter, WriteEvent

__all__ = ["Outlet"]


class Outlet:
    """The way of one worker into one of its output rings.

    Each record carries counter, time stamp and dead time of the event it was made from, and its trace.
    """

    def __init__(self, ring: Ring, writer: EventWriter, row: Row, origin: int) -> None:
        self.ring = ring
        self.writer = writer
        self._row = row
        self._origin = origin
        self._device = ring.device
        self.planes = {TRACE: descended(0, origin, 0, False)}  # loaded now, not with the first event

    def put(self, record: Any, event: Any, part: int, *, again: bool) -> None:
        """Write one record; waits for room.

        Raises
        ------
        LayoutError
            It does not fit into the ring.
        ClosedError
            The run was aborted.
        """
        self.planes[TRACE] = descended(int(event.plane(TRACE)), self._origin, part, again)
        if self._device is None and is_on_device(record):
            record = record.get()  # the ring is in memory of the processor
        self.writer.put(record, like=event, planes=self.planes)
        self._row.words[self._row.base + W_WRITTEN] += 1

    @contextmanager
    def reserved(self, event: Any) -> Iterator[WriteEvent]:
        """Room for one record that is made in the ring itself, of an event; waits for it."""
        with self.writer.reserve() as record:
            record.copy_metadata(event)
            record.set_plane(TRACE, descended(int(event.plane(TRACE)), self._origin, 0, was_delivered_before(event)))
            yield record
        self._row.words[self._row.base + W_WRITTEN] += 1

    def put_all(self, records: list[Any], event: Any, *, again: bool) -> None:
        """Write the records that one event gave, numbered as parts."""
        for part, record in enumerate(records):
            self.put(record, event, part, again=again)


def was_delivered_before(event: Any) -> bool:
    """Whether the work for an event may have been done before, by one who died."""
    return event.redelivered or bool(is_redelivered(int(event.plane(TRACE))))
