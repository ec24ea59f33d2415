"""The worker that hands a filter's work out to members on other machines, and takes their results in."""

import contextlib
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from labdaq.errors import DataError, EndOfDataError, LabdaqError, ResourceError, WaitTimeoutError
from labdaq.pipeline.shared_work.frames import HeldEvent, Kind, head_of, unpack_result
from labdaq.pipeline.shared_work.shared import SharedWork
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.calls import INPUT
from labdaq.pipeline.workers.filtering import FilterWorker
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import Report
from labdaq.ring.event_reading import EventReader
from labdaq.roles import parameters_of
from labdaq.store.redis.work import Job, WorkPublisher

__all__ = ["GatewayWorker"]

_LOTS = 4
"""Claims that are out at a time: when the last event of one is late, there are others."""
_MOST, _MOST_NBYTES = 64, 4 << 20
_WAIT_S = 0.02
_LOOK_S = 0.5
_GROUP = "filter"


class _Lot:
    """A claim of the ring: released when the last of its events is done, and only then counted.

    So when the run is aborted before, all of them are undelivered.
    """

    def __init__(self, reader: EventReader) -> None:
        self.reader = reader
        self.waiting: dict[int, HeldEvent] = {}
        self.outcomes = [0] * len(b.OUTCOMES)
        self.is_over = False


class GatewayWorker(FilterWorker):
    """One of the workers of a node with :class:`SharedWork`."""

    def __init__(self, plan: WorkerPlan, board: Board, report: Report) -> None:
        self._shared: SharedWork = plan.work
        super().__init__(replace(plan, work=plan.work.func), board, report)
        self._number = 0
        self._nmembers = 0
        self._looked = 0.0
        self._is_alone = False

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        plan = self.plan
        with ExitStack() as stack:
            readers = [self.opened(stack, plan.reads[0].reader(plan.group, plan.name)) for _ in range(_LOTS)]
            outlets = [self._outlet(stack, ring) for ring in plan.writes]
            self._outlets = outlets
            self._kinds = [Kind.of(ring.name, ring.dtype, ring.shape) for ring in plan.writes]
            self._here = self.chosen_work(outlets)
            self._queue = WorkPublisher(
                self._shared.url, self._shared.name, self._about(), capacity=2 * _LOTS * _MOST, groups=[_GROUP]
            )
            stack.callback(self._queue.close)
            self.ready()
            lots = [_Lot(reader) for reader in readers]
            try:
                self._hand_out(lots)
                if not self._is_alone:
                    self._queue.end()
            except BaseException:
                self._give_up(lots)
                raise
            if self.is_aborted:
                self._give_up(lots)

    def _give_up(self, lots: Sequence[_Lot]) -> None:
        """Claims that were not done whole go back: what becomes of their events is said elsewhere."""
        for lot in lots:
            if lot.waiting or any(lot.outcomes):
                lot.reader.__exit__(KeyboardInterrupt)
        with contextlib.suppress(LabdaqError):  # then members find it silent
            self._queue.abandon()

    def _about(self) -> dict[str, Any]:
        ring = self.plan.reads[0]
        reads = Kind.of(ring.name, ring.dtype, ring.shape).to_json()
        most = int(self.plan.options.get("most", 1))
        return {"what": "filter", "reads": reads, "writes": [kind.to_json() for kind in self._kinds], "most": most}

    # ------------------------------------------------------------------------------------- handing out

    def _hand_out(self, lots: Sequence[_Lot]) -> None:
        """Until the ring has ended, and all was done."""
        while not self.is_aborted:
            try:
                if self._step(lots):
                    return
            except ResourceError as error:
                if self._is_alone:
                    raise
                self._go_on_alone(lots, error)

    def _step(self, lots: Sequence[_Lot]) -> bool:
        """Hand out some work, and take some in; whether there is no more."""
        self._look()
        idle = [lot for lot in lots if not lot.waiting]
        free = [lot for lot in idle if not lot.is_over]
        if not free and len(idle) == len(lots):
            return True
        took = bool(free) and self._take(free[0], wait_s=_WAIT_S if len(idle) == len(lots) else 0.0)
        if any(lot.waiting for lot in lots):
            self._collect(lots, 0.0 if took and len(free) > 1 else _WAIT_S)
        return False

    def _go_on_alone(self, lots: Sequence[_Lot], error: ResourceError) -> None:
        """The server is gone: what is out was not taken in, so it is done here, as all that comes."""
        self.report("log", f"{self.plan.who}: its work is shared no longer, and goes on here: {error}")
        self._is_alone, self._nmembers = True, 0
        for lot in lots:
            for number in list(lot.waiting):
                self._do_here(lot, number)

    def _look(self) -> None:
        """Now and then: who is there? Work that nobody has is done here."""
        now = time.monotonic()
        if self._is_alone or now - self._looked < _LOOK_S:
            return
        self._looked = now
        self._queue.put()
        before, self._nmembers = self._nmembers, self._queue.members(_GROUP)
        if self._nmembers != before:
            self.report("log", f"{self.plan.who}: {self._nmembers} members share the work as {self._shared.name!r}")

    def _take(self, lot: _Lot, wait_s: float) -> bool:
        """Claim events and publish them; whether there were any."""
        ring = self.plan.reads[0]
        nbytes = max(Kind.of(ring.name, ring.dtype, ring.shape).nbytes, 1)
        most = max(1, min(_MOST, ring.capacity // (2 * _LOTS), _MOST_NBYTES // nbytes))
        try:
            events = lot.reader.read_span(most, timeout=wait_s)
        except WaitTimeoutError:
            return False
        except EndOfDataError:
            lot.is_over = True
            return False
        planes, data = events.planes, events.data
        if self.changes:
            self.apply_changes(int(planes["counter"][0]))
        first, self._number = self._number, self._number + events.nframe
        for at in range(events.nframe):
            stamps = int(planes["counter"][at]), int(planes["timestamp_ns"][at]), float(planes["deadtime"][at])
            index = events.index + at
            lot.waiting[first + at] = HeldEvent(
                data[at], *stamps, int(planes[TRACE][at]), index, redelivered=events.redelivered
            )
        if not self._nmembers:
            for number in list(lot.waiting):
                self._do_here(lot, number)
            return True
        values = {name: one.value for name, one in parameters_of(self.plan.work).items()}
        told = json.dumps(values, default=float).encode() if values else b""
        jobs = [
            Job(first + at, head_of(planes, at, events.index + at), data[at].tobytes(), told)
            for at in range(events.nframe)
        ]
        self._publish(jobs)
        return True

    def _publish(self, jobs: Sequence[Job]) -> None:
        while jobs and not self.is_aborted:
            taken, _length = self._queue.put(jobs)
            jobs = jobs[taken:]
            if jobs:  # cannot be for long: never more than a part of the capacity is out
                time.sleep(_WAIT_S)

    # ---------------------------------------------------------------------------------------- taking in

    def _collect(self, lots: Sequence[_Lot], block_s: float) -> None:
        """Take in what members have done, and do what nobody has."""
        for number, told, member in self._queue.results(_GROUP, block_s):
            lot = next((lot for lot in lots if number in lot.waiting), None)
            if lot is not None:
                self._accept(lot, number, told, member)
        if not self._nmembers:
            for number in self._queue.take_back(_GROUP, _MOST):
                lot = next((lot for lot in lots if number in lot.waiting), None)
                if lot is not None:
                    self._do_here(lot, number)

    def _accept(self, lot: _Lot, number: int, told: bytes, member: str) -> None:
        """Write what a member found; a result that is none is as if nobody had done the work."""
        try:
            outcome, chosen, why = unpack_result(told, self._kinds)
            self._check(chosen)
        except DataError as error:
            self.report("log", f"{self.plan.who}: member {member} sent no result ({error}); it is done here")
            self._do_here(lot, number)
            return
        event = lot.waiting[number]
        if outcome == b.QUARANTINED:
            self.note_error(DataError(f"in member {member}: {why}"), event)
        for outlet, records in zip(self._outlets, chosen, strict=True):
            outlet.put_all([event.data if one is INPUT else one for one in records], event, again=event.redelivered)
        self._finish(lot, number, outcome)

    def _check(self, chosen: list[list[Any]]) -> None:
        source = self.plan.reads[0]
        for kind, records in zip(self._kinds, chosen, strict=True):
            is_passed_on = any(one is INPUT for one in records)
            if is_passed_on and (kind.dtype, kind.shape) != (source.dtype, source.shape):
                raise DataError(f"it passes the event on to ring {kind.name!r}, which takes others")

    def _do_here(self, lot: _Lot, number: int) -> None:
        event = lot.waiting[number]
        try:
            outcome = self._here(event)
        except Exception as error:
            if self.is_aborted:
                raise
            self.note_error(error, event)
            outcome = b.QUARANTINED
        self._finish(lot, number, outcome)

    def _finish(self, lot: _Lot, number: int, outcome: int) -> None:
        """An event is done; with the last of its lot the claim is released, and counts."""
        del lot.waiting[number]
        lot.outcomes[outcome] += 1
        if lot.waiting or not lot.reader.is_claim_over:  # a claim with gaps comes in several batches
            return
        lot.reader.release()
        for known, amount in enumerate(lot.outcomes):
            self.row.count(known, amount)
        lot.outcomes = [0] * len(b.OUTCOMES)
        self.row.settle()
        self.check_errors()
