"""Filters that run as compiled code: Python is not entered per event, and nothing holds the GIL."""

import threading
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, LayoutError
from labdaq.native.records import caller_of
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.calls import required_arguments
from labdaq.pipeline.workers.compiled_parameters import cells_of, compiled, named_in, with_values
from labdaq.pipeline.workers.compiled_steps import (
    ADOPTED,
    BAD_COUNT,
    Books,
    Input,
    Output,
    Wires,
    finish_claim,
    run_slice,
    warm,
)
from labdaq.pipeline.workers.filtering import check_outs, strike_out
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import MOST_AHEAD, Worker
from labdaq.ring import Ring
from labdaq.ring import words as w
from labdaq.ring.event_reading import Event, EventReader
from labdaq.ring.event_writing import EventWriter
from labdaq.ring.layout import FLAGS_PLANE

__all__ = ["CompiledWorker"]

_RESUME = -103  # beside the codes of the steps
_COMPILING = threading.Lock()


class CompiledWorker(Worker):
    """A filter of the form ``f(data, out) -> n`` that runs compiled."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        plan = self.plan
        if required_arguments(plan.work) != 2:
            raise LayoutError(f"{plan.who}: what runs compiled has the form f(data, out) -> n")
        self._cells = cells_of(plan.work, plan.who)
        self._room = _room(plan)
        function = self._compiled()
        with ExitStack() as stack:
            reader = self.opened(stack, plan.reads[0].reader(plan.group, plan.name))
            writers = [self.opened(stack, ring.writer(plan.name)) for ring in plan.writes]
            self._filter(reader, function, self._wires(reader, writers))

    def _compiled(self) -> Any:
        plan, room = self.plan, self._room
        source = plan.reads[0]
        kinds = (source.dtype, source.shape), (room.dtype, room.shape)
        warm()
        with _COMPILING:
            if self._cells:  # each worker has values of its own: they change between two of its events
                return caller_of(with_values(plan.work, self._cells), *kinds)
            return _caller_of(plan.work, *kinds, named_in(plan.work))

    def _wires(self, reader: EventReader, writers: list[EventWriter]) -> Wires:
        plan = self.plan
        copied = check_outs(plan.writes, plan.reads[0], 1, plan.who)
        if copied > 1:
            raise LayoutError(f"{plan.who}: compiled, one output takes accepted events; run it in threads for more")
        table = np.zeros(0, np.int64) if plan.table is None else _unowned(self.board.table(plan.table))
        books = Books(self.board.address, self.row.address, plan.origin, table)
        fill = _output(writers[-1])
        copy = _output(writers[0]) if copied else fill._replace(handle=0)
        return Wires(_input(reader), copy, fill, self._room.ctypes.data, len(self._room), books)

    def _filter(self, reader: EventReader, function: Any, wires: Wires) -> None:
        self.ready()
        most, code = 1, w.AGAIN
        while not self.is_aborted:
            before = sum(self.row.counts().values())
            try:
                if code == _RESUME:
                    code = finish_claim(function, wires, self.row.get(b.W_FRAME) + 1)
                elif code == ADOPTED:
                    strike_out(self.board, self.row, self.row.get(b.W_FIRST))
                    code = finish_claim(function, wires, self.row.get(b.W_FIRST))
                else:
                    code = run_slice(function, wires, most)
            except Exception as error:  # noqa: BLE001 - whatever the user's code raises
                self._set_apart(reader, error)
                code = _RESUME
                continue
            most = max(1, min(MOST_AHEAD, self.note_claim(sum(self.row.counts().values()) - before)))
            if code == BAD_COUNT:
                self._set_apart(reader, LayoutError(f"{self.plan.who} returned a number that its out has no room for"))
                code = _RESUME
            elif code == w.OVER:
                return
            elif code not in (0, w.AGAIN, w.INTERRUPT, ADOPTED):
                raise ClosedError(f"{self.plan.who}: a ring that it uses was closed ({code})")
            else:
                self._look_after(reader, wires.source.counters)

    def _look_after(self, reader: EventReader, counters: Any) -> None:
        """Between two claims."""
        reader._core.look_after()
        self.check_errors()
        if self.changes:
            behind = self.row.get(b.W_BEHIND)
            self.apply_changes(int(counters[(behind - 1) % len(counters)]) + 1 if behind else 0)
            for parameter, cell in self._cells:
                cell.value = parameter.value

    def _set_apart(self, reader: EventReader, error: Exception) -> None:
        """The event at hand could not be dealt with."""
        self.note_error(error, Event(reader._memory, self.row.get(b.W_FRAME)))
        self.row.count(b.QUARANTINED)


@lru_cache(maxsize=64)
def _caller_of(function: Any, data: Any, out: Any, _named: Any) -> Any:
    """All workers share it, and later runs too, as long as what it names is the same."""
    return caller_of(compiled(function), data, out)


def _room(plan: WorkerPlan) -> Any:
    """Where the function writes its records."""
    ring: Ring = plan.writes[-1]
    return np.zeros((plan.options.get("most", 1), *ring.shape), ring.dtype)


class _Unowned:
    """Memory that is shown and not kept: the reader or writer keeps it for as long as the worker lives.

    Compiled code that raises never lets go of the arrays that it had at hand.
    """

    def __init__(self, array: Any) -> None:
        self.__array_interface__ = {
            "version": 3,
            "shape": array.shape,
            "strides": array.strides,
            "typestr": f"|V{array.dtype.itemsize}",
            "data": (array.ctypes.data, not array.flags.writeable),
        }


def _unowned(array: Any) -> Any:
    return np.asarray(_Unowned(array)).view(array.dtype)


def _input(reader: EventReader) -> Input:
    memory = reader._memory
    planes = {name: _unowned(plane.frozen) for name, plane in memory.planes.items() if plane.layout_shape == ()}
    return Input(
        reader._address,
        memory.data.address,
        memory.data.slots,
        memory.data.frame_nbytes,
        planes["counter"],
        planes["timestamp_ns"],
        planes["deadtime"],
        planes[TRACE],
        planes[FLAGS_PLANE],
    )


def _output(writer: EventWriter) -> Output:
    data, traces = writer._memory.data, writer._memory.planes[TRACE]
    return Output(writer._address, data.address, data.slots, data.frame_nbytes, _unowned(traces.array))
