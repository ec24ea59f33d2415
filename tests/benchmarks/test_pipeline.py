"""Whole pipelines: the muon suite and the hand-off of small records against mimoCoRB, and sinks per second.

The peer of the muon suite is the script beside this one, run by ``LABDAQ_BENCH_PYTHON`` (this Python by default),
which must have mimocorb and SciPy; that of the hand-off is the one of ``test_processes``. Peers take turns with ours.
"""

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labdaq import sim
from labdaq.kernels.decays import DECAY, decay_filter
from labdaq.pipeline import Pipeline
from tests.benchmarks.harness import in_turns, line, median, median_ratio, report
from tests.benchmarks.mimocorb_suite_settings import FIRST_MV, SECOND_MV, SIGNATURES
from tests.benchmarks.test_processes import INSTALL, peer, peer_records

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

EVENTS, PEER_EVENTS, REPEATS = 30_000, 3000, 5
SUITE = Path(__file__).with_name("mimocorb_suite.py")


class Pool:
    """Gives the same events again and again."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.dtype, self.shape, self._next = pool, pool.dtype, pool.shape[1:], 0

    def acquire_batch(self, events: Any) -> int:
        begin = self._next % len(self.pool)
        count = min(len(events.data), len(self.pool) - begin)
        events.data[:count] = self.pool[begin : begin + count]
        self._next += count
        return count


class MuonSuite:
    """Source, two filter workers, a table of pulses and a file of waveforms."""

    def __init__(self, pool: Any, folder: Path) -> None:
        self.daq = Pipeline("muon", store=folder)
        raw = self.daq.ring("raw", pool.dtype, pool.shape[1:], capacity=128)
        accepted = self.daq.ring("accepted", pool.dtype, pool.shape[1:], capacity=128)
        pulses = self.daq.ring("pulses", DECAY, capacity=1024)
        find = decay_filter(SIGNATURES, FIRST_MV, SECOND_MV, sample_interval_ns=10)
        self.daq.source(Pool(pool), raw)
        self.daq.filter(find, raw, [accepted, pulses], name="find", workers=2, run_in="compiled")
        self.daq.sink("pulses.csv", pulses)
        self.daq.sink("waveforms.parquet", accepted)
        self.run(500)

    def run(self, events: int = EVENTS) -> dict[str, float]:
        cpu_s = time.process_time()
        result = self.daq.run(events=events, drain_timeout_s=120)
        cpu_s = time.process_time() - cpu_s
        assert (result.ledger.is_closed, result.events) == (True, events)
        return {
            "per_s": events / result.seconds,
            "cpu_us": 1e6 * cpu_s / events,
            "accepted": result.ledger["find"].accepted / events,
        }


def suite_of_mimocorb(path: Path) -> dict[str, float]:
    python = os.environ.get("LABDAQ_BENCH_PYTHON", sys.executable)
    done = subprocess.run(
        [python, str(SUITE), str(path), str(PEER_EVENTS)], capture_output=True, text=True, check=True, timeout=300
    )
    found = json.loads(done.stdout.splitlines()[0])
    return {"per_s": found["events"] / found["seconds"], "accepted": found["accepted"] / found["events"]}


def test_muon_suite(tmp_path: Path) -> None:
    """Events per second from the pool to both files."""
    pool = sim.MuonStack(seed=1).batch(500).data
    np.save(tmp_path / "pool.npy", pool)
    suite = MuonSuite(pool, tmp_path / "runs")
    command, reason = peer()
    others = {"peer": functools.partial(suite_of_mimocorb, tmp_path / "pool.npy")} if command else {}
    found = in_turns(REPEATS, ours=suite.run, **others)
    suite.daq.close()
    rates = {who: [one["per_s"] for one in turns] for who, turns in found.items()}
    figures: dict[str, Any] = {
        "events_per_s": median(rates["ours"]),
        "cpu_us_per_event": median(one["cpu_us"] for one in found["ours"]),
        "accepted": found["ours"][0]["accepted"],
        "turns": rates,
    }
    if not command:
        line("muon suite", value=None, unit="x mimocorb", target=12, met=None, skipped=reason, **figures)
        pytest.skip(f"{reason} ({INSTALL})")
    assert found["peer"][0]["accepted"] == figures["accepted"]
    figures["mimocorb_events_per_s"] = median(rates["peer"])
    ratio = median_ratio(rates["ours"], rates["peer"])
    report("muon suite", ratio, "x mimocorb", target=12, at_least=True, **figures)


def numbers(count: int) -> Any:
    record = np.zeros(1, [("x", "i4")])
    for number in range(count):
        record["x"] = number
        yield record


class HandOff:
    """A generator in this process, and a function of an event in another."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.daq = Pipeline("hand-off", store=None)
        raw = self.daq.ring("raw", [("x", "i4")], (1,), capacity=128)
        self.daq.source(functools.partial(numbers, count), raw, name="numbers")
        self.daq.sink(look, raw, run_in="processes")

    def run(self) -> dict[str, float]:
        result = self.daq.run(drain_timeout_s=120)
        assert result.ledger["look"].accepted == self.count
        return {"per_s": self.count / result.seconds}


def look(event: Any) -> None:
    """Copy the record out."""
    np.array(event.data)


def test_one_event_at_a_time() -> None:
    """Records of 4 bytes, Python on both ends, two processes."""
    ours = HandOff(60_000)
    command, reason = peer()
    runs = {"ours": ours.run} | ({"peer": functools.partial(peer_records, "int32x1", 1.0)} if command else {})
    found = in_turns(REPEATS, **runs)
    ours.daq.close()
    rates = {who: [one["per_s"] for one in turns] for who, turns in found.items()}
    figures: dict[str, Any] = {"events_per_s": median(rates["ours"]), "turns": rates}
    name = "hand-off through a pipeline, one event at a time"
    if not command:
        line(name, value=None, unit="x mimocorb", target=4, met=None, skipped=reason, **figures)
        pytest.skip(f"{reason} ({INSTALL})")
    figures["mimocorb_events_per_s"] = median(rates["peer"])
    report(name, median_ratio(rates["ours"], rates["peer"]), "x mimocorb", target=4, at_least=True, **figures)


class Records:
    """Small records as fast as they go."""

    dtype = np.dtype([("delay", "f8"), ("height", "f4"), ("n", "i4")])
    shape = ()

    def acquire_batch(self, events: Any) -> int:
        events.data["delay"] = 2.25
        events.data["height"] = 0.125
        events.data["n"] = np.arange(len(events.data))
        return len(events.data)


@pytest.mark.parametrize(("name", "target", "count"), [("r.parquet", 500_000, 3_000_000), ("r.csv", 100_000, 600_000)])
def test_sinks(name: str, target: int, count: int, tmp_path: Path) -> None:
    """Small records per second into a file."""
    daq = Pipeline("records", store=tmp_path)
    raw = daq.ring("raw", Records.dtype, capacity=1 << 16)
    daq.source(Records(), raw)
    daq.sink(name, raw)
    daq.run(events=1000)
    rates = []
    for _ in range(REPEATS):
        result = daq.run(events=count, drain_timeout_s=120)
        assert result.ledger.is_closed
        rates.append(count / result.seconds)
    daq.close()
    report(f"small records to {name[1:]}", median(rates), "records/s", target=target, at_least=True, turns=rates)
