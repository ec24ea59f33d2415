"""CPU time of handing one span from a writer to a reader: reserve, commit, acquire and release.

Writer and reader take turns in one thread, so that nothing waits and CPU time is the whole cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

import labdaq
from labdaq.native import jit
from labdaq.native.atomics import publish
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, reserve
from labdaq.ring.reading_steps import release
from labdaq.ring.writing_steps import commit
from tests.benchmarks.harness import cpu_us_per_call, line, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

SPAN = 4096
BIFROST_US = {"steps": 4.8, "views": 70.0}  # published figures of Bifrost's ring, from Python
IN_USE = w.IN_USE >> 3


@contextmanager
def byte_ring() -> Iterator[tuple[Any, Callable[[], Any]]]:
    """The sequence being written, and a function that reads the next span of it."""
    with labdaq.Ring("cost") as ring:
        ring.resize(SPAN, 64 * SPAN)
        with ring.begin_writing() as writer, ring.read() as reader:
            sequence = writer.begin_sequence()
            spans = reader.next_sequence().read(SPAN)
            yield sequence, spans.__next__
            spans.close()


def hand_over(sequence: Any, read: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        with sequence.reserve(SPAN):
            pass
        read()


def hand_over_views(sequence: Any, read: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        with sequence.reserve(SPAN) as span:
            span.data_view(np.int8)
        read().data_view(np.int8)


def hand_over_data(sequence: Any, read: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        with sequence.reserve(SPAN) as span:
            span.data  # noqa: B018
        read().data  # noqa: B018


def test_public_interface():
    """Nothing but the four steps, as a user writes them."""
    with byte_ring() as (sequence, read):
        cost = cpu_us_per_call(partial(hand_over, sequence, read), 20_000)
    report("steps_in_python", cost["median"], "us CPU", target=2.5, bifrost_us=BIFROST_US["steps"], cost=cost)


def test_views():
    """The four steps, and a NumPy view of the span on both sides."""
    with byte_ring() as (sequence, read):
        cost = cpu_us_per_call(partial(hand_over_views, sequence, read), 20_000)
        data = cpu_us_per_call(partial(hand_over_data, sequence, read), 20_000)
    report("steps_with_data_view", cost["median"], "us CPU", target=5.0, bifrost_us=BIFROST_US["views"], cost=cost)
    line("steps_with_data", value=data["median"], unit="us CPU", cost=data)


@contextmanager
def event_ring(**settings: Any) -> Iterator[tuple[Any, Any]]:
    """A writer and a reader of events of one int32."""
    with (
        labdaq.Ring("cost", dtype="i4", capacity=256, **settings) as ring,
        ring.writer() as writer,
        ring.reader() as reader,
    ):
        yield writer, reader


def steps_from_python(writer: Any, reader: Any, count: int) -> None:
    writing, reading, handle = writer._address, reader._address, reader._handle
    for _ in range(count):
        start = reserve(writing, 1, 0)
        commit(writing, start, start + 1)
        start = acquire(reading, 1, 1, 0)
        handle[IN_USE] = 0
        release(reading, start)


def test_compiled_steps_from_python():
    """The four compiled functions, called one by one from Python."""
    with event_ring(metadata=False) as (writer, reader):
        cost = cpu_us_per_call(partial(steps_from_python, writer, reader), 20_000)
    report("compiled_steps_from_python", cost["median"], "us CPU", target=1.0, cost=cost)


@jit(cache=False)
def _steps_compiled(writing: int, reading: int, count: int) -> int:
    total = 0
    for _ in range(count):
        start = reserve(writing, 1, 0)
        commit(writing, start, start + 1)
        start = acquire(reading, 1, 1, 0)
        publish(reading + w.IN_USE, 0)
        release(reading, start)
        total += start
    return total


def test_compiled_steps_inside_numba():
    """The same four, called from compiled code, as a capture loop does."""
    with event_ring(metadata=False) as (writer, reader):
        cost = cpu_us_per_call(partial(_steps_compiled, writer._address, reader._address), 500_000)
    report("compiled_steps_inside_numba", cost["median"], "us CPU", target=0.1, cost=cost)


def events_in_place(writer: Any, reader: Any, count: int) -> None:
    read = reader.read
    for i in range(count):
        with writer.reserve() as event:
            event.data[...] = i
        read().data  # noqa: B018


def events_put(writer: Any, reader: Any, count: int) -> None:
    read = reader.read
    record = np.array(3, "i4")
    for _ in range(count):
        writer.put(record)
        read().data  # noqa: B018


@pytest.mark.parametrize("way", [events_in_place, events_put])
def test_events(way: Callable[..., None]):
    """One event written (with counter, time stamp, dead time) and read, with views of its data on both sides."""
    with event_ring() as (writer, reader):
        cost = cpu_us_per_call(partial(way, writer, reader), 20_000)
    line(way.__name__, value=cost["median"], unit="us CPU", cost=cost)
