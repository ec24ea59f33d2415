"""Runs in a process of their own: started, seen and controlled from here, and outliving who started them."""

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from labdaq.errors import BusyError, DataError, LayoutError, NotFoundError, StateError, WaitTimeoutError
from labdaq.pipeline import Pipeline, RunState, attach
from labdaq.ring import system
from labdaq.roles import Parameter


def wait_until(condition, timeout=60.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def pulses():
    for number in itertools.count():
        yield np.full(10, float(number))


class Steps:
    height = Parameter(1.0, low=0, high=10)

    def acquire(self, event):
        event.data[...] = self.height


def test_parameters_are_changed_from_here_and_from_elsewhere(tmp_path):
    steps = Steps()
    daq = Pipeline("away", store=tmp_path)
    raw = daq.ring("raw", "f8", (10,), capacity=16)
    daq.source(steps, raw, name="steps")
    daq.drain(raw)
    with daq.start(detached=True) as run, attach(run.folder) as other:
        with run.observe("raw", latest=True) as tap:
            steps.height = 3.0
            wait_until(lambda: tap.latest(timeout=20).data[0] == 3.0)
            other.set_parameter("steps.height", 5)
            wait_until(lambda: tap.latest(timeout=20).data[0] == 5.0)
        with pytest.raises(LayoutError, match="not possible"):
            steps.height = 11
        with pytest.raises(LayoutError, match=r"11\.0 is not possible"):
            other.set_parameter("steps.height", 11)
        with pytest.raises(NotFoundError, match=r"no parameter 'steps.width'; there are steps.height"):
            other.set_parameter("steps.width", 1)
        assert daq.state == RunState.RUNNING
        with pytest.raises(BusyError):
            daq.start()
        daq.stop()
        run.wait(30)
        with pytest.raises(StateError, match="over"):
            other.set_parameter("steps.height", 2)
    text = (run.folder / "log.txt").read_text()
    assert "steps: height = 3.0 from event" in text
    assert "steps: height = 5.0 from event" in text
    assert "11.0 is not possible" in text


def endless(store):
    daq = Pipeline("away", store=store)
    raw = daq.ring("raw", "f8", (10,), capacity=16)
    daq.source(pulses, raw)
    daq.sink("data.parquet", raw)
    return daq


def test_seen_and_controlled_from_outside(tmp_path):
    run = endless(tmp_path).start(detached=True, comment="far away")
    with run, attach(run.folder) as other:
        wait_until(lambda: run.events > 10)
        assert run.state == RunState.RUNNING
        with run.observe("raw", latest=True) as tap:
            event = tap.read(timeout=20)
            assert event.data[0] == event.counter
        other.pause()
        wait_until(lambda: run.counts()["data.parquet"]["accepted"] == run.events)
        seen = run.events
        assert (run.state, run.events) == (RunState.PAUSED, seen)
        with pytest.raises(NotFoundError, match="raw"):
            run.ring("cooked")
        run.resume()
        wait_until(lambda: run.events > seen)
        with pytest.raises(WaitTimeoutError):
            run.wait(0)
        run.stop()
        assert run.wait(30) == RunState.ENDED
        assert run.counts()["data.parquet"]["accepted"] == run.events
        with pytest.raises(StateError, match="over"):
            run.pause()
    assert (run.folder / "data.parquet").is_file()


SCRIPT = """
import sys
from tests.pipeline.running.test_detached import endless
print(endless(sys.argv[1]).start(detached=True).folder, flush=True)
sys.stdin.read()
"""


def test_it_outlives_who_started_it_and_its_own_death_is_seen(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        folder = parent.stdout.readline().strip()
        parent.kill()
    with attach(folder) as run:
        seen = run.events
        wait_until(lambda: run.events > seen)
        os.kill(run._process.pid, signal.SIGKILL)
        assert run.wait(20) == RunState.FAILED
        assert run.events > seen  # what was counted stays
    system.clean()


def test_what_cannot_start_is_told_here(tmp_path):
    daq = Pipeline("away", store=tmp_path)
    raw = daq.ring("raw", "f8", capacity=16)
    daq.source(pulses, raw)
    with pytest.raises(LayoutError, match="nobody reads it"):
        daq.start(detached=True)
    daq.drain(raw)
    daq.source(iter([1.0]), daq.ring("more", "f8"), name="generator")
    daq.nodes["generator"].work = (number for number in range(3))  # a generator that runs stays where it is
    daq.drain(daq.rings["more"])
    with pytest.raises(LayoutError, match="cannot go to another process"):
        daq.start(detached=True)
    nowhere = Pipeline("away", store=None)
    nowhere.source(pulses, nowhere.ring("raw", "f8"))
    nowhere.drain(nowhere.rings["raw"])
    with pytest.raises(LayoutError, match="store"):
        nowhere.start(detached=True)


def test_no_run_or_a_damaged_one(tmp_path):
    with pytest.raises(NotFoundError, match="can be attached to"):
        attach(tmp_path)
    (tmp_path / "attach.json").write_text('{"name": 5}')
    with pytest.raises(DataError, match="damaged"):
        attach(tmp_path)
