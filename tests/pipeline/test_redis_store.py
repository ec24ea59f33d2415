"""Runs that are kept in a Redis store: all that a folder has, and what is left of one that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from labdaq.pipeline import Pipeline, Replay, RunState, attach, open_run, runs
from labdaq.store import DataStore
from labdaq.testing.redis import redis_server
from tests.pipeline.keeping import HEADER, PULSE, Detector, declared, waveforms

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder: files of sinks go to its folder runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_has_streams_facts_statistics_log_and_files(server, place):
    with declared(server.url, Detector(), ("pulses.csv", "pulses.parquet"), "whole") as daq:
        result = daq.run(comment="on Redis")
    assert result.state == RunState.ENDED, str(result)
    assert result.folder == place / "runs" / "whole_0001"
    with DataStore(server.url) as store:
        scan = store.load_scan(result.key)
        assert scan.state.name == "CLOSED"
        np.testing.assert_array_equal(scan.streams["raw"][:], waveforms())
        assert scan.streams["raw.counter"][:].tolist() == [3 * n for n in range(40)]
        assert scan.info["configuration"]["rings"]["raw"]["header"] == HEADER
        assert scan.info["result"]["events"] == 40
    (listed,) = runs(server.url, name="whole")
    assert (listed.number, listed.state, listed.events, listed.comment) == (1, "ended", 40, "on Redis")
    for which in (result.key, 1, result.folder, "whole_0001"):
        with open_run(which, server.url, name="whole" if which == 1 else None) as run:
            assert (run.key, run.state, run.result) == (result.key, "ended", result)
            np.testing.assert_array_equal(run.waveforms("raw"), waveforms())
            assert run.table("pulses").names[3:] == PULSE.names
            assert len(run.table("pulses.parquet")) == 20
            assert run.statistics["events"][-1] == 40
            assert "idle -> running" in run.log
            assert [one.value for one in run.parameters] == [30.0, 35.0]
            assert {"data_flow.svg", "log.txt", "statistics.csv"} <= {file.name for file in run.files}


def test_a_detached_run_is_found_there_and_gives_its_result(server, place):
    daq = Pipeline("far", store=server.url)
    raw = daq.ring("raw", "f4", (2, 50), capacity=64)
    daq.source(Detector(is_endless=True), raw, name="detector")
    daq.sink("store", raw)
    with daq.start(detached=True) as run, attach("far", server.url) as other:
        assert other.key == run.key
        other.note("over there")
        other.stop()
        assert run.wait(30) == RunState.ENDED
        assert run.result.ledger.is_closed
        assert run.result.key == run.key
    with open_run(run.key, server.url) as kept:
        assert [note.text for note in kept.notes] == ["over there"]
        assert len(kept.waveforms("raw")) == run.result.events


def test_a_run_is_opened_by_its_folder_alone(server, place, monkeypatch):
    with declared(server.url, Detector(), name="alone") as daq:
        result = daq.run(comment="by its folder")
    (listed,) = runs(server.url, name="alone")
    monkeypatch.chdir("/")
    for which in (result.folder, listed, result):
        with open_run(which) as run:
            assert (run.state, run.key, run.begun, run.comment) == ("ended", result.key, listed.begun, "by its folder")
            np.testing.assert_array_equal(run.waveforms("raw"), waveforms())
    replay = Replay(result.folder, ring="raw")
    with Pipeline("again", store=None) as daq:
        raw = daq.ring("raw", replay.dtype, replay.shape)
        daq.source(replay, raw)
        daq.drain(raw)
        assert daq.run().events == 40
    result.folder.rename(place / "alone_0001")
    with open_run(place / "alone_0001") as run:
        assert run.folder == place / "alone_0001"
        assert len(run.table("pulses")) == 20


def test_no_password_is_in_the_folder_and_without_its_server_it_tells_what_it_knows(place, caplog):
    with redis_server(password="sesame") as server:
        with declared(server.url, Detector(), name="secret") as daq:
            result = daq.run()
        text = [path.read_text() for path in result.folder.glob("*.json")]
        assert text
        assert not any("sesame" in one for one in text)
        with open_run(result.folder, server.url) as run:
            assert (run.key, run.state) == (result.key, "ended")
        assert not caplog.records
        with open_run(result.folder) as run:
            assert (run.key, run.state) == ("", "ended")
        assert "without its scan" in caplog.text
        assert "password" in caplog.text
    caplog.clear()
    with open_run(result.folder) as run:
        assert (run.state, run.result.events) == ("ended", 40)
        assert len(run.table("pulses.csv")) == 20
    assert result.key in caplog.text


PROGRAM = """
import sys
from tests.pipeline.keeping import Detector, declared
declared(sys.argv[1], Detector(is_endless=True), ("pulses.csv",), "victim").run()
"""


def test_what_is_left_of_a_run_whose_process_was_killed(server, place):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, server.url], cwd=place, env=environment) as program:
        rows = place / "runs" / "victim_0001" / "pulses.csv"
        until = time.monotonic() + 60
        while not rows.is_file() or rows.read_bytes().count(b"\n") < 60:
            assert time.monotonic() < until
            assert program.poll() is None
            time.sleep(0.01)
        (going,) = runs(server.url, name="victim")
        assert going.state == "running"
        program.send_signal(signal.SIGKILL)
    until = time.monotonic() + 60
    while not (found := runs(server.url, name="victim", state="cut")):
        assert time.monotonic() < until
        time.sleep(0.1)
    with open_run(found[0].key, server.url) as run:
        assert run.result.state == RunState.FAILED
        assert "died" in run.result.reason
        assert run.ledger.is_closed
        kept = run.waveforms("raw")
        assert len(kept) >= 50
        np.testing.assert_array_equal(kept, waveforms()[np.arange(len(kept)) % 40])
        assert len(run.table("pulses")) >= 59
        assert "detector: working" in str(run.left)
