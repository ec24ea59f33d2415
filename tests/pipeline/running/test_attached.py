"""Runs of other processes: found in every way, asked for things in order, and with a result at the end."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError, NotFoundError, StateError
from labdaq.pipeline import Pipeline, RunState, attach, open_run, runs
from labdaq.pipeline.running.requests import answered, ask, requests_in
from labdaq.ring import system
from labdaq.roles import Parameter
from tests.pipeline.making import LONG_S


class Steps:
    height = Parameter(1.0, low=0, high=1000)

    def acquire(self, event):
        time.sleep(1e-4)
        event.data[...] = self.height


def stepping(store, name="away"):
    daq = Pipeline(name, store=store)
    raw = daq.ring("raw", "f8", (10,), capacity=16, header={"unit": "V"})
    daq.source(Steps(), raw, name="steps")
    daq.sink("heights.csv" if raw.shape == () else "heights.parquet", raw)
    return daq


def wait_until(condition):
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def going(store):
    """Two runs that go on, of two pipelines."""
    away, other = (stepping(store, name).start(detached=True, comment=name) for name in ("away", "other"))
    with away, other:
        yield away, other
        for run in (away, other):
            run.stop()
            run.wait(LONG_S)


def test_a_run_is_found_by_whatever_stands_for_it(going, store):
    away, other = going
    (listed,) = runs(store, name="away")
    for which in (away.folder, str(away.folder), away.folder.name, "away", away.key, listed, away):
        with attach(which, store) as run:
            assert (run.name, run.number, run.key) == ("away", 1, away.key)
    with labdaq.DataStore(store) as opened, attach(opened.load_scan(other.key), store) as run:
        assert run.name == "other"
    with attach(1, store, name="other") as run:
        assert run.key == other.key
    with pytest.raises(NotFoundError, match=r"1: which run\? These go on: away 1 \(.*\); other 1 \(.*name="):
        attach(1, store)
    with pytest.raises(NotFoundError, match=r"no run 'muon'.*there are away 1, other 1"):
        attach("muon", store)
    with pytest.raises(NotFoundError, match="no folder no/where"):
        attach("no/where", store)
    with pytest.raises(LayoutError, match="is no run"):
        attach(1.5, store)


def test_what_is_known_of_it_is_public(going):
    away, _ = going
    assert away.rings == {"raw": {"unit": "V"}}
    assert away.nodes["steps"] == {"role": "source", "reads": [], "writes": ["raw"]}
    assert away.nodes["heights.parquet"]["reads"] == ["raw"]
    wait_until(lambda: away.events > 10)
    with attach(away.folder) as run:
        first, second = run.snapshot(), run.snapshot()
    assert first.state == "RUNNING"
    assert 0 < first.seconds <= second.seconds
    assert first.events <= second.events
    assert [ring.name for ring in second.rings] == ["raw"]
    assert second.rings[0].written >= first.rings[0].written > 0
    assert {node.name: node.role for node in second.nodes} == {"steps": "source", "heights.parquet": "sink"}
    assert second.nodes[0].states == ("working",)
    with pytest.raises(StateError, match="goes on"):
        assert away.result


def test_all_that_is_asked_at_the_same_moment_is_done_in_order(going, store):
    _, other = going
    heights = list(np.arange(2.0, 42.0))

    def ask_for(chosen):
        with attach(other.folder) as run:
            for height in chosen:
                run.set_parameter("steps.height", height)

    threads = [threading.Thread(target=ask_for, args=(heights[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    other.pause()
    other.resume()
    other.note("two  of\nthem")
    for thread in threads:
        thread.join()
    text = (other.folder / "log.txt").read_text()
    assert text.count("running -> paused") == text.count("paused -> running") == 1
    wait_until(lambda: (other.folder / "log.txt").read_text().count("steps: height = ") == len(heights))
    text = (other.folder / "log.txt").read_text()
    done = [float(line.split("height = ")[1].split()[0]) for line in text.splitlines() if "height = " in line]
    assert sorted(done) == heights
    for n in range(4):  # each of those who asked was heard in his order
        assert [height for height in done if height in heights[n::4]] == heights[n::4]
    with open_run(other.folder) as kept:
        assert [note.text for note in kept.notes] == ["two of them"]


def test_what_is_refused_comes_back_as_the_error_that_it_is_there(going):
    away, _ = going
    with pytest.raises(LayoutError, match=r"1001\.0 is not possible"):
        away.set_parameter("steps.height", 1001)
    with pytest.raises(NotFoundError, match=r"'steps.width'; there are steps.height"):
        away.set_parameter("steps.width", 1)
    with pytest.raises(LayoutError, match="says nothing"):
        away.note("  ")
    with pytest.raises(LayoutError, match="cannot go to the process"):
        away.set_parameter("steps.height", object())
    away.pause()
    away.pause()  # it is so already
    away.resume()
    with pytest.raises(LayoutError, match=r"nothing that can be asked"):
        answered(ask(away.folder, {"command": "fail"}), "a failure", LONG_S, lambda: True)
    assert away.state == RunState.RUNNING


def test_a_run_that_is_over_gives_the_result_that_its_own_process_had(tmp_path):
    with stepping(tmp_path).start(detached=True, events=50, comment="short") as run:
        assert run.wait(LONG_S) == RunState.ENDED
        result = run.result
        assert (result.state, result.events, result.number) == (RunState.ENDED, 50, 1)
        assert result.ledger["heights.parquet"].accepted == 50
        assert result.ledger.is_closed
        assert run.snapshot().state == "ENDED"
        assert run.snapshot().seconds == pytest.approx(result.seconds, rel=0.5)
        for late in (run.pause, lambda: run.note("late")):
            with pytest.raises(StateError, match="is over"):
                late()
    with attach("away", tmp_path) as again:  # there is only one
        assert again.result == result
    assert list(requests_in(run.folder)) == []


def test_a_run_that_was_killed_gives_what_its_files_tell(tmp_path):
    with stepping(tmp_path).start(detached=True) as run:
        wait_until(lambda: run.events > 20)
        run.note("before the end")
        os.kill(run._process.pid, signal.SIGKILL)
        assert run.wait(LONG_S) == RunState.FAILED
        assert run.result.state == RunState.FAILED
        assert "died" in run.result.reason
        assert run.result.events > 20
        assert run.result.ledger.is_closed
    with open_run(run.folder) as kept:
        assert [note.text for note in kept.notes] == ["before the end"]
    system.clean()


def test_notes_of_a_run_of_ones_own(tmp_path):
    with stepping(tmp_path) as daq:
        run = daq.start(events=100)
        run.note("rain")
        result = daq.wait(LONG_S)
        with pytest.raises(StateError, match="no run to note"):
            daq.note("snow")
        with pytest.raises(StateError, match="over"):
            run.note("sun")
    with open_run(result.folder) as kept:
        assert [note.text for note in kept.notes] == ["rain"]
        assert abs(kept.notes[0].time.timestamp() - time.time()) < 600
        assert "note    rain" in kept.log
        (result.folder / "notes.txt").unlink()
        assert [note.text for note in kept.notes] == ["rain"]  # it is in the store, too


def test_who_asks_a_run_that_does_not_hear_is_told(tmp_path):
    path = ask(tmp_path, {"note": "hello"})
    with pytest.raises(StateError, match="a note is not possible: the run is over"):
        answered(path, "a note", LONG_S, lambda: False)
    assert list(requests_in(tmp_path)) == []
    with pytest.raises(labdaq.errors.WaitTimeoutError, match="did not hear of a note"):
        answered(ask(tmp_path, {}), "a note", 0, lambda: True)


def test_what_cannot_be_read_is_answered_once_and_the_run_goes_on(tmp_path):
    with stepping(tmp_path) as daq:
        run = daq.start()
        (requests := run.folder / "requests").mkdir()
        for text in ("{{{", "[" * 60_000, "5", '{"note": [["a"]]}', f'{{"note": "{"a" * 70_000}"}}'):
            (requests / "1.part").write_text(text)
            path = (requests / "1.part").rename(requests / "1.json")
            with pytest.raises(LayoutError, match=r"unreadable.* is nothing that can be asked"):
                answered(path, "something", LONG_S, lambda: True)
        assert list(requests.iterdir()) == []
        assert run.state == RunState.RUNNING
        daq.stop()
        assert daq.wait(LONG_S).state == RunState.ENDED
    assert (run.folder / "log.txt").read_text().count("unreadable") == 5


def test_a_run_is_over_though_its_process_lives_on(tmp_path):
    with stepping(tmp_path) as daq:
        daq.is_shared = True
        with attach(daq.start(events=50).folder) as run:
            assert run.wait(LONG_S) == RunState.ENDED
            assert (run.is_over, run.is_alive, run.snapshot().rings) == (True, True, ())
            assert run.result == daq.wait(LONG_S)
            with pytest.raises(StateError, match="is over"):
                run.pause()
    with attach(run.folder) as late:
        assert (late.is_over, late.result.events) == (True, 50)
