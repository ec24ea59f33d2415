"""Sources whose processes are killed go on where what they committed ends; nothing comes twice, nothing is missing."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from labdaq import sim
from labdaq.pipeline import Pipeline, RunState
from labdaq.pipeline.workers.resuming import Resumption, passed_over, resumption_of
from labdaq.ring import Ring
from labdaq.roles import Parameter
from tests.pipeline.making import LONG_S, Numbers, Seen


class Device:
    """Goes on, whoever looks: gives how often it was opened, as a device that was switched on anew."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def open(self) -> None:
        with Path(self.path).open("a") as file:
            file.write(".")

    def acquire(self, event) -> None:
        time.sleep(1e-4)
        event.data[:] = Path(self.path).stat().st_size


def endless():
    while True:
        time.sleep(1e-4)
        yield np.zeros(4)


def run_with_kills(source, kills, events, **settings):
    """A run whose source is killed so often while its events come; the result, the sink and the log."""
    with Pipeline("victim", **settings) as daq:
        raw = daq.ring("raw", getattr(source, "dtype", "f8"), getattr(source, "shape", (4,)), 64)
        daq.source(source, raw, name="source", run_in="processes")
        seen = daq.sink(Seen(), raw, name="look")
        run = daq.start(events=events, drain_timeout_s=LONG_S)
        for _ in range(kills):
            member = run.crew.members["source"][-1]
            had, until = len(seen.counters), time.monotonic() + LONG_S
            while not (member.row.get(1) and len(seen.counters) > had + 20) and not run.is_over:
                assert time.monotonic() < until
                time.sleep(0.001)
            if not run.is_over:
                os.kill(member.row.get(1), signal.SIGKILL)
                while run.crew.members["source"][-1] is member and not run.is_over:
                    time.sleep(0.001)
        result = daq.wait(LONG_S)
        text = (result.folder / "log.txt").read_text() if result.folder else ""
        return result, seen, text


def test_a_source_that_repeats_itself_gives_each_event_once_and_in_order(tmp_path):
    detector = sim.clocked(sim.MuonStack(seed=5), rate_hz=2000)
    result, seen, log = run_with_kills(detector, 2, 1000, store=tmp_path)
    assert result.state == RunState.ENDED, str(result)
    assert seen.counters == list(range(1000))
    expected = sim.MuonStack(seed=5).batch(1000)
    assert seen.values == expected.data.reshape(1000, -1)[:, 0].tolist()
    assert result.restarts == 2
    assert result.ledger.is_closed
    assert result.ledger["source"].device_losses == {}
    assert log.count("it is begun anew, and its first") == 2


def test_a_device_goes_on_with_what_comes_next_and_what_was_lost_is_counted(tmp_path):
    result, seen, log = run_with_kills(Device(tmp_path / "opened"), 1, 1000, store=tmp_path / "runs")
    assert result.state == RunState.ENDED, str(result)
    assert seen.counters == list(range(1000))
    assert set(seen.values) == {1.0, 2.0}
    assert seen.values == sorted(seen.values)
    assert result.ledger.is_closed
    assert "it is opened again and goes on with number" in log
    lost = int(log.split("goes on with number")[1].split(";")[1].split()[0])
    assert sum(result.ledger["source"].device_losses.values()) == lost


def test_of_another_generator_nobody_knows_where_it_stood(tmp_path):
    result, seen, log = run_with_kills(endless, 1, None, store=tmp_path)
    assert result.state == RunState.FAILED
    assert result.restarts == 0
    assert "nobody knows where it stood: give it a seed" in result.reason
    assert seen.counters == list(range(result.events))
    assert result.ledger.is_closed
    assert "was killed" in log


def test_it_is_not_restarted_more_often_than_is_allowed():
    class Deadly(Numbers):
        seed = 1

        def open(self) -> None:
            os._exit(7)

    with Pipeline("deadly", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 16)
        daq.source(Deadly(), raw, name="source", run_in="processes")
        daq.drain(raw)
        daq.nodes["source"].max_restarts = 0
        result = daq.run()
    assert result.state == RunState.FAILED
    assert (result.restarts, result.events) == (0, 0)
    assert "was killed (exit code 7); no more are started" in result.reason


class EveryFew:
    """Gives each so manieth number, from 0 on."""

    seed = 1
    every = Parameter(1, low=1)

    def open(self) -> None:
        self.at = -1

    def acquire(self, event) -> None:
        time.sleep(1e-4)
        self.at += 1
        while self.at % self.every:
            self.at += 1
        event.data[:] = self.at


def until(condition):
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_with_another_value_of_a_parameter_it_would_give_other_events(tmp_path):
    source = EveryFew()
    with Pipeline("changed", store=tmp_path) as daq:
        raw = daq.ring("raw", "f8", (4,), 64)
        daq.source(source, raw, name="source", run_in="processes")
        seen = daq.sink(Seen(), raw, name="look")
        run = daq.start(drain_timeout_s=LONG_S)
        until(lambda: len(seen.values) > 100)
        source.every = 2
        until(lambda: run.parameters and run.events > run.parameters[0][3] + 50)
        os.kill(run.crew.members["source"][-1].row.get(1), signal.SIGKILL)
        result = daq.wait(LONG_S)
    assert result.state == RunState.FAILED
    assert result.restarts == 0
    assert "its parameter 'every' was changed in this run" in result.reason
    changed = run.parameters[0][3]
    assert seen.values[:changed] == list(range(changed))
    assert set(np.diff(seen.values[changed:])) == {2.0}
    assert result.ledger.is_closed


class SlowAgain(Device):
    """Of the second time on it takes its time."""

    seed = 1

    def acquire(self, event) -> None:
        super().acquire(event)
        if event.data[0] > 1:
            time.sleep(0.1)


def test_a_stop_ends_the_passing_over(tmp_path):
    with Pipeline("slow", store=tmp_path / "runs") as daq:
        raw = daq.ring("raw", "f8", (4,), 64)
        daq.source(SlowAgain(tmp_path / "opened"), raw, name="source", run_in="processes")
        daq.drain(raw)
        run = daq.start()
        until(lambda: run.events > 500)  # for which it needs 50 s then
        os.kill(run.crew.members["source"][-1].row.get(1), signal.SIGKILL)
        log = run.folder / "log.txt"
        until(lambda: "source 'source' passes over" in log.read_text())
        daq.stop()
        result = daq.wait(LONG_S)
    assert result.state == RunState.ENDED, str(result)
    assert result.errors == ()
    assert "was stopped while it passed over" in log.read_text()
    assert result.ledger.is_closed


@pytest.mark.parametrize("gives", ["acquire", "acquire_batch", "__iter__"])
def test_events_are_passed_over_as_long_as_anything_is_wanted(gives):
    ring, asked = Ring("room", dtype="f8", shape=(4,), capacity=16), []

    def endless_numbers():
        while True:
            asked.append(1)
            yield 0.0

    ways = {"acquire": asked.append, "acquire_batch": lambda events: asked.append(1) or 0}
    source = endless_numbers if gives == "__iter__" else type("Source", (), {gives: staticmethod(ways[gives])})()
    passed_over(source, 10**9, ring, lambda: len(asked) < 3)
    assert len(asked) == 3
    ring.close()


def test_what_is_passed_over_is_closed_and_asked_for_its_losses(tmp_path):
    class Listed:
        seed = 1

        def __iter__(self):
            for number in range(200):
                time.sleep(1e-3)
                yield np.full(4, float(number))

        def losses(self):
            return {"dark": 3}

        def close(self):
            (tmp_path / "closed").touch()

    result, seen, _ = run_with_kills(Listed(), 1, None, store=tmp_path)
    assert result.state == RunState.ENDED, str(result)
    assert result.errors == ()
    assert seen.values == list(range(200))
    assert result.ledger["source"].device_losses == {"dark": 3}
    assert (tmp_path / "closed").exists()


def test_what_a_source_can_do_and_how_events_are_passed_over():
    ring = Ring("room", dtype="f8", shape=(4,), capacity=16)
    numbers = Numbers(100)
    numbers.open()
    assert passed_over(numbers, 70, ring).given == 70

    class Single:
        seed, at = 1, 0

        def acquire(self, event):
            self.at += 1
            if self.at == 3:
                raise ValueError("it always does")
            event.data[...] = self.at

    assert passed_over(Single(), 5, ring).at == 6  # one was an error, and no event

    class Quick:
        def skip(self, count):
            self.at = count

    assert passed_over(Quick(), 10**12, ring).at == 10**12

    class Again:
        seed = 3

        def __iter__(self):
            return iter(range(10))

    assert list(passed_over(Again(), 7, ring)) == list(passed_over(lambda: iter(range(10)), 7, ring)) == [7, 8, 9]
    assert resumption_of(Again()) is resumption_of(range(3)) is resumption_of(sim.MuonStack()) is Resumption.REPEATS
    assert resumption_of(Numbers()) is Resumption.GOES_ON
    assert resumption_of(endless) is resumption_of(iter([1])) is Resumption.NONE
    ring.close()
