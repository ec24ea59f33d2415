"""How fast an embedded store takes and gives points, against the plainest log that could do it.

The limit is the class ``Flat`` of the script ``embedded_limit.py``, which is looked for in the folder that
``LABDAQ_BENCH_PEERS`` names: one file of points and one of commit records with a CRC, written by two system calls,
read through one mapping; no segments, no catalogue, nobody who is woken, nothing forced to the disk. Both write the
same payloads to the same disk, in turns.
"""

import functools
import importlib.util
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labdaq.store import DataStore, NumericStreamEncoder, Stream
from tests.benchmarks.harness import SPAWN, in_turns, line, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

REPEATS = 9
SLICE = 100  # vectors that are read at once
PACE_S = 2e-3
WARM, COUNT = 100, 1000

Case = tuple[str, tuple[int, ...], Any, int]  # dtype and shape of a point, what is sent each time, and how often
SCALARS: Case = ("f8", (), 1.5, 20_000)
BATCHES: Case = ("f8", (), np.arange(1000.0), 3_000)
VECTORS: Case = ("i4", (4096,), np.arange(4096, dtype="i4"), 2_000)


@functools.cache
def peer() -> tuple[Any, str]:
    """The class of the limit, or None and the reason why there is none."""
    folder = os.environ.get("LABDAQ_BENCH_PEERS")
    if not folder:
        return None, "no peer: LABDAQ_BENCH_PEERS names no folder"
    script = Path(folder) / "embedded_limit.py"
    if not script.is_file():
        return None, f"no peer: LABDAQ_BENCH_PEERS has no {script.name}"
    spec = importlib.util.spec_from_file_location("embedded_limit", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Flat, ""


def new_stream(store: DataStore, dtype: str, shape: tuple[int, ...]) -> Stream:
    scan = store.create_scan({"name": "benchmark", "number": 1, "data_policy": "none"})
    return scan.create_stream("points", NumericStreamEncoder(dtype, shape))


def timed(call: Callable[[Any], object], payload: Any, count: int) -> float:
    """Seconds for so many calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call(payload)
    return time.perf_counter() - begin


def write_ours(case: Case) -> float:
    dtype, shape, payload, count = case
    with tempfile.TemporaryDirectory() as folder, DataStore(folder) as store:
        stream = new_stream(store, dtype, shape)
        stream.send(payload)
        return count / timed(stream.send, payload, count)


def write_flat(case: Case) -> float:
    dtype, shape, payload, count = case
    payload = np.full(1, payload) if isinstance(payload, float) else payload
    with tempfile.TemporaryDirectory() as folder:
        log = peer()[0](folder, dtype, shape)
        log.append(payload)
        try:
            return count / timed(log.append, payload, count)
        finally:
            log.close()


def read_slices(get: Callable[[int, int], Any], count: int) -> float:
    """Vectors per second, each of which is added up."""
    begin, total = time.perf_counter(), 0
    for start in range(0, count, SLICE):
        total += int(get(start, start + SLICE).sum(dtype="i8"))
    elapsed = time.perf_counter() - begin
    assert total == count * int(VECTORS[2].sum(dtype="i8"))
    return count / elapsed


def compare(name: str, target: float, ours: Callable[[], float], limit: Callable[[], float], payload: Any) -> None:
    """Run both in turns and print the line; without the limit, ours alone, and say why."""
    flat, reason = peer()
    found = in_turns(REPEATS if flat else 3, ours=ours, **({"flat": limit} if flat else {}))
    rate, array = median(found["ours"]), np.asarray(payload)
    per_call = array.size if name == "store_batches" else 1
    figures = {
        "points_per_s": rate * per_call,
        "MB_per_s": rate * array.nbytes / 1e6,
        "turns": {who: [round(one) for one in turns] for who, turns in found.items()},
    }
    if not flat:
        line(name, value=None, unit="of a flat log", target=target, met=None, skipped=reason, **figures)
        pytest.skip(reason)
    ratio = median_ratio(found["ours"], found["flat"])
    report(name, ratio, "of a flat log", target=target, at_least=True, **figures)


@pytest.mark.parametrize(
    ("name", "case", "target"),
    [("store_scalars", SCALARS, 0.5), ("store_batches", BATCHES, 0.8), ("store_vectors", VECTORS, 0.8)],
)
def test_writing(name: str, case: Case, target: float):
    """One number at a time, batches of 1000 numbers, vectors of 16 KiB."""
    compare(name, target, functools.partial(write_ours, case), functools.partial(write_flat, case), case[2])


def test_reading():
    """Vectors of 16 KiB, by slices of 100, each opened anew and added up."""
    dtype, shape, payload, count = VECTORS
    with tempfile.TemporaryDirectory() as folder, DataStore(folder) as store:
        stream = new_stream(store, dtype, shape)
        timed(stream.send, payload, count)
        flat = Path(folder) / "flat"
        flat.mkdir()
        if peer()[0]:
            log = peer()[0](flat, dtype, shape)
            timed(log.append, payload, count)
            log.close()

        def ours() -> float:
            seen = store.open_stream(stream.key)
            try:
                return read_slices(lambda start, stop: seen[start:stop], count)
            finally:
                seen.close()

        def limit() -> float:
            log = peer()[0](flat, dtype, shape, write=False)
            try:
                return read_slices(log.read, count)
            finally:
                log.close()

        compare("store_vectors_read", 0.5, ours, limit, payload)


# ------------------------------------------------------------------------------------------- latency


def follow(url: str, key: str, ready: Any, results: Any) -> None:
    """Note how long each point, which is the time when it was sent, needed to come here."""
    with DataStore(url) as store:
        cursor = store.open_stream(key).cursor()
        cursor.read(block=True, timeout=0.01)  # load the machine code of waiting
        ready.set()
        delays: list[float] = []
        while len(delays) < WARM + COUNT:
            _index, points = cursor.read(timeout=60)
            now = time.monotonic_ns()
            delays += [(now - int(sent)) / 1e6 for sent in points]
        results.put(delays[WARM:])


def test_latency():
    """From `send` to the cursor of another process, which sleeps in between: milliseconds."""
    ready, results = SPAWN.Event(), SPAWN.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, DataStore(folder) as store:
        stream = new_stream(store, "i8", ())
        follower = SPAWN.Process(target=follow, args=(store.url, stream.key, ready, results))
        follower.start()
        assert ready.wait(60)
        for _ in range(WARM + COUNT):
            time.sleep(PACE_S)
            stream.send(time.monotonic_ns())
        delays = results.get()
        follower.join()
        follower.close()
    results.close()
    p50, p99 = (float(one) for one in np.percentile(delays, [50, 99]))
    report("store_latency_p50", p50, "ms", target=1.0, largest=max(delays), sends=COUNT, pace_ms=1e3 * PACE_S)
    report("store_latency_p99", p99, "ms", target=5.0)


def test_threads():
    """Threads of a process that writes a hundred streams of a scan."""
    with tempfile.TemporaryDirectory() as folder, DataStore(folder) as store:
        scan = store.create_scan({"name": "benchmark", "number": 1, "data_policy": "none"})
        streams = [scan.create_stream(f"s{n}", NumericStreamEncoder("f8")) for n in range(100)]
        for stream in streams:
            stream.send(1.0)
        threads = threading.active_count()
        begin = time.perf_counter()
        scan.close()
        sealing = time.perf_counter() - begin
    report("store_threads", threads, "threads", target=3, streams=len(streams), sealing_s=sealing)
