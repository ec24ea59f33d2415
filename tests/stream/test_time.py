"""Time stamps, clocks and lags."""

import time

import numpy as np
import pytest

from labdaq.errors import StateError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream


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
