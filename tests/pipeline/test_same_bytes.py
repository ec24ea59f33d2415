"""The same seed gives the same bytes: run again, in threads, in processes, and compiled."""

import hashlib

import numpy as np
import pytest

from labdaq import sim
from labdaq.files import read_csv, read_parquet
from labdaq.pipeline import Pipeline, RunState, open_run

PULSE = np.dtype([("height", "f4"), ("at", "i4")])
EVENTS = 300
FIRST_EVENTS = "eafb380a0ea7b23a"
"""Of the first 64 waveforms of seed 7 and their times: a change of it is a change of everybody's simulated data."""


def stamped(detector):
    """What a detector gives, with a dead time: otherwise that is measured, and differs from run to run."""

    def events():
        for waveform, timestamp_ns in detector:
            yield waveform, {"timestamp_ns": timestamp_ns, "deadtime": 0.25}

    return events


def deepest(data, out):
    """The lowest sample, where it is low enough."""
    lowest = 0
    for i in range(data.shape[0]):
        if data[i] < data[lowest]:
            lowest = i
    if data[lowest] > -0.12:
        return 0
    out[0]["height"] = -data[lowest]
    out[0]["at"] = lowest
    return 1


def taken(store, run_in, workers=2):
    """A run of the whole chain; the hash of what it kept in each of its places."""
    with Pipeline("muon", store=store) as daq:
        detector = sim.MuonDetector(seed=7, samples=500)
        raw = daq.ring("raw", detector.dtype, detector.shape, capacity=64)
        accepted = daq.ring("accepted", detector.dtype, detector.shape, capacity=64)
        pulses = daq.ring("pulses", PULSE, capacity=64)
        daq.source(stamped(detector), raw)
        daq.filter(deepest, raw, [accepted, pulses], workers=workers, run_in=run_in, name="deepest")
        daq.sink("pulses.csv", pulses, order="counter")
        daq.sink("waveforms.parquet", accepted, order="counter")
        daq.sink("store", accepted, order="counter")
        result = daq.run(events=EVENTS)
    assert result.state == RunState.ENDED, str(result)
    lines = (result.folder / "pulses.csv").read_bytes()
    waveforms = read_parquet(result.folder / "waveforms.parquet").records
    with open_run(result.folder) as run:
        table = run.table("accepted").records
    assert len(waveforms) == len(table) == len(read_csv(result.folder / "pulses.csv")) > EVENTS / 4
    return lines, digest(waveforms), digest(table)


def digest(records):
    hashed = hashlib.sha256()
    for name in records.dtype.names:
        hashed.update(f"{name} {records.dtype[name]}".encode())
        hashed.update(np.ascontiguousarray(records[name]).tobytes())
    return hashed.hexdigest()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return taken(tmp_path_factory.mktemp("first"), "threads")


@pytest.mark.promise("P9", "a seeded source, a filter, and files of three formats, with the filter in this place")
@pytest.mark.parametrize("run_in", ["threads", "processes", "compiled"])
def test_wherever_the_filter_runs_its_files_are_the_same(first, tmp_path, run_in, saw):
    again = taken(tmp_path, run_in)
    assert again == first
    saw("the same bytes as in threads")


@pytest.mark.promise("P9", "the first events of a seed, against a hash that is kept with the tests")
def test_the_first_events_of_a_seed_stay_what_they_were():
    batch = sim.MuonDetector(seed=7, samples=500).batch(64)
    hashed = hashlib.sha256(batch.waveforms.tobytes() + batch.timestamp_ns.tobytes())
    assert hashed.hexdigest()[:16] == FIRST_EVENTS
