"""Records per second from one process to another, Python on both ends, against mimoCoRB's buffer.

The writer copies each record in, with its counter, time stamp and dead time; the reader copies it out and adds
up its first value, so that nothing can be lost unseen. So does the peer, the script ``mimocorb_buffer.py``,
which is looked for in the folder that ``LABDAQ_BENCH_PEERS`` names and run by ``LABDAQ_BENCH_PYTHON`` (this
Python by default), which must have mimocorb. Ours and the peer's take turns.
"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labdaq
from tests.benchmarks.harness import SPAWN, cpu_seconds, in_turns, line, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

SMALL = {"dtype": [("x", "i4")], "shape": (1,)}
WAVEFORM = {"dtype": [(f"ch{c}", "f8") for c in "ABCD"], "shape": (4250,)}
SLOTS = 128  # as the peer has
BATCH = 4096
REPEATS = 5
INSTALL = "pip install mimocorb==1.0.2 numpy scipy pandas pyarrow pyyaml matplotlib"


# -------------------------------------------------------------------------------------------- ours


def write_one_by_one(writer: Any, dtype: Any, shape: tuple[int, ...], count: int) -> None:
    record = np.zeros(shape, dtype)
    first = record[record.dtype.names[0]]
    for i in range(count):
        first[0] = i
        writer.put(record)


def read_one_by_one(reader: Any, dtype: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    record = np.zeros(shape, dtype)
    first = record[record.dtype.names[0]]
    count = total = 0
    for event in reader:
        record[...] = event.data
        count += 1
        total += int(first[0])
    return count, total


def write_batches(writer: Any, dtype: Any, shape: tuple[int, ...], count: int) -> None:
    numbers = np.arange(count, dtype="i4").view(dtype).reshape(count, *shape)
    for begin in range(0, count, BATCH):
        block = numbers[begin : begin + BATCH]
        with writer.reserve(len(block)) as span:
            span.data[...] = block


def read_batches(reader: Any, dtype: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    records = np.zeros((BATCH, *shape), dtype)
    count = total = 0
    for span in reader.spans(BATCH):
        n = len(span)
        records[:n] = span.data
        count += n
        total += int(records["x"][:n].sum(dtype="i8"))
    return count, total


def writer_process(write: Callable[..., None], ring: labdaq.Ring, go: Any, count: int, results: Any) -> None:
    with ring, ring.writer() as writer:
        go.wait(60)
        used, begin = cpu_seconds(), time.monotonic()
        write(writer, ring.dtype, ring.shape, count)
        results.put({"begin": begin, "cpu": cpu_seconds() - used})
        ring.end()


def reader_process(read: Callable[..., tuple[int, int]], ring: labdaq.Ring, ready: Any, results: Any) -> None:
    with ring, ring.reader(group="all") as reader:
        ready.set()
        used = cpu_seconds()
        count, total = read(reader, ring.dtype, ring.shape)
        results.put({"end": time.monotonic(), "cpu": cpu_seconds() - used, "count": count, "total": total})


def records_per_second(
    write: Callable[..., None], read: Callable[..., Any], count: int, **frame: Any
) -> dict[str, float]:
    """Records per second between two new processes, and CPU time of both per record."""
    go, ready, results = SPAWN.Event(), SPAWN.Event(), SPAWN.SimpleQueue()
    with labdaq.Ring("records", space="shared", **frame) as ring:
        ring.group("all")
        processes = [
            SPAWN.Process(target=reader_process, args=(read, ring, ready, results)),
            SPAWN.Process(target=writer_process, args=(write, ring, go, count, results)),
        ]
        for process in processes:
            process.start()
        assert ready.wait(60)
        time.sleep(0.3)
        go.set()
        found = [results.get(), results.get()]
        for process in processes:
            process.join()
    both = {**found[0], **found[1]}
    assert (both["count"], both["total"]) == (count, count * (count - 1) // 2)
    seconds = both["end"] - both["begin"]
    return {"per_s": count / seconds, "cpu_us": 1e6 * (found[0]["cpu"] + found[1]["cpu"]) / count}


# ---------------------------------------------------------------------------------------- the peer


@functools.cache
def peer() -> tuple[list[str], str]:
    """The command of the peer, or nothing and the reason why there is none."""
    folder = os.environ.get("LABDAQ_BENCH_PEERS")
    if not folder:
        return [], "no peer: LABDAQ_BENCH_PEERS names no folder"
    script = Path(folder) / "mimocorb_buffer.py"
    if not script.is_file():
        return [], f"no peer: LABDAQ_BENCH_PEERS has no {script.name}"
    python = os.environ.get("LABDAQ_BENCH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import mimocorb"], capture_output=True).returncode:
        return (
            [],
            f"no peer: {python} has no mimocorb; in an environment, {INSTALL}, and name it in LABDAQ_BENCH_PYTHON",
        )
    return [python, str(script)], ""


def peer_records(case: str, scale: float) -> dict[str, float]:
    """The peer's figures for one writer and one reader process."""
    command = [*peer()[0], "--one", case, "1", "--scale", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["complete"], found
    return {"per_s": found["ev_per_s"], "cpu_us": found["cpu_us_per_event"]}


# ----------------------------------------------------------------------------------------- figures


def compare(name: str, ours: Callable[[], dict[str, float]], case: str, scale: float, target: float | None) -> None:
    """Run both in turns and print the line; without a peer, ours alone, and say why."""
    command, reason = peer()
    runs = {"ours": ours} | ({"peer": functools.partial(peer_records, case, scale)} if command else {})
    found = in_turns(REPEATS if command else 3, **runs)
    rates = {who: [one["per_s"] for one in turns] for who, turns in found.items()}
    figures: dict[str, Any] = {
        "records_per_s": median(rates["ours"]),
        "cpu_us_per_record": median(one["cpu_us"] for one in found["ours"]),
        "turns": rates,
    }
    if not command:
        line(name, value=None, unit="x mimocorb", target=target, met=None, skipped=reason, **figures)
        pytest.skip(reason)
    figures["mimocorb_records_per_s"] = median(rates["peer"])
    figures["mimocorb_cpu_us_per_record"] = median(one["cpu_us"] for one in found["peer"])
    ratio = median_ratio(rates["ours"], rates["peer"])
    if target is None:
        line(name, value=ratio, unit="x mimocorb", **figures)
    else:
        report(name, ratio, "x mimocorb", target=target, at_least=True, **figures)


def test_small_records_one_at_a_time():
    """One int32 at a time, 128 slots."""
    ours = functools.partial(records_per_second, write_one_by_one, read_one_by_one, 40_000, capacity=SLOTS, **SMALL)
    compare("processes_one_at_a_time", ours, "int32x1", 1.0, 4.0)


def test_small_records_in_batches():
    """One int32 per record, up to 4096 records per batch; the peer has no batches."""
    ours = functools.partial(records_per_second, write_batches, read_batches, 4_000_000, capacity=16 * BATCH, **SMALL)
    compare("processes_in_batches", ours, "int32x1", 1.0, 200.0)


def test_waveforms():
    """Four channels of 4250 float64 (136 kB), one at a time, 128 slots."""
    ours = functools.partial(records_per_second, write_one_by_one, read_one_by_one, 10_000, capacity=SLOTS, **WAVEFORM)
    compare("processes_waveforms", ours, "wave4x4250f8", 1.0, None)
