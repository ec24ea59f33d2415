"""Filters: what they read, they drop, pass on, or turn into other records."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.pipeline import board as b
from labdaq.pipeline.calls import INPUT, records_of, required_arguments
from labdaq.pipeline.outlets import Outlet, was_delivered_before
from labdaq.pipeline.trace import TRACE, record_key
from labdaq.pipeline.worker import Worker
from labdaq.ring import Ring
from labdaq.ring.event_reading import Event, EventReader

__all__ = ["FilterWorker", "ReadingWorker", "check_outs"]


class ReadingWorker(Worker):
    """What workers that read one event after the other have in common."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.worker.Worker`."""
        plan = self.plan
        with ExitStack() as stack:
            reader = self.opened(stack, plan.reads[0].reader(plan.group, plan.name))
            outlets = [self._outlet(stack, ring) for ring in plan.writes]
            self._read_all(reader, outlets)

    def _outlet(self, stack: ExitStack, ring: Ring) -> Outlet:
        writer = self.opened(stack, ring.writer(self.plan.name))
        return Outlet(ring, writer, self.row, self.plan.origin)

    def _read_all(self, reader: EventReader, outlets: list[Outlet]) -> None:
        work = self.chosen_work(outlets)
        self.ready()
        seen = None if self.plan.table is None else self.board.table(self.plan.table)
        for event in self._events(reader):
            if self.changes:
                self.apply_changes(event.counter)
            key = 0
            if seen is not None:
                key = record_key(event.counter, int(event.plane(TRACE)))
                if was_delivered_before(event) and b.is_seen(seen, key):
                    self.row.count(b.REPEATED)
                    continue
            self._do(work, event)
            if seen is not None:
                seen[key % b.TABLE_WORDS] = key

    def _do(self, work: Any, event: Event) -> None:
        try:
            outcome = work(event)
        except Exception as error:
            if self.is_aborted:
                raise
            self.note_error(error, event)
            outcome = b.QUARANTINED
        self.row.count(outcome)

    @abstractmethod
    def chosen_work(self, outlets: list[Outlet]) -> Any:
        """A function of an event that does the work and says what became of it."""

    def _events(self, reader: EventReader) -> Iterator[Event]:
        """Event after event, with the books kept between claims."""
        row, words, claim, count = self.row, self.board.words, -1, 0
        while not words[b.IS_ABORTED]:
            if reader.is_claim_over and reader.claim >= 0:
                reader.release()
                row.settle()
                claim = -1
                reader.ahead = self.note_claim(count) if self.nerror == 0 else 1
                count = 0
                self.check_errors()
            event = reader._next_event(None)
            if event is None:
                return
            if reader.claim != claim:
                claim = reader.claim
                row.settle(claim)
                if event.redelivered:
                    strike_out(self.board, self.row, claim)
            count += 1
            yield event
        # The claim at hand goes back; what is not processed is counted as undelivered.
        reader.__exit__(KeyboardInterrupt)


def strike_out(board: b.Board, own: b.Row, claim: int) -> None:
    """Forget what one who died noted of a claim that is taken over from him."""
    for row in board.rows():
        if row.base != own.base and row.get(b.W_GROUP) == own.get(b.W_GROUP) and row.strike_out(claim):
            return


class FilterWorker(ReadingWorker):
    """A filter written in Python, or compiled and called from Python."""

    def chosen_work(self, outlets: list[Outlet]) -> Any:
        """See :class:`ReadingWorker`."""
        function = self.plan.work
        if required_arguments(function) <= 1:
            return _Answering(function, outlets, self.plan.who)
        return _Filling(function, outlets, self.plan.reads[0], self.plan.options.get("most", 1), self.plan.who)


class _Answering:
    """Of the form ``f(event) -> result``."""

    def __init__(self, function: Any, outlets: list[Outlet], who: str) -> None:
        self._function, self._outlets, self._who = function, outlets, who
        self._rings = [outlet.ring for outlet in outlets]

    def __call__(self, event: Event) -> int:
        result = self._function(event)
        if result is None or result is False:
            return b.REJECTED
        chosen = records_of(result, self._rings, self._who)
        again = was_delivered_before(event)
        for outlet, records in zip(self._outlets, chosen, strict=True):
            outlet.put_all([event.data if one is INPUT else one for one in records], event, again=again)
        return b.ACCEPTED if any(chosen) else b.REJECTED


class _Filling:
    """Of the form ``f(data, out) -> n``, or with several outs a tuple of numbers."""

    def __init__(self, function: Any, outlets: list[Outlet], source: Ring, most: int, who: str) -> None:
        self._function, self._who = function, who
        nouts = required_arguments(function) - 1
        copied = check_outs([outlet.ring for outlet in outlets], source, nouts, who)
        self._copying, self._filling = outlets[:copied], outlets[copied:]
        self._rooms = [np.zeros((most, *outlet.ring.shape), outlet.ring.dtype) for outlet in self._filling]

    def __call__(self, event: Event) -> int:
        given = self._function(event.data, *self._rooms)
        counts = given if isinstance(given, tuple) else (given,) * len(self._rooms)
        again = was_delivered_before(event)
        if not any(self._checked(count, room) for count, room in zip(counts, self._rooms, strict=False)):
            return b.REJECTED
        for outlet in self._copying:
            outlet.put(event.data, event, 0, again=again)
        for outlet, room, count in zip(self._filling, self._rooms, counts, strict=True):
            outlet.put_all(list(room[: int(count)]), event, again=again)
        return b.ACCEPTED

    def _checked(self, count: Any, room: Any) -> int:
        if isinstance(count, bool | np.bool_ | int | np.integer) and 0 <= count <= len(room):
            return int(count)
        raise LayoutError(
            f"{self._who} must return how many records it wrote, 0 to {len(room)}, and returned {count!r:.60}"
        )


def check_outs(outputs: Sequence[Ring], source: Ring, nouts: int, who: str) -> int:
    """How many outputs get a copy of an accepted input; those behind them are filled by ``f(data, out, …)``.

    Raises
    ------
    LayoutError
        There are fewer outputs than outs, or the input does not fit where it is to go.
    """
    copied = len(outputs) - nouts
    if copied < 0:
        raise LayoutError(f"{who} fills {nouts} outputs, and is given {len(outputs)}")
    for ring in outputs[:copied]:
        if (ring.dtype, ring.shape) != (source.dtype, source.shape):
            raise LayoutError(
                f"{who} passes accepted events of ring {source.name!r} ({source.dtype} {source.shape}) on to ring "
                f"{ring.name!r}, which takes {ring.dtype} of shape {ring.shape}: make them alike, or give it an "
                "out of its own: f(data, out1, out2)"
            )
    return copied
