"""Time stamps, clocks and lags."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import StateError, WaitTimeoutError
from labdaq.stream import ClockOffset, InputStream, OutputStream, SenderClock
from tests.stream.victims import SPAWN, process, until


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_the_time_of_a_sample(mode):
    with OutputStream().configure(transfermode=mode, dtype="f4", sample_rate=1000.0) as out:
        with InputStream().connect(out) as inp:
            with pytest.raises(StateError):
                inp.time_of(3)
            out.send(np.zeros(100, "f4"), timestamp_ns=5_000_000_000)
            inp.recv(30)
            assert inp.last.timestamp_ns == inp.time_of(100) == 5_000_000_000
            assert inp.time_of(0) == 4_900_000_000
            assert inp.index_at(inp.time_of(42)) == 42


def test_a_stamp_is_that_of_sending():
    with OutputStream().configure(protocol="inproc") as out, InputStream().connect(out) as inp:
        before = time.time_ns()
        out.send(np.zeros(1, "f4"))
        after = time.time_ns()
        inp.recv(30)
        assert before <= inp.last.timestamp_ns <= after


def test_two_streams_are_aligned():
    fast = OutputStream().configure(protocol="inproc", sample_rate=1000.0)
    slow = OutputStream().configure(protocol="ipc", sample_rate=10.0)
    with fast, slow, InputStream().connect(fast) as one, InputStream().connect(slow) as other:
        fast.send(np.zeros(500, "f4"), timestamp_ns=10**18)
        slow.send(np.zeros(20, "f4"), timestamp_ns=10**18 + 500_000_000)
        one.recv(30)
        other.recv(30)
        assert other.index_at(one.time_of(500)) == 15


def test_the_clock_of_the_same_machine_is_the_same():
    with OutputStream().configure() as out, InputStream().connect(out) as inp:
        offset = inp.clock_offset()
        assert abs(offset.offset_ns) <= offset.uncertainty_ns
        out.close()
        with pytest.raises(WaitTimeoutError, match="did not answer"):
            inp.clock_offset(timeout=0.1)


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_late_reader_knows_its_lag(mode):
    with OutputStream().configure(transfermode=mode, dtype="f4", shape=(50,)) as out:
        with InputStream().connect(out) as inp:
            for _ in range(4):
                out.send(np.zeros(50, "f4"))
            assert inp.lag() == 200
            inp.recv(30)
            assert inp.lag() == 150


def send_by_another_clock(ending, offset_ns, drift_ppm, answers):
    """A machine whose clock is wrong: sends one chunk, and tells the true time of it."""
    true_ns, begin_ns = time.time_ns, time.time_ns()
    time.time_ns = lambda: (now := true_ns()) + offset_ns + round((now - begin_ns) * drift_ppm / 1e6)
    with OutputStream().configure(dtype="f4", shape=(-1,), sample_rate=1000.0) as out:
        answers.put(out.address)
        out.wait_for_readers(1, 60)
        out.send(np.zeros(1000, "f4"))
        answers.put(true_ns())
        out.drain(60)
        ending.get(timeout=60)


@pytest.mark.parametrize(("offset_ns", "drift_ppm"), [(3_600_000_000_000, 0.0), (-250_000_000, 2000.0)])
def test_the_clock_of_another_machine(offset_ns, drift_ppm):
    answers, ending = SPAWN.Queue(), SPAWN.Queue()
    with process(send_by_another_clock, ending, offset_ns, drift_ppm, answers):
        with InputStream().connect(answers.get(timeout=60)) as inp:
            index, _ = inp.recv(60)
            true_ns = answers.get(timeout=60)
            first = inp.clock_offset()
            until(lambda: time.time_ns() - true_ns > 10**9)
            last = inp.clock_offset()
            drift_ns = last.offset_ns - first.offset_ns
            slack_ns = first.uncertainty_ns + last.uncertainty_ns
            assert abs(first.offset_ns - offset_ns) < 20_000_000
            assert drift_ns + slack_ns >= 0
            assert (drift_ns > slack_ns) == (drift_ppm > 1000)
            assert abs(inp.clock.drift_ppm - drift_ppm) < 2e6 * slack_ns / 1e9 + 1
            assert abs(inp.local_time_of(index) - true_ns) < 10_000_000 + first.uncertainty_ns
        ending.put("end")
    ending.close()
    answers.close()


def test_streams_of_two_machines_are_aligned():
    """Both take a sample at the same moment; their clocks stand apart by an hour."""
    a, b = InputStream(), InputStream()
    one = OutputStream().configure(protocol="inproc", sample_rate=1000.0)
    two = OutputStream().configure(protocol="inproc", sample_rate=50.0)
    with one, two, a.connect(one), b.connect(two):
        now = 10**18
        for stream, out, offset_ns, rows in ((a, one, 3_600 * 10**9, 500), (b, two, -70_000_000, 30)):
            for second in (0, 100):
                drift_ns = second * 1000 if stream is a else 0
                stream.clock.add(ClockOffset(offset_ns + drift_ns, 1000), now - (100 - second) * 10**9)
            shift_ns = 100_000 if stream is a else 0
            out.send(np.zeros(rows, "f4"), timestamp_ns=now + offset_ns + shift_ns)
            stream.recv(30)
        assert a.local_time_of(500) == b.local_time_of(30) == now
        assert b.index_matching(a, 500) == 30
        assert b.index_matching(a, 400) == 25
        assert a.index_matching(b, 25) == 400


@settings(max_examples=30)
@given(
    offset_ns=st.integers(-(10**12), 10**12),
    drift_ppm=st.floats(-500, 500),
    errors=st.lists(st.integers(-900, 900), min_size=2, max_size=20),
)
def test_a_line_through_offsets(offset_ns, drift_ppm, errors):
    clock, begin = SenderClock(), 10**18
    assert clock.offset_at(begin).uncertainty_ns > 10**15
    for number, error in enumerate(errors):
        at_ns = number * 10**9
        clock.add(ClockOffset(offset_ns + round(at_ns * drift_ppm / 1e6) + error, 1000), begin + at_ns)
    middle = (len(errors) - 1) * 5 * 10**8
    truth = begin + middle
    theirs = truth + offset_ns + round(middle * drift_ppm / 1e6)
    assert abs(clock.to_ours(theirs) - truth) <= 1000
    assert abs(clock.to_theirs(clock.to_ours(theirs)) - theirs) <= 2
    far = clock.offset_at(theirs + 10**15).uncertainty_ns
    assert far > clock.offset_at(theirs).uncertainty_ns
