"""How long one that sleeps needs to run after what it waits for was written.

Every millisecond the writer notes the time, hands it over and sleeps again; the reader, asleep by then, takes
the difference when it runs. The same loop with a ``threading.Condition`` is the limit that Python sets. The
clock is one for all processes of a machine.

The target is for compiled loops, as those of capture and filters are, whose reader spins: what the engine can
do. Beside it stand one that sleeps, and Python on both ends: most of that is Python itself, cold after a
millisecond of sleep.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import labdaq
from labdaq.native import jit
from labdaq.native.atomics import peek, poke, publish
from labdaq.native.clocks import monotonic_ns
from labdaq.native.futex import HAS_FUTEX, futex_wait
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import acquire, reserve
from labdaq.ring.reading_steps import release
from labdaq.ring.writing_steps import commit
from tests.benchmarks.harness import SPAWN, in_turns, line, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

COUNT = 300
PERIOD_S = 1e-3
REPEATS = 7
TARGET = 0.5  # of Condition
SPIN_S = 2e-3  # longer than the period
STAMP = 8  # bytes
SLOTS = 64


def paced(hand_over: Callable[[], None]) -> None:
    for _ in range(COUNT):
        time.sleep(PERIOD_S)
        hand_over()


def median_us(waits_ns: list[int]) -> float:
    assert len(waits_ns) == COUNT
    return statistics.median(waits_ns) / 1e3


# ------------------------------------------------------------------------------------------- rings


def write_stamp(sequence: Any) -> None:
    with sequence.reserve(STAMP) as span:
        stamp = span.data.view("i8")
        stamp[0] = time.perf_counter_ns()


def write_stamps(ring: labdaq.Ring, ready: Any) -> None:
    """One sequence of stamps; the reader must be there before the first."""
    with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
        ready.wait(60)
        paced(partial(write_stamp, sequence))


def waits_of(spans: Iterator[Any]) -> Iterator[int]:
    for span in spans:
        now = time.perf_counter_ns()
        yield now - int(span.data.view("i8")[0])


def ring_latency(space: str, start: Callable[..., Any], ready: Any) -> float:
    """Median time from the stamp to the reader's next statement, in us."""
    ready.clear()
    with labdaq.Ring("wake-up", space=space) as ring:
        ring.resize(STAMP, 4096)
        writer = start(target=write_stamps, args=(ring, ready))
        writer.start()
        with ring.read() as reader:
            spans = reader.next_sequence(timeout=60).read(STAMP)
            ready.set()
            waits = list(waits_of(spans))
        writer.join()
    return median_us(waits)


# ---------------------------------------------------------------------------------- compiled loops


@jit(cache=False)
def _write_stamps(handle: int, stamps: int, asleep: int, count: int) -> None:
    for _ in range(count):
        futex_wait(asleep, 0, 1_000_000, True)  # nobody wakes it: a sleep of PERIOD_S
        frame = reserve(handle, 1, 0)
        poke(stamps + 8 * (frame % SLOTS), monotonic_ns())
        commit(handle, frame, frame + 1)


@jit(cache=False)
def _take_stamps(handle: int, stamps: int, waits: int, count: int) -> None:
    for i in range(count):
        frame = acquire(handle, 1, 1, 5_000_000_000)
        poke(waits + 8 * i, monotonic_ns() - peek(stamps + 8 * (frame % SLOTS)))
        publish(handle + w.IN_USE, 0)
        release(handle, frame)


def compiled_latency(spin_s: float | None = None) -> float:
    """The same with loops that are compiled on both sides, as those of capture and filters are."""
    asleep, stamps, waits = np.zeros(1, np.int64), np.zeros(SLOTS, np.int64), np.zeros(COUNT, np.int64)
    at = int(stamps.ctypes.data)
    with labdaq.Ring("wake-up", dtype="i8", capacity=SLOTS, metadata=False) as ring:
        with ring.writer() as writer, ring.reader() as reader:
            reader.spin_s = reader.spin_s if spin_s is None else spin_s
            arguments = (writer._address, at, int(asleep.ctypes.data))
            _write_stamps(*arguments, 0)
            _take_stamps(reader._address, at, int(waits.ctypes.data), 0)
            thread = threading.Thread(target=_write_stamps, args=(*arguments, COUNT))
            thread.start()
            _take_stamps(reader._address, at, int(waits.ctypes.data), COUNT)
            thread.join()
    return median_us(waits.tolist())


# -------------------------------------------------------------------------------------- conditions


def notify_stamps(condition: Any, stamps: Any, ready: Any) -> None:
    ready.wait(60)
    numbers = iter(range(COUNT))

    def notify_stamp() -> None:
        with condition:
            stamps[next(numbers)] = time.perf_counter_ns()
            condition.notify()

    paced(notify_stamp)


def condition_latency(start: Callable[..., Any], condition: Any, stamps: Any, ready: Any) -> float:
    """The same through a condition variable and an array of stamps."""
    ready.clear()
    stamps[:] = [0] * COUNT
    notifier = start(target=notify_stamps, args=(condition, stamps, ready))
    notifier.start()
    waits = []
    with condition:
        ready.set()
        for i in range(COUNT):
            while stamps[i] == 0:
                condition.wait()
            waits.append(time.perf_counter_ns() - stamps[i])
    notifier.join()
    return median_us(waits)


# ------------------------------------------------------------------------------------------ figures


def test_threads():
    """Writer and reader are threads."""
    found = in_turns(
        REPEATS,
        ring=partial(ring_latency, "system", threading.Thread, threading.Event()),
        condition=partial(condition_latency, threading.Thread, threading.Condition(), [0] * COUNT, threading.Event()),
    )
    report_latency("wake_up_threads", found)


@pytest.mark.skipif(not HAS_FUTEX, reason="compiled code cannot sleep here: rings are polled")
def test_compiled_loops():
    """Writer and reader are threads that run compiled code."""
    found = in_turns(
        REPEATS,
        ring=partial(compiled_latency, SPIN_S),
        sleeping=compiled_latency,
        condition=partial(condition_latency, threading.Thread, threading.Condition(), [0] * COUNT, threading.Event()),
    )
    asleep = {
        "sleeping_p50_us": median(found["sleeping"]),
        "sleeping_ratio": median_ratio(found["sleeping"], found["condition"]),
    }
    report_latency("wake_up_compiled", found, target=TARGET, **asleep)


def test_processes():
    """Writer and reader are processes; the limit is still that of threads, that of processes is beside it."""
    stamps = SPAWN.Array("q", COUNT, lock=False)
    found = in_turns(
        3,
        ring=partial(ring_latency, "shared", SPAWN.Process, SPAWN.Event()),
        condition=partial(condition_latency, threading.Thread, threading.Condition(), [0] * COUNT, threading.Event()),
        process_condition=partial(condition_latency, SPAWN.Process, SPAWN.Condition(), stamps, SPAWN.Event()),
    )
    between = {
        "multiprocessing_condition_p50_us": median(found["process_condition"]),
        "ratio_to_multiprocessing_condition": median_ratio(found["ring"], found["process_condition"]),
    }
    report_latency("wake_up_processes", found, **between)


def report_latency(name: str, found: dict[str, list[float]], target: float | None = None, **more: float) -> None:
    ratio = median_ratio(found["ring"], found["condition"])
    ours, limit = median(found["ring"]), median(found["condition"])
    all_us = {key: np.round(values, 1).tolist() for key, values in found.items()}
    figures = {"p50_us": ours, "condition_p50_us": limit, "turns": all_us, **more}
    if target is None:
        line(name, value=ratio, unit="of threading.Condition", **figures)
    else:
        report(name, ratio, "of threading.Condition", target=target, **figures)
