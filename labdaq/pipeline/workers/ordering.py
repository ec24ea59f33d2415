"""Events in the order of their counters, although several workers share the work before.

An event may be given on when no worker upstream can still come with an earlier one. Each ring upstream tells how
far its readers are: what lies before its group's frontier is done, and its records are written. So the earliest
counter that may still come is that of the oldest unfinished event upstream; it is looked at first, then one reads
on to what was the end of the ring at that moment, and then all that is earlier goes on, sorted.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.plan import Upstream
from labdaq.pipeline.workers.sinking import Batch, KeepingWorker
from labdaq.pipeline.workers.trace import TRACE, part_of
from labdaq.pipeline.workers.worker import TooManyErrorsError
from labdaq.ring import groups
from labdaq.ring import words as w
from labdaq.ring.control import end_of_claims
from labdaq.ring.event_reading import EventReader

__all__ = ["EVERYTHING", "OrderedWorker", "Orderer", "earliest_to_come"]

EVERYTHING = 1 << 62
"""A counter that no event has."""


def earliest_to_come(upstream: Sequence[Upstream]) -> int:
    """The least counter that may still come, as far as the rings upstream hold it now.

    Parameters
    ----------
    upstream
        From the source on.
    """
    return min((_least_unfinished(one) for one in upstream), default=EVERYTHING)


def _least_unfinished(upstream: Upstream) -> int:
    """The least counter of the events that a group has not finished, or, when there are none, of what comes next."""
    control = upstream.ring._core.control
    group = groups.find(control, upstream.group)
    if group is None:
        return EVERYTHING
    plane = upstream.ring._core.current_memory().planes["counter"]
    while True:
        written = control.at(control.writers + w.FRONTIER)
        frontier = control.at(group + w.FRONTIER)
        if upstream.is_first:
            least = _at(plane, frontier) if frontier < written else _at(plane, written - 1) + 1
        elif end_of_claims(control.writers) > written:
            return 0  # records that were written stay hidden behind one that is being written
        else:
            least = min((_at(plane, frame) for frame in range(frontier, written)), default=EVERYTHING)
        if end_of_claims(control.writers) - plane.slots < min(frontier, written - 1) + 1:
            return least  # else what was looked at may have been written over


def _at(plane: Any, frame: int) -> int:
    return int(plane.array[frame % plane.slots]) if frame >= 0 else -1


class Orderer:
    """Holds records back until nothing earlier can come.

    Examples
    --------
    >>> orderer = Orderer()
    >>> orderer.add([5, 3], [0, 0], ["five", "three"])
    >>> orderer.before(5), orderer.before(EVERYTHING)
    (['three'], ['five'])
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Any]] = []
        self._number = 0

    def add(self, counters: Iterable[int], traces: Iterable[int], records: Iterable[Any]) -> None:
        """Take records over; they must be the caller's own."""
        for counter, number, record in zip(counters, traces, records, strict=True):
            heapq.heappush(self._heap, (int(counter), int(part_of(int(number))), self._number, record))
            self._number += 1

    def before(self, counter: int) -> list[Any]:
        """Those whose counter is less, in order; they are given away."""
        given = []
        while self._heap and self._heap[0][0] < counter:
            given.append(heapq.heappop(self._heap)[3])
        return given

    def __len__(self) -> int:
        return len(self._heap)


class OrderedWorker(KeepingWorker):
    """A sink that gets its events in the order of their counters."""

    _earliest = _until = 0

    def keep_all(self, reader: EventReader, sink: Any) -> None:
        """See :class:`KeepingWorker`."""
        self._orderer = Orderer()
        super().keep_all(reader, sink)
        self._give(sink, EVERYTHING)

    def write(self, sink: Any, batch: Batch) -> None:  # noqa: ARG002 - it gets them later
        """Hold a batch back; it is copied."""
        data, planes = np.array(batch.data), {name: np.array(plane) for name, plane in batch.planes.items()}
        records = [(data[i], {name: plane[i] for name, plane in planes.items()}) for i in range(len(data))]
        self._orderer.add(planes["counter"], planes[TRACE], records)

    def between(self, reader: EventReader, sink: Any) -> None:
        """Give on what nothing can come before, and look anew how far that is."""
        if reader._next >= self._until:
            self._give(sink, self._earliest)
            self._earliest = earliest_to_come(self.plan.upstream)
            control = self.plan.reads[0]._core.control
            self._until = end_of_claims(control.writers)

    def _give(self, sink: Any, before: int) -> None:
        events = self._orderer.before(before)
        if not events:
            return
        try:
            super().write(sink, _OwnBatch(events))
        except TooManyErrorsError:
            # They were released when they were copied: nobody else will come for them.
            self.row.count(b.QUARANTINED, len(events) + len(self._orderer))
            raise
        finally:
            self.row.settle()


class _OwnBatch:
    """Events that were copied, as a batch."""

    def __init__(self, events: Sequence[tuple[Any, dict[str, Any]]]) -> None:
        self.data = np.stack([data for data, _ in events])
        names = events[0][1]
        self.planes = {name: np.array([planes[name] for _, planes in events]) for name in names}

    def __len__(self) -> int:
        return len(self.data)
