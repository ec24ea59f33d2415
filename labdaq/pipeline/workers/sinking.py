"""Sinks: what they read, they keep."""

from contextlib import ExitStack
from typing import Any

import numpy as np

from labdaq.errors import EndOfDataError, LabdaqError, WaitTimeoutError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers import repeats
from labdaq.pipeline.workers.filtering import ReadingWorker, strike_out
from labdaq.pipeline.workers.outlets import Outlet
from labdaq.pipeline.workers.repeats import unseen_records
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import TooManyErrorsError, Worker
from labdaq.ring.event_reading import Event, EventReader, EventsRead

__all__ = ["Batch", "CallingWorker", "KeepingWorker"]

_SLICE_S = 0.2
_BATCH_NBYTES = 1 << 22


class CallingWorker(ReadingWorker):
    """A sink that is a function of an event."""

    def chosen_work(self, outlets: list[Outlet]) -> Any:  # noqa: ARG002 - it has none
        """See :class:`ReadingWorker`."""
        function = self.plan.work

        def work(event: Event) -> int:
            function(event)
            return b.ACCEPTED

        return work


class Batch:
    """Events chosen from a batch; see :class:`labdaq.roles.EventBatch`."""

    def __init__(self, events: EventsRead, chosen: Any = None) -> None:
        self._events, self._chosen = events, chosen

    @property
    def data(self) -> Any:
        """Shape ``(n, *shape of one event)``."""
        return self._events.data if self._chosen is None else self._events.data[self._chosen]

    @property
    def planes(self) -> dict[str, Any]:
        """The planes by name."""
        planes = {name: self._events.planes[name] for name in self._events.planes}
        return planes if self._chosen is None else {name: plane[self._chosen] for name, plane in planes.items()}

    def __len__(self) -> int:
        return self._events.nframe if self._chosen is None else int(self._chosen.sum())


class KeepingWorker(Worker):
    """A sink with ``write(events)``, which gets as many events at once as there are."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        plan, sink = self.plan, self.plan.work
        with ExitStack() as stack:
            reader = self.opened(stack, plan.reads[0].reader(plan.group, plan.name))
            if hasattr(sink, "open"):
                sink.open(plan.folder)
            if hasattr(sink, "close"):
                stack.callback(self._close, sink)
            if plan.table is not None:
                repeats.warm()
            self.ready()
            self.keep_all(reader, sink)

    def _close(self, sink: Any) -> None:
        try:
            sink.close()
        except LabdaqError:
            self._retract(getattr(sink, "lost", 0))
            raise

    def _retract(self, count: int) -> None:
        """So many of the events that a sink had taken were not kept after all: it had no room."""
        words, totals = self.row.words, self.row.base + b.W_TOTALS
        words[totals + b.ACCEPTED] -= count
        words[totals + b.DISCARDED] += count

    def keep_all(self, reader: EventReader, sink: Any) -> None:
        """Keep what comes until the ring ends."""
        ring = self.plan.reads[0]
        nbytes = max(ring.dtype.itemsize * int(np.prod(ring.shape)), 1)
        most = max(1, min(ring.capacity // 2, _BATCH_NBYTES // nbytes))
        while not self.is_aborted:
            self.between(reader, sink)
            try:
                events = reader.read_span(most, timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            except EndOfDataError:
                return
            self._keep(events, reader.claim, sink)
            if reader.is_claim_over:
                reader.release()
                self.row.settle()
                self.check_errors()

    def between(self, reader: EventReader, sink: Any) -> None:
        """Called before each batch, and when none came for a while."""

    def _keep(self, events: EventsRead, claim: int, sink: Any) -> None:
        if self.row.get(b.W_CLAIM) != claim + 1:  # a claim with gaps comes in several batches
            self.row.settle(claim)
            if events.redelivered:
                strike_out(self.board, self.row, claim)
        chosen = self._unseen(events)
        batch = Batch(events, chosen)
        kept = len(batch)
        if kept:
            self.write(sink, batch)
        self.row.count(b.REPEATED, events.nframe - kept)
        if self.changes:
            self.apply_changes(int(events.planes["counter"][-1]) + 1)
        self.note_claim(max(kept, 1))

    def write(self, sink: Any, batch: Any) -> None:
        """Give a batch to the sink, and count it."""
        try:
            sink.write(batch)
        except LabdaqError as error:
            # A file that cannot be written will not be better with the next batch.
            self._retract(max(getattr(sink, "lost", 0) - len(batch), 0))
            self.note_error(error)
            raise TooManyErrorsError(f"{self.plan.who} cannot go on: {error}") from error
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            self.row.count(b.QUARANTINED, len(batch))
            self.note_error(error, batch)
        else:
            self.row.count(b.ACCEPTED, len(batch))

    def _unseen(self, events: EventsRead) -> Any:
        """A mask of the events that did not come before; None when none can have."""
        if self.plan.table is None:
            return None
        planes, table = events.planes, self.board.table(self.plan.table)
        chosen = unseen_records(table, planes["counter"], planes[TRACE], events.index)
        return None if chosen.all() else chosen
