"""Sources of every form: numbered without gaps, counted, stopped and paused as they should."""

import threading
import time

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.pipeline import Pipeline, RunState
from tests.pipeline.making import LONG_S, Numbers, Seen, values


class One:
    """Gives one event at a time; every third call raises."""

    def __init__(self, count: int = 1 << 40, fails: bool = False) -> None:
        self.count, self.fails, self.calls, self.closed = count, fails, 0, 0

    def open(self) -> None:
        self.calls = 0

    def acquire(self, event) -> None:
        self.calls += 1
        if self.calls > self.count:
            raise EndOfDataError("no more")
        if self.fails and self.calls % 3 == 0:
            raise OSError("a bad read")
        event.data[:] = self.calls

    def losses(self):
        return {"overflow": 4, "parity": 0}

    def close(self) -> None:
        self.closed += 1


class Pushing:
    """Calls from a thread of its own."""

    def __init__(self, records, **known) -> None:
        self.records, self.known, self.finished, self.answers = records, known, False, []

    def start(self, put) -> None:
        def push() -> None:
            for record in self.records:
                self.answers.append(put(record, **self.known))
            self.finished = True

        self._thread = threading.Thread(target=push)
        self._thread.start()

    def stop(self) -> None:
        self._thread.join()


def run(source, capacity=64, events=None, **settings):
    with Pipeline("intake", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), capacity)
        daq.source(source, raw, name="source", **settings)
        seen = daq.sink(Seen(), raw, name="look")
        result = daq.run(events=events)
    assert result.ledger.is_closed, str(result)
    return result, seen


@pytest.mark.parametrize(
    "source",
    [One(25), Numbers(25), values(25), list(values(25)()), values(25)(), Pushing(list(values(25)()))],
    ids=["acquire", "batch", "function", "list", "generator", "push"],
)
def test_every_form_is_numbered_from_0_without_gaps(source):
    result, seen = run(source)
    assert seen.counters == list(range(25))
    assert (result.state, result.events, result.reason) == (RunState.ENDED, 25, "the source has ended")


@pytest.mark.parametrize("source", [One(), Numbers(), values(1000), Pushing(list(values(40)()))])
@pytest.mark.parametrize("events", [0, 7])
def test_a_run_takes_as_many_events_as_it_was_told(source, events):
    result, seen = run(source, events=events)
    assert seen.counters == list(range(events))
    assert (result.events, result.reason) == (events, f"{events} events taken")


def test_several_sources_together_take_as_many_as_the_run_was_told():
    with Pipeline("several", store=None) as daq:
        rings = [daq.ring(f"raw{n}", "f8", (4,), 32) for n in range(2)]
        sources = [One(fails=True), Numbers(), values(10**6), One(), Numbers()]
        for n, source in enumerate(sources):
            daq.source(source, rings[n % 2], name=f"source{n}", max_errors=10**6)
        sinks = [daq.sink(Seen(), ring) for ring in rings]
        for events in (1001, 64):
            for sink in sinks:
                sink.counters.clear()
            result = daq.run(events=events)
            assert result.events == events
            assert sorted(sinks[0].counters + sinks[1].counters) == list(range(events))
            assert result.ledger.is_closed


def test_a_read_that_fails_is_told_leaves_no_gap_and_too_many_end_the_run():
    source = One(fails=True)
    result, seen = run(source, events=20, max_errors=50)
    assert seen.counters == list(range(20))
    assert result.nerror == 9
    assert "OSError: a bad read" in result.errors[0]
    assert result.state == RunState.ENDED
    result, seen = run(source, max_errors=2)
    assert (result.state, seen.counters) == (RunState.FAILED, [0, 1, 2, 3])
    assert "source 'source' gave up after 2 errors" in result.reason
    assert source.closed == 2


def test_what_a_device_lost_is_in_the_ledger():
    result, _ = run(One(3))
    assert result.ledger["source"].device_losses == {"overflow": 4}
    assert "lost by the device (overflow) 4" in str(result)


def test_records_that_do_not_fit_are_discarded_and_told():
    result, seen = run([np.zeros(4), np.zeros(5), "no", np.ones(4)])
    assert seen.counters == [0, 1]
    node = result.ledger["source"]
    assert (node.received, node.accepted, node.discarded) == (4, 2, 2)
    assert "takes float64 of shape (4,)" in result.errors[0]


@pytest.mark.parametrize("wrong", [-1, 10**6, "3", 2.5, None])
def test_a_batch_source_must_say_how_many_it_filled(wrong):
    class Wrong:
        def acquire_batch(self, events):
            return wrong

    result, _ = run(Wrong(), max_errors=1)
    assert result.state == RunState.FAILED
    assert f"events it filled, and returned {wrong!r}" in result.errors[0]


def test_counters_stamps_and_dead_times_of_a_source_are_kept_and_checked():
    class Own(One):
        def acquire(self, event):
            super().acquire(event)
            event.counter, event.timestamp_ns, event.deadtime = 10 * self.calls, 77, 0.25
            if self.calls == 2:
                event.counter = "two"

    class Whole(Seen):
        def write(self, events):
            super().write(events)
            self.rest = events.planes["timestamp_ns"].tolist() + events.planes["deadtime"].tolist()

    with Pipeline("own", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 64)
        daq.source(Own(2), raw)
        seen = daq.sink(Whole(), raw)
        result = daq.run()
    assert (seen.counters, seen.rest) == ([10], [77, 0.25])
    assert "counter='two'" in result.errors[0]
    assert result.ledger["Own"].discarded == 1


def test_a_push_source_discards_what_has_no_room_or_waits_for_it():
    gate = threading.Event()

    def slowly(event):
        gate.wait(LONG_S)

    for when_full, kept in (("discard", 4), ("wait", 12)):
        gate.clear()
        source = Pushing(list(values(12)()))
        with Pipeline("full", store=None) as daq:
            raw = daq.ring("raw", "f8", (4,), 4)
            daq.source(source, raw, name="source", when_full=when_full)
            daq.sink(slowly, raw)
            daq.start()
            if when_full == "discard":
                until = time.monotonic() + LONG_S
                while not source.finished and time.monotonic() < until:
                    time.sleep(0.001)
            gate.set()
            result = daq.wait(LONG_S)
        node = result.ledger["source"]
        assert (node.accepted, node.discarded) == (kept, 12 - kept)
        assert result.ledger.is_closed


@pytest.mark.parametrize(
    ("source", "when_paused"),
    [(One(), "discard"), (Numbers(), "discard"), (values(10**9), "discard"), (One(), None), (Numbers(), None)],
)
def test_a_pause_holds_the_source_or_discards_and_counts(source, when_paused):
    with Pipeline("pausing", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 32)
        daq.source(source, raw, name="source", when_paused=when_paused)
        seen = daq.sink(Seen(), raw)
        run = daq.start(drain_timeout_s=LONG_S)
        row = run.crew.members["source"][0].row

        def until(condition):
            deadline = time.monotonic() + LONG_S
            while not condition():
                assert time.monotonic() < deadline
                time.sleep(0.001)

        until(lambda: seen.counters)
        daq.pause()
        if when_paused == "discard":
            until(lambda: row.counts()["discarded"] > 10)
        daq.resume()
        before = len(seen.counters)
        until(lambda: len(seen.counters) > before)
        daq.stop()
        result = daq.wait()
    assert seen.counters == list(range(result.events))
    assert (result.ledger["source"].discarded > 10) == (when_paused == "discard")
    assert result.ledger.is_closed


def test_what_is_no_source_is_refused():
    with Pipeline("none", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,))
        with pytest.raises(LayoutError, match=r"3.5 is no source: it needs acquire"):
            daq.source(3.5, raw)
        assert daq.state == RunState.IDLE


def test_an_array_gives_its_rows():
    with Pipeline("rows", store=None) as daq:
        raw = daq.ring("raw", "f4", (3,))
        daq.source(np.arange(12, dtype="f4").reshape(4, 3), raw, name="rows")
        seen = daq.sink(Seen(), raw)
        assert daq.run().events == 4
    assert seen.values == [0.0, 3.0, 6.0, 9.0]
