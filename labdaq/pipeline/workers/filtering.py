"""Filters: what they read, they drop, pass on, or turn into other records."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from labdaq.errors import DataError, LayoutError
from labdaq.native.cuda import Device
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers import repeats
from labdaq.pipeline.workers.calls import INPUT, records_of, required_arguments
from labdaq.pipeline.workers.device_work import Copying, EventThere, Passing, device_of_plan, own_stream
from labdaq.pipeline.workers.outlets import Outlet, was_delivered_before
from labdaq.pipeline.workers.repeats import begin_record, end_record
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import Worker
from labdaq.ring import Ring
from labdaq.ring.event_reading import Event, EventReader

_DEADLY = 2
"""So many workers may die in the same event before it is set apart."""

__all__ = ["FilterWorker", "ReadingWorker", "check_outs", "work_of"]


class ReadingWorker(Worker):
    """What workers that read one event after the other have in common."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        plan = self.plan
        with ExitStack() as stack:
            self.device = device_of_plan(plan)
            own_stream(stack, self.device)
            reader = self.opened(stack, plan.reads[0].reader(plan.group, plan.name))
            outlets = [self._outlet(stack, ring) for ring in plan.writes]
            self._read_all(reader, outlets)

    def _outlet(self, stack: ExitStack, ring: Ring) -> Outlet:
        writer = self.opened(stack, ring.writer(self.plan.name))
        return Outlet(ring, writer, self.row, self.plan.origin)

    def _read_all(self, reader: EventReader, outlets: list[Outlet]) -> None:
        work = self.chosen_work(outlets)
        seen = None if self.plan.table is None else self.board.table(self.plan.table)
        if seen is not None:
            repeats.warm()
        self.ready()
        for event in self._events(reader):
            if self.changes:
                self.apply_changes(event.counter)
            if seen is None:
                self._do(work, event)
                continue
            record = event.counter, int(event.plane(TRACE)), event.index
            if begin_record(seen, *record, event.redelivered):
                self._do(work, event)
                end_record(seen, *record)
            else:
                self.row.count(b.REPEATED)

    def _do(self, work: Any, event: Event) -> None:
        try:
            if event.redelivered:
                self._beware(event)
            self.row.words[self.row.base + b.W_AT] = event.index + 1
            outcome = work(event)
        except Exception as error:
            if self.is_aborted:
                raise
            self.note_error(error, event)
            outcome = b.QUARANTINED
        self.row.count(outcome)

    def _beware(self, event: Event) -> None:
        """Refuse an event in which others have died: it would cost one worker after the other."""
        own = self.row
        died = sum(
            row.base != own.base and row.get(b.W_GROUP) == own.get(b.W_GROUP) and row.get(b.W_AT) == event.index + 1
            for row in self.board.rows()
        )
        if died >= _DEADLY:
            raise DataError(f"event {event.counter} has killed {died} workers: nobody tries it again")

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
        plan = self.plan
        if isinstance(plan.work, Passing):
            return Copying(outlets[0], plan.reads[0], self.device, b.ACCEPTED)
        device = self.device if plan.options.get("space", "system") != "system" else plan.reads[0].device
        return work_of(plan.work, outlets, plan.reads[0], plan.options.get("most", 1), plan.who, device=device)


def work_of(
    function: Any, outlets: list[Any], source: Any, most: int, who: str, *, device: Device | None = None
) -> Any:
    """A function of an event that calls a filter, gives its records to the outlets, and says what became of it.

    Parameters
    ----------
    function
        Of either form.
    outlets
        Outlet for each ring that it writes, or what has the same ``ring``, ``put`` and ``put_all``.
    source
        The ring it reads, or what has the same ``name``, ``dtype`` and ``shape``.
    most
        Of ``f(data, out)``: the most records of one event.
    who
        For messages.
    device
        Where the function wants its arrays; None for the processor.

    Raises
    ------
    LayoutError
        The function does not fit between these rings.
    """
    if required_arguments(function) <= 1:
        work: Any = _Answering(function, outlets, source, who)
    else:
        work = _Filling(function, outlets, source, most, who, xp=np if device is None else device.xp)
    return work if device is None else lambda event: work(EventThere(event, device))


class _Answering:
    """Of the form ``f(event) -> result``."""

    def __init__(self, function: Any, outlets: list[Any], source: Any, who: str) -> None:
        self._function, self._outlets, self._who = function, outlets, who
        self._rings = [outlet.ring for outlet in outlets]
        self._unlike = [ring for ring in self._rings if (ring.dtype, ring.shape) != (source.dtype, source.shape)]

    def __call__(self, event: Event) -> int:
        result = self._function(event)
        if result is None or result is False:
            return b.REJECTED
        chosen = records_of(result, self._rings, self._who)
        if self._unlike:
            self._check_passed_on(chosen, event.data)
        again = was_delivered_before(event)
        for outlet, records in zip(self._outlets, chosen, strict=True):
            outlet.put_all([event.data if one is INPUT else one for one in records], event, again=again)
        return b.ACCEPTED if any(chosen) else b.REJECTED

    def _check_passed_on(self, chosen: list[list[Any]], data: Any) -> None:
        """Before anything is written: the input cannot be passed on to a ring of something else."""
        for ring, records in zip(self._rings, chosen, strict=True):
            if ring in self._unlike and any(one is INPUT for one in records):
                raise LayoutError(
                    f"{self._who} passes its input on, {data.dtype} of shape {data.shape}, and ring {ring.name!r} "
                    f"takes {ring.dtype} of shape {ring.shape}: return a record for it, or False"
                )


class _Filling:
    """Of the form ``f(data, out) -> n``, or with several outs a tuple of numbers."""

    def __init__(self, function: Any, outlets: list[Any], source: Any, most: int, who: str, *, xp: Any) -> None:
        self._function, self._who = function, who
        nouts = required_arguments(function) - 1
        copied = check_outs([outlet.ring for outlet in outlets], source, nouts, who)
        self._copying, self._filling = outlets[:copied], outlets[copied:]
        self._rooms = [xp.zeros((most, *outlet.ring.shape), outlet.ring.dtype) for outlet in self._filling]

    def __call__(self, event: Event) -> int:
        counts = self._counts(self._function(event.data, *self._rooms))
        if not any(counts):
            return b.REJECTED
        again = was_delivered_before(event)
        for outlet in self._copying:
            outlet.put(event.data, event, 0, again=again)
        for outlet, room, count in zip(self._filling, self._rooms, counts, strict=True):
            outlet.put_all(list(room[:count]), event, again=again)
        return b.ACCEPTED

    def _counts(self, given: Any) -> list[int]:
        """How many records there are in each room."""
        counts = given if isinstance(given, tuple) else (given,) * len(self._rooms)
        if len(counts) != len(self._rooms):
            raise LayoutError(
                f"{self._who} fills {len(self._rooms)} outputs and must return a number for each, and returned "
                f"{len(counts)}: {counts!r:.60}"
            )
        return [self._checked(count, outlet) for count, outlet in zip(counts, self._filling, strict=True)]

    def _checked(self, count: Any, outlet: Outlet) -> int:
        most = len(self._rooms[0])
        if isinstance(count, bool | np.bool_ | int | np.integer) and 0 <= count <= most:
            return int(count)
        raise LayoutError(
            f"{self._who} must return how many records it wrote for ring {outlet.ring.name!r}, 0 to {most}, and "
            f"returned {count!r:.60}; daq.filter(…, most=n) makes room for more"
        )


def check_outs(outputs: Sequence[Any], source: Any, nouts: int, who: str) -> int:
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
