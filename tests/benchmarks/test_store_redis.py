"""Points through a Redis server, beside raw pipelined XADD of the same bytes to the same server.

The raw limit sends pipelines of as many entries as a careful program would; the store sends one point, or one
batch, at a time, and waits at the end until the server has acknowledged everything.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from labdaq.store import DataStore, EndOfStream, NumericStreamEncoder
from labdaq.testing.redis import redis_server
from tests.benchmarks.harness import SPAWN, in_turns, line, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

REPEATS = 5
TARGET = 0.7
LATENCY_US = 1000
# what one send holds, points in it, sends per turn, entries of a raw pipeline
CASES = {
    "scalars": (1.5, 1, 20_000, 200),
    "batches_1000": (np.arange(1000.0), 1000, 3000, 100),
    "vectors_16KiB": (np.arange(4096, dtype="i4"), 1, 3000, 50),
}


@pytest.fixture
def server() -> Iterator[Any]:
    with redis_server() as server:
        yield server


def raw(client: Any, payload: bytes, npoint: int, count: int, pipelined: int) -> float:
    """Sends per second of XADD in pipelines, to a stream that is deleted afterwards."""
    begin = time.perf_counter()
    for first in range(0, count, pipelined):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + pipelined, count)):
            pipeline.xadd("raw", {"payload": payload}, id=f"{number * npoint}-1")
        pipeline.execute()
    rate = count / (time.perf_counter() - begin)
    client.delete("raw")
    return rate


def ours(store: DataStore, point: Any, count: int) -> float:
    """Sends per second until the last is acknowledged."""
    array = np.asarray(point)
    scan = store.create_scan({"name": "speed", "number": 1, "data_policy": "none"})
    shape = array.shape if array.dtype.kind == "i" else ()
    stream = scan.create_stream("points", NumericStreamEncoder(array.dtype, shape))
    begin = time.perf_counter()
    for _ in range(count):
        stream.send(point)
    stream.join()
    rate = count / (time.perf_counter() - begin)
    scan.close()
    store.delete_scan(scan.key)
    return rate


@pytest.mark.parametrize("case", CASES)
def test_writing(server: Any, case: str):
    import redis

    point, npoint, count, pipelined = CASES[case]
    payload = np.asarray(point).tobytes()
    with redis.Redis.from_url(server.url) as client, DataStore(server.url) as store:
        runs: dict[str, Callable[[], float]] = {
            "raw": partial(raw, client, payload, npoint, count, pipelined),
            "store": partial(ours, store, point, count),
        }
        found = in_turns(REPEATS, **runs)
    rate = median(found["store"])
    report(
        f"redis_{case}",
        median_ratio(found["store"], found["raw"]),
        "of raw pipelined XADD",
        target=TARGET,
        at_least=True,
        points_per_s=rate * npoint,
        MB_per_s=rate * len(payload) / 1e6,
        raw_points_per_s=median(found["raw"]) * npoint,
    )


def follow(url: str, key: str, ready: Any, latencies: Any) -> None:
    with DataStore(url) as store:
        cursor = store.open_stream(key).cursor()
        found: list[float] = []
        ready.set()
        while True:
            try:
                _index, stamps = cursor.read(timeout=60)
            except EndOfStream:
                break
            now = time.monotonic_ns()
            found += [(now - int(stamp)) / 1e3 for stamp in stamps]
    latencies.put(found)


def test_latency(server: Any):
    """From `send` to the cursor of another process, one point every 5 ms."""
    with DataStore(server.url) as store:
        scan = store.create_scan({"name": "latency", "number": 1, "data_policy": "none"})
        stream = scan.create_stream("stamps", NumericStreamEncoder("i8"))
        ready, latencies = SPAWN.Event(), SPAWN.Queue()
        follower = SPAWN.Process(target=follow, args=(server.url, stream.key, ready, latencies))
        follower.start()
        assert ready.wait(60)
        for _ in range(400):
            stream.send(time.monotonic_ns())
            time.sleep(0.005)
        scan.close()
        found = np.array(latencies.get(timeout=60))
        follower.join()
    p50, p99 = np.percentile(found[20:], [50, 99])
    report("redis_latency", float(p50), "us", target=LATENCY_US, p99_us=float(p99), npoint=len(found))
    line("redis_latency_all", max_us=float(found.max()))
