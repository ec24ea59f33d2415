"""The loop of a compiled filter: claims events, calls a function with addresses, writes what it gave, releases.

It knows of records only where they are and how long: so it is compiled once, whatever they hold, and cached.
It comes back to Python every so often, or when something has to be looked at there.
"""

import threading
from typing import Any, NamedTuple

import numpy as np

from labdaq.native import jit
from labdaq.native.atomics import copy_bytes, peek, poke
from labdaq.native.clocks import monotonic_ns
from labdaq.native.records import Caller
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.repeats import begin_record, end_record
from labdaq.pipeline.workers.trace import descended, is_redelivered
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, reserve
from labdaq.ring.reading_steps import release, was_adopted
from labdaq.ring.writing_steps import commit_event

__all__ = ["ADOPTED", "BAD_COUNT", "Books", "Input", "Output", "Wires", "finish_claim", "run_slice", "warm"]

BAD_COUNT, ADOPTED = -101, -102
"""Beside the codes of labdaq.ring.words: the function returned an impossible number; a claim was taken over."""
_SLICE_NS = 50_000_000
_TALLIES, _TOTALS, _CLAIM, _WRITTEN = 8 * b.W_TALLIES, 8 * b.W_TOTALS, 8 * b.W_CLAIM, 8 * b.W_WRITTEN
_FRAME, _FIRST, _BEHIND = 8 * b.W_FRAME, 8 * b.W_FIRST, 8 * b.W_BEHIND
_COMPILING = threading.Lock()


class Input(NamedTuple):
    """A ring that compiled code reads: where its records are, and its planes."""

    handle: int
    address: int
    slots: int
    nbytes: int
    counters: Any
    timestamps: Any
    deadtimes: Any
    traces: Any
    flags: Any


class Output(NamedTuple):
    """A ring that compiled code writes; handle 0: there is none."""

    handle: int
    address: int
    slots: int
    nbytes: int
    traces: Any


class Books(NamedTuple):
    """Where compiled code finds and writes the numbers of the run."""

    head: int
    row: int
    origin: int
    table: Any


class Wires(NamedTuple):
    """All that the work of one filter touches."""

    source: Input
    copy: Output
    """Takes accepted events as they are."""
    fill: Output
    """Takes what the function writes."""
    room: int
    """Where the function writes its records."""
    most: int
    """So many have room there."""
    books: Books


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
def _write(output: Output, wires: Wires, record: int, frame: int, traced: int) -> int:
    """Write one record, waiting for room until the run is aborted; negative when it could not be written."""
    while True:
        start = reserve(output.handle, 1, _SLICE_NS)
        if start >= 0:
            break
        if start not in (w.AGAIN, w.INTERRUPT):
            return start
        if peek(wires.books.head + 8 * b.IS_ABORTED) != 0:
            return w.OVER
    copy_bytes(output.address + start % output.slots * output.nbytes, record, output.nbytes)
    output.traces[start % output.traces.shape[0]] = traced
    source, row = wires.source, wires.books.row
    slot = frame % source.counters.shape[0]
    done = commit_event(output.handle, start, source.counters[slot], source.timestamps[slot], source.deadtimes[slot])
    poke(row + _WRITTEN, peek(row + _WRITTEN) + 1)
    return done


@jit
def _do(function: Any, wires: Wires, frame: int, adopted: bool) -> int:
    """Filter one event: 0, or a code that ends the work."""
    source, books = wires.source, wires.books
    slot = frame % source.counters.shape[0]
    number = source.traces[slot]
    again = adopted or is_redelivered(number)
    may_repeat = books.table.shape[0] > 0
    if may_repeat and not begin_record(books.table, source.counters[slot], number, frame, adopted):
        _count(books.row, b.REPEATED)
        return 0
    data = source.address + frame % source.slots * source.nbytes
    n = function(data, wires.room)
    if n < 0 or n > wires.most:
        return BAD_COUNT
    if n > 0 and wires.copy.handle != 0:
        code = _write(wires.copy, wires, data, frame, descended(number, books.origin, 0, again))
        if code < 0:
            return code
    for part in range(n):
        record = wires.room + part * wires.fill.nbytes
        code = _write(wires.fill, wires, record, frame, descended(number, books.origin, part, again))
        if code < 0:
            return code
    _count(books.row, b.ACCEPTED if n > 0 else b.REJECTED)
    if may_repeat:
        end_record(books.table, source.counters[slot], number, frame)
    return 0


@jit
def finish_claim(function: Any, wires: Wires, begin: int) -> int:
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


@jit
def run_slice(function: Any, wires: Wires, most: int) -> int:
    """Claim and filter events for a while, up to ``most`` at once: AGAIN, or a code that needs a look."""
    source, books = wires.source, wires.books
    until = monotonic_ns() + 2 * _SLICE_NS
    while monotonic_ns() < until and peek(books.head + 8 * b.IS_ABORTED) == 0:
        start = acquire(source.handle, 1, most, _SLICE_NS)
        if start in (w.AGAIN, w.INTERRUPT):
            continue
        if start < 0:
            return start
        poke(books.row + _FIRST, start)
        poke(books.row + _BEHIND, peek(source.handle + w.END))
        poke(source.handle + w.IN_USE, 0)
        _settle(books.row, start)
        if was_adopted(source.handle, start):
            return ADOPTED
        code = finish_claim(function, wires, start)
        if code != 0:
            return code
    return w.AGAIN


def _read_only(array: Any) -> Any:
    view = array.view()
    view.flags.writeable = False
    return view


def warm() -> int:
    """Compile the loop, or take it from the cache; how many functions that are.

    Whichever function is given is called through a pointer: no other version is ever made.
    """
    from numba import int64, typeof

    with _COMPILING:
        steps: tuple[Any, ...] = (finish_claim, run_slice)
        if not steps[-1].signatures:
            words, no_words = np.zeros(1, np.int64), np.zeros(0, np.int64)
            source = Input(0, 0, 1, 1, *map(_read_only, (words, words, np.zeros(1), words, np.zeros(1, np.uint8))))
            output = Output(0, 0, 1, 1, words)
            wires = typeof(Wires(source, output, output, 0, 1, Books(0, 0, 0, no_words)))
            for function in steps:
                function.compile((Caller, wires, int64))
                function.disable_compile()
    return 2
