"""Run control: from one run to the next, and every way in which one can end."""

import asyncio
import threading
import time

import numpy as np
import pytest

from labdaq.errors import BusyError, LayoutError, ResourceError, StateError, WaitTimeoutError
from labdaq.pipeline import Pipeline, RunState
from labdaq.pipeline.running.snapshots import snapshot_of
from labdaq.roles import Parameter
from tests.pipeline.making import LONG_S, Numbers, Seen, chain, values


def until(condition) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Waiting:
    """A source that gives three events and then waits for a fourth that never comes."""

    def __init__(self) -> None:
        self.given, self.waits, self.let_go = 0, threading.Event(), threading.Event()

    def acquire(self, event) -> None:
        if self.given == 3:
            self.waits.set()
            self.let_go.wait(LONG_S)
            raise OSError("interrupted")
        event.data[:] = self.given
        self.given += 1


class Interruptible(Waiting):
    """The same, and it can be told to stop waiting."""

    def interrupt(self) -> None:
        self.let_go.set()


def test_rings_and_taps_stay_from_run_to_run_and_nothing_of_the_run_before_is_seen():
    gate = threading.Event()

    def hold(event):
        gate.wait(LONG_S)
        return True

    with Pipeline("again", store=None) as daq:
        seen = chain(daq, hold, capacity=16)
        raw = daq.rings["raw"]
        tap = daq.observe(raw)
        assert tap.waiting() is None
        with pytest.raises(WaitTimeoutError, match="no memory before the first run"):
            tap.read(timeout=0)
        daq.start()
        memory = raw.memory()
        until(lambda: raw.statistics().fill == 1.0)
        daq.abort()
        gate.set()
        first = daq.wait(LONG_S)
        assert (first.state, first.reason) == (RunState.FAILED, "asked to")
        assert first.ledger.is_closed
        assert first.ledger["find"].undelivered > 0
        for _ in range(2):
            seen.counters.clear()
            while tap.waiting() is not None:
                pass
            assert daq.run(events=10).ledger.is_closed
            assert seen.counters == list(range(10))
            assert tap.latest(timeout=LONG_S).data[0] == 9
        assert raw.memory() is memory
        assert first.number + 2 == daq.last.number


def test_one_run_at_a_time_and_what_is_wired_wrong_does_not_start():
    with Pipeline("one", store=None) as daq:
        with pytest.raises(StateError, match="nothing runs"):
            daq.stop()
        with pytest.raises(LayoutError, match="has no source"):
            daq.start()
        raw = daq.ring("raw", "f8", (4,))
        daq.source(Numbers(), raw)
        with pytest.raises(LayoutError, match="nobody reads it"):
            daq.start()
        daq.drain(raw)
        for wrong in ({"events": -1}, {"events": 2.5}, {"seconds": float("nan")}, {"drain_timeout_s": -1}):
            with pytest.raises(LayoutError):
                daq.start(**wrong)
        with pytest.raises(ResourceError, match="MiB are missing on the disk"):
            daq.start(min_free_nbytes=1 << 60)
        daq.start()
        with pytest.raises(BusyError, match="is on, or about to end: stop it"):
            daq.start()
        with pytest.raises(StateError, match="between two runs only"):
            daq.ring("more", "f8")
        daq.pause()
        daq.pause()
        with pytest.raises(WaitTimeoutError):
            daq.wait(timeout=0)
        daq.resume()
        daq.stop()
        assert daq.wait(LONG_S).ledger.is_closed


def test_a_run_ends_after_its_time_and_may_be_awaited():
    with Pipeline("timed", store=None) as daq:
        seen = chain(daq, lambda event: event.counter % 2 == 0)
        result = asyncio.run(daq.run_async(seconds=0.05))
    assert result.state == RunState.ENDED
    assert result.seconds >= 0.05
    assert seen.counters == list(range(0, result.events, 2))


def test_stop_before_the_intake_began_ends_without_any_event():
    class Slow(Seen):
        def open(self, folder):
            began.set()
            gate.wait(LONG_S)

    began, gate = threading.Event(), threading.Event()
    with Pipeline("early", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,))
        daq.source(Numbers(), raw)
        daq.sink(Slow(), raw)
        daq.start(drain_timeout_s=LONG_S)
        assert began.wait(LONG_S)
        daq.stop()
        gate.set()
        result = daq.wait(LONG_S)
    assert (result.state, result.events) == (RunState.ENDED, 0)


@pytest.mark.parametrize("command", ["stop", "abort"])
@pytest.mark.parametrize("source", [Waiting, Interruptible])
def test_a_source_that_waits_for_ever_does_not_keep_a_run_from_ending(source, command):
    source = source()
    with Pipeline("waiting", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,))
        daq.source(source, raw, name="source")
        seen = daq.sink(Seen(), raw)
        daq.start(drain_timeout_s=LONG_S)
        assert source.waits.wait(LONG_S)
        until(lambda: len(seen.counters) == 3)
        getattr(daq, command)()
        result = daq.wait(LONG_S)
        assert result.state == (RunState.ENDED if command == "stop" else RunState.FAILED)
        assert result.events == 3
        assert result.ledger.is_closed
        assert result.stuck == (() if isinstance(source, Interruptible) else ("source-1",))
        source.let_go.set()


@pytest.mark.parametrize("run_in", ["threads", "processes"])
def test_a_filter_that_does_not_return_is_ended_and_the_books_close(run_in, tmp_path):
    gate = threading.Event()

    def stuck_thread(event):
        if event.counter == 5:
            (tmp_path / "stuck").touch()
            gate.wait(LONG_S)
        return True

    def stuck_process(event):
        import time

        if event.counter == 5:
            (tmp_path / "stuck").touch()
            time.sleep(1000)
        return True

    with Pipeline("stuck", store=None) as daq:
        seen = chain(daq, stuck_thread if run_in == "threads" else stuck_process, capacity=16, run_in=run_in)
        daq.start(drain_timeout_s=0.1)
        until((tmp_path / "stuck").exists)
        until(lambda: daq.rings["raw"].statistics().fill >= 0.75)
        daq.stop()
        result = daq.wait(LONG_S)
        assert result.state == RunState.FAILED
        assert result.reason == "asked to; not drained after 0.1 s"
        assert result.stuck == (("find-1",) if run_in == "threads" else ())
        assert "did not return" in result.errors[0]
        assert result.ledger.is_closed, str(result)
        assert result.ledger["find"].undelivered >= 11
        assert seen.counters == list(range(len(seen.counters)))
        gate.set()
    assert daq.last is result


@pytest.mark.parametrize("run_in", ["threads", "processes"])
def test_abort_with_full_rings_ends_everybody(run_in):
    let_go = threading.Event()

    class Stopped(Seen):
        def write(self, events):
            let_go.wait(0.3)
            super().write(events)

    def find(event):
        return [event.data, event.data]

    with Pipeline("full", store=None) as daq:
        seen = chain(daq, find, capacity=8, sink=Stopped(), workers=2, run_in=run_in)
        daq.start()
        until(lambda: all(ring.statistics().fill >= 0.5 for ring in daq.rings.values()))
        daq.abort()
        result = daq.wait(LONG_S)
        let_go.set()
    assert result.state == RunState.FAILED
    assert result.ledger.is_closed, str(result)
    assert result.ledger["find"].undelivered > 0
    assert result.ledger["look"].accepted == len(seen.counters)
    assert result.stuck == ()


def test_parameters_change_at_the_border_of_an_event_and_are_recorded():
    level = Parameter(0.0, unit="V", low=0, high=10)

    def find(event):
        before = level.value
        time.sleep(1e-4)
        assert level.value == before
        return np.full(4, before)

    with Pipeline("parameters", store=None) as daq:
        seen = chain(daq, find)
        assert list(daq.parameters) == ["find.level"]
        run = daq.start()
        for value in (1.0, 2.0):
            until(lambda: seen.values and seen.values[-1] == level.value)
            level.set(value)
        with pytest.raises(LayoutError, match=r"11\.0 V is not possible"):
            level.set(11)
        until(lambda: seen.values[-1] == 2.0)
        daq.stop()
        result = daq.wait(LONG_S)
        level.set(3.0)
    assert level.value == 3.0
    assert result.nerror == 0, result.errors
    changes = [(counter, value) for _, _, value, counter in run.parameters]
    assert [value for _, value in changes] == [1.0, 2.0]
    expected = [max((v for c, v in changes if c <= n), default=0.0) for n in range(len(seen.values))]
    assert seen.values == expected


def test_a_sink_that_cannot_write_fails_the_run_and_what_it_did_not_keep_is_counted():
    class Full(Seen):
        def write(self, events):
            if len(self.counters) > 20:
                raise ResourceError("no room")
            super().write(events)

    with Pipeline("disk", store=None) as daq:
        seen = chain(daq, lambda event: True, sink=Full())
        result = daq.run()
    assert result.state == RunState.FAILED
    assert "sink 'look' cannot go on: no room" in result.reason
    node = result.ledger["look"]
    assert (node.accepted, node.quarantined) == (len(seen.counters), 0)
    assert node.undelivered == node.received - len(seen.counters)
    assert result.ledger.is_closed
    assert result.nerror == 1


def test_a_batch_on_which_a_sink_raises_is_set_apart(tmp_path):
    class Choosy(Seen):
        def write(self, events):
            if 0 in events.planes["counter"]:
                raise ValueError("not this one")
            super().write(events)

    with Pipeline("choosy", store=tmp_path) as daq:
        raw = daq.ring("raw", "f8", (4,), 8)
        daq.source(values(50), raw)
        seen = daq.sink(Choosy(), raw, name="look")
        result = daq.run()
    node = result.ledger["look"]
    assert result.state == RunState.ENDED
    assert (node.accepted, node.quarantined) == (len(seen.counters), 50 - len(seen.counters))
    assert result.ledger.is_closed
    assert len(list((result.folder / "quarantine").iterdir())) == 1


def test_a_task_need_not_count_what_it_reads_and_the_ledger_closes():
    def double(context):
        reader, writer = context.readers[0], context.writers[0]
        context.log.info("begins")
        for event in reader:
            writer.put(event.data * context.settings["factor"], like=event, planes={"trace": event.plane("trace")})

    def give(context):
        while context.may_take() and (number := context.take()) is not None:
            context.writers[0].put(np.full(4, float(number)), counter=number, planes={"trace": 0})

    with Pipeline("tasks", store=None) as daq:
        raw, doubled = daq.ring("raw", "f8", (4,), 8), daq.ring("doubled", "f8", (4,), 8)
        daq.task(give, writes=raw)
        daq.task(double, reads=raw, writes=doubled, settings={"factor": 2})
        seen = daq.sink(Seen(), doubled)
        result = daq.run(events=30)
    assert seen.values == [2.0 * n for n in range(30)]
    assert (result.events, result.state) == (30, RunState.ENDED)
    assert result.ledger.is_closed


@pytest.mark.parametrize("run_in", ["threads", "processes"])
def test_groups_that_share_a_ring_are_accounted_for_each_by_itself(run_in):
    def slowly(event):
        import time

        time.sleep(1e-3)
        return event.counter % 2 == 0

    with Pipeline("shared", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 32)
        daq.source(Numbers(), raw)
        seen = []
        for name in ("one", "two"):
            ring = daq.ring(name, "f8", (4,), 32)
            daq.filter(slowly, raw, ring, name=f"find {name}", run_in=run_in)
            seen.append(daq.sink(Seen(), ring, name=f"look {name}"))
        for _ in range(3 if run_in == "threads" else 1):
            daq.start()
            until(lambda: all(one.counters for one in seen))
            daq.abort()
            result = daq.wait(LONG_S)
            assert result.ledger.is_closed, str(result)
            assert all(result.ledger[f"find {name}"].undelivered for name in ("one", "two"))
            for one in seen:
                one.counters.clear()


def test_what_a_run_is_doing_can_be_asked_while_it_runs_and_when_it_is_over():
    with Pipeline("watched", store=None) as daq:
        seen = chain(daq, lambda event: event.counter % 4 == 0)
        run = daq.start()
        until(lambda: seen.counters)
        shown = snapshot_of(run)
        assert shown.state == "RUNNING"
        assert shown.events > 0
        assert {node.name: node.states for node in shown.nodes}["find"] == ("working",)
        daq.stop()
        result = daq.wait(LONG_S)
        over = snapshot_of(run)
    assert (over.state, over.events) == ("ENDED", result.events)
    counts = {node.name: node.counts for node in over.nodes}["find"]
    assert (counts["accepted"], counts["rejected"]) == (len(seen.counters), result.events - len(seen.counters))
    assert over.deadtime == pytest.approx(result.deadtime)
