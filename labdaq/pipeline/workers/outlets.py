"""How the records that a worker makes come into its output ring."""

from typing import Any

from labdaq.pipeline.workers.board import W_WRITTEN, Row
from labdaq.pipeline.workers.trace import TRACE, descended, is_redelivered
from labdaq.ring import Ring
from labdaq.ring.event_writing import EventWriter

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
        self._planes = {TRACE: descended(0, origin, 0, False)}  # loaded now, not with the first event

    def put(self, record: Any, event: Any, part: int, *, again: bool) -> None:
        """Write one record; waits for room.

        Raises
        ------
        LayoutError
            It does not fit into the ring.
        ClosedError
            The run was aborted.
        """
        self._planes[TRACE] = descended(int(event.plane(TRACE)), self._origin, part, again)
        self.writer.put(record, like=event, planes=self._planes)
        self._row.words[self._row.base + W_WRITTEN] += 1

    def put_all(self, records: list[Any], event: Any, *, again: bool) -> None:
        """Write the records that one event gave, numbered as parts."""
        for part, record in enumerate(records):
            self.put(record, event, part, again=again)


def was_delivered_before(event: Any) -> bool:
    """Whether the work for an event may have been done before, by one who died."""
    return event.redelivered or bool(is_redelivered(int(event.plane(TRACE))))
