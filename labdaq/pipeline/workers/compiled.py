"""Filters that run as compiled code: Python is not entered per event, and nothing holds the GIL.

The loop claims events, calls ``f(data, out) -> n`` on each, writes what it gave, counts, and releases; it comes
back to Python every so often, or when something has to be looked at there.
"""

import threading
import weakref
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from labdaq.errors import ClosedError, LayoutError
from labdaq.native import jit
from labdaq.native.atomics import peek, poke
from labdaq.native.clocks import monotonic_ns
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.calls import required_arguments
from labdaq.pipeline.workers.filtering import check_outs, strike_out
from labdaq.pipeline.workers.repeats import begin_record, end_record
from labdaq.pipeline.workers.trace import TRACE, descended, is_redelivered
from labdaq.pipeline.workers.worker import MOST_AHEAD, Worker
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, reserve
from labdaq.ring.event_reading import Event, EventReader
from labdaq.ring.event_writing import EventWriter
from labdaq.ring.layout import FLAGS_PLANE
from labdaq.ring.reading_steps import release, was_adopted
from labdaq.ring.writing_steps import commit_event

__all__ = ["CompiledWorker"]

_SLICE_NS = 50_000_000
_BAD_COUNT, _ADOPTED, _RESUME = -101, -102, -103  # beside the codes of labdaq.ring.words
_COMPILED: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()
_COMPILING = threading.Lock()
_TALLIES, _TOTALS, _CLAIM, _WRITTEN = 8 * b.W_TALLIES, 8 * b.W_TOTALS, 8 * b.W_CLAIM, 8 * b.W_WRITTEN
_BUSY, _FRAME, _FIRST, _BEHIND = 8 * b.W_BUSY_NS, 8 * b.W_FRAME, 8 * b.W_FIRST, 8 * b.W_BEHIND


class _Input(NamedTuple):
    """A ring that compiled code reads."""

    handle: int
    data: Any
    counters: Any
    timestamps: Any
    deadtimes: Any
    traces: Any
    flags: Any


class _Output(NamedTuple):
    """A ring that compiled code writes; handle 0: there is none."""

    handle: int
    data: Any
    traces: Any


class _Books(NamedTuple):
    """Where compiled code finds and writes the numbers of the run."""

    head: int
    row: int
    origin: int
    table: Any


class _Wires(NamedTuple):
    """All that the work of one filter touches."""

    source: _Input
    copy: _Output
    """Takes accepted events as they are."""
    fill: _Output
    """Takes what the function writes."""
    room: Any
    books: _Books


@jit
def _count(row: int, outcome: int) -> None:
    poke(row + _TALLIES + 8 * outcome, peek(row + _TALLIES + 8 * outcome) + 1)


@jit
def _settle(row: int, claim: int) -> None:
    """As `Row.settle`."""
    poke(row + _CLAIM, 0)
    for outcome in range(5):
        poke(row + _TOTALS + 8 * outcome, peek(row + _TOTALS + 8 * outcome) + peek(row + _TALLIES + 8 * outcome))
        poke(row + _TALLIES + 8 * outcome, 0)
    poke(row + _CLAIM, claim + 1)


@jit
def _write(output: _Output, wires: _Wires, record: Any, frame: int, traced: int) -> int:
    """Write one record, waiting for room until the run is aborted; negative when it could not be written."""
    while True:
        start = reserve(output.handle, 1, _SLICE_NS)
        if start >= 0:
            break
        if start not in (w.AGAIN, w.INTERRUPT):
            return start
        if peek(wires.books.head + 8 * b.IS_ABORTED) != 0:
            return w.OVER
    output.data[start % output.data.shape[0]] = record
    output.traces[start % output.traces.shape[0]] = traced
    source, row = wires.source, wires.books.row
    slot = frame % source.counters.shape[0]
    done = commit_event(output.handle, start, source.counters[slot], source.timestamps[slot], source.deadtimes[slot])
    poke(row + _WRITTEN, peek(row + _WRITTEN) + 1)
    return done


@jit(cache=False)
def _do(function: Any, wires: _Wires, frame: int, adopted: bool) -> int:
    """Filter one event: 0, or a code that ends the work."""
    source, room, books = wires.source, wires.room, wires.books
    slot = frame % source.counters.shape[0]
    number = source.traces[slot]
    again = adopted or is_redelivered(number)
    may_repeat = books.table.shape[0] > 0
    if may_repeat and not begin_record(books.table, source.counters[slot], number, frame, adopted):
        _count(books.row, b.REPEATED)
        return 0
    data = source.data[frame % source.data.shape[0]]
    n = function(data, room)
    if n < 0 or n > room.shape[0]:
        return _BAD_COUNT
    if n > 0 and wires.copy.handle != 0:
        code = _write(wires.copy, wires, data, frame, descended(number, books.origin, 0, again))
        if code < 0:
            return code
    for part in range(n):
        code = _write(wires.fill, wires, room[part], frame, descended(number, books.origin, part, again))
        if code < 0:
            return code
    _count(books.row, b.ACCEPTED if n > 0 else b.REJECTED)
    if may_repeat:
        end_record(books.table, source.counters[slot], number, frame)
    return 0


@jit(cache=False)
def _finish(function: Any, wires: _Wires, begin: int) -> int:
    """Filter the events of the claim at hand from ``begin`` on, and release it: 0, or a code."""
    source, books = wires.source, wires.books
    start, end = peek(books.row + _FIRST), peek(books.row + _BEHIND)
    adopted = was_adopted(source.handle, start)
    for frame in range(begin, end):
        if source.flags[frame % source.flags.shape[0]] == 0:
            poke(books.row + _FRAME, frame)
            code = _do(function, wires, frame, adopted)
            if code != 0:
                return code
    release(source.handle, start)
    _settle(books.row, -1)
    return 0


@jit(cache=False)
def _run(function: Any, wires: _Wires, most: int) -> int:
    """Claim and filter events for a while: AGAIN, or a code that needs a look."""
    source, books = wires.source, wires.books
    until = monotonic_ns() + 2 * _SLICE_NS
    while most > 0 and monotonic_ns() < until and peek(books.head + 8 * b.IS_ABORTED) == 0:
        start = acquire(source.handle, 1, most, _SLICE_NS)
        if start in (w.AGAIN, w.INTERRUPT):
            continue
        if start < 0:
            return start
        begun = monotonic_ns()
        poke(books.row + _FIRST, start)
        poke(books.row + _BEHIND, peek(source.handle + w.END))
        poke(source.handle + w.IN_USE, 0)
        _settle(books.row, start)
        if was_adopted(source.handle, start):
            return _ADOPTED
        code = _finish(function, wires, start)
        if code != 0:
            return code
        spent = monotonic_ns() - begun
        poke(books.row + _BUSY, peek(books.row + _BUSY) + spent)
    return w.AGAIN


class CompiledWorker(Worker):
    """A filter of the form ``f(data, out) -> n`` that runs compiled."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        plan = self.plan
        with ExitStack() as stack:
            reader = self.opened(stack, plan.reads[0].reader(plan.group, plan.name))
            writers = [self.opened(stack, ring.writer(plan.name)) for ring in plan.writes]
            self._filter(reader, _compiled(plan.work), self._wires(reader, writers))

    def _wires(self, reader: EventReader, writers: list[EventWriter]) -> _Wires:
        plan = self.plan
        if required_arguments(plan.work) != 2:
            raise LayoutError(f"{plan.who}: what runs compiled has the form f(data, out) -> n")
        copied = check_outs(plan.writes, plan.reads[0], 1, plan.who)
        if copied > 1:
            raise LayoutError(f"{plan.who}: compiled, one output takes accepted events; run it in threads for more")
        ring = plan.writes[-1]
        room = np.zeros((plan.options.get("most", 1), *ring.shape), ring.dtype)
        table = np.zeros(0, np.int64) if plan.table is None else _unowned(self.board.table(plan.table))
        books = _Books(self.board.address, self.row.address, plan.origin, table)
        source = _input(reader)
        copy = _output(writers[0]) if copied else _output(reader, 0)
        return _Wires(source, copy, _output(writers[-1]), room, books)

    def _filter(self, reader: EventReader, function: Any, wires: _Wires) -> None:
        _run(function, wires, 0)  # compiles
        self.ready()
        most, code = 1, w.AGAIN
        while not self.is_aborted:
            before = sum(self.row.counts().values())
            try:
                if code == _RESUME:
                    code = _finish(function, wires, self.row.get(b.W_FRAME) + 1)
                elif code == _ADOPTED:
                    strike_out(self.board, self.row, self.row.get(b.W_FIRST))
                    code = _finish(function, wires, self.row.get(b.W_FIRST))
                else:
                    code = _run(function, wires, most)
            except Exception as error:  # noqa: BLE001 - whatever the user's code raises
                self._set_apart(reader, error)
                code = _RESUME
                continue
            most = max(1, min(MOST_AHEAD, self.note_claim(sum(self.row.counts().values()) - before)))
            if code == _BAD_COUNT:
                self._set_apart(reader, LayoutError(f"{self.plan.who} returned a number that its out has no room for"))
                code = _RESUME
            elif code == w.OVER:
                return
            elif code not in (0, w.AGAIN, w.INTERRUPT, _ADOPTED):
                raise ClosedError(f"{self.plan.who}: a ring that it uses was closed ({code})")
            else:
                reader._core.look_after()
                self.check_errors()

    def _set_apart(self, reader: EventReader, error: Exception) -> None:
        """The event at hand could not be dealt with."""
        self.note_error(error, Event(reader._memory, self.row.get(b.W_FRAME)))
        self.row.count(b.QUARANTINED)


def _compiled(function: Any) -> Any:
    """The function as compiled code; all workers share it, and later runs too."""
    if hasattr(function, "py_func"):
        return function
    with _COMPILING:
        if function not in _COMPILED:
            _COMPILED[function] = jit(cache=False)(function)
        return _COMPILED[function]


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


def _input(reader: EventReader) -> _Input:
    memory = reader._memory
    planes = {name: _unowned(plane.frozen) for name, plane in memory.planes.items()}
    return _Input(
        reader._address,
        _unowned(memory.data.frozen),
        planes["counter"],
        planes["timestamp_ns"],
        planes["deadtime"],
        planes[TRACE],
        planes[FLAGS_PLANE],
    )


def _output(user: EventReader | EventWriter, address: int | None = None) -> _Output:
    memory = user._memory
    handle = user._address if address is None else address
    return _Output(handle, _unowned(memory.data.array), _unowned(memory.planes[TRACE].array))
