"""The work of one filter, shared by processes that join through a Redis server: how the rate grows with members.

The work of an event is either 2 ms of waiting, as for another device, where members are limited by nothing but their
coordination; or about 1 ms of Python, where they share the cores of this machine.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labdaq.pipeline import Pipeline, SharedMember, shared
from labdaq.pipeline.workers.board import W_WRITTEN
from labdaq.testing.redis import redis_server
from tests.benchmarks.harness import SPAWN, line, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

WINDOW_S = 3.0
TARGET = 0.8  # of as many times the rate of one member


def waiting(event: Any) -> bool:
    time.sleep(0.002)
    return event.counter >= 0


def computing(event: Any) -> bool:
    return sum(number * number for number in range(10_000)) > event.counter


WORKS = {"waiting": waiting, "computing": computing}


def member(url: str, name: str) -> None:
    with SharedMember(url, name, WORKS[name], timeout=60) as one:
        one.run()


def numbers() -> Iterator[np.ndarray]:
    record = np.zeros(512)  # 4 KiB
    while True:
        yield record


def rate(url: str, name: str, count: int) -> float:
    """Events per second with so many members, once all are there."""
    with Pipeline("bench", store=None) as daq:
        raw, found = daq.ring("raw", "f8", (512,), 1024), daq.ring("found", "f8", (512,), 1024)
        daq.source(numbers, raw)
        daq.filter(shared(WORKS[name], url, name), raw, found, name="find")
        daq.drain(found)
        run = daq.start(drain_timeout_s=60)
        members = [SPAWN.Process(target=member, args=(url, name)) for _ in range(count)]
        for one in members:
            one.start()
        gateway = run.crew.members["find"][0]
        while gateway.host._worker._nmembers < count:
            time.sleep(0.05)
        warm = gateway.row.get(W_WRITTEN) + 300 * count
        while gateway.row.get(W_WRITTEN) < warm:  # all of them are at it
            time.sleep(0.05)
        before, begin = gateway.row.get(W_WRITTEN), time.perf_counter()
        time.sleep(WINDOW_S)
        found_rate = (gateway.row.get(W_WRITTEN) - before) / (time.perf_counter() - begin)
        daq.stop()
        assert daq.wait().ledger.is_closed
        for one in members:
            one.join()
    return found_rate


@pytest.mark.parametrize("name", WORKS)
def test_throughput_grows_with_members(name: str):
    counts = (1, 2, 4) if name == "waiting" else (1, 2)
    with redis_server() as server:
        found = {count: rate(server.url, name, count) for count in counts}
    line(f"shared_work_{name}_rates", events_per_s={str(count): one for count, one in found.items()})
    most = counts[-1]
    report(
        f"shared_work_{name}",
        found[most] / found[1] / most,
        f"of {most} times one member",
        target=TARGET,
        at_least=True,
    )
