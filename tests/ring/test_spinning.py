"""Readers that spin before they sleep: quick, and no less obedient."""

import time

import pytest

import labdaq
from labdaq.errors import SpanError, WaitTimeoutError
from labdaq.ring import words as w
from labdaq.testing import run_threads


@pytest.fixture
def ring():
    with labdaq.Ring("numbers", dtype="i8", capacity=8) as ring:
        yield ring


def wait_until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1e-4)


@pytest.mark.parametrize("spin_s", [0.0, 30.0])
def test_one_that_spins_does_not_go_to_sleep_and_gets_its_events(ring, spin_s):
    control, asleep = ring._core.control, []
    with ring.reader() as reader, ring.writer() as writer:
        reader.spin_s = spin_s

        def write():
            wait_until(lambda: control[w.DATA_WAITERS] or spin_s)
            for _ in range(100):
                asleep.append(control[w.DATA_WAITERS])
            writer.put(7)

        def read():
            assert int(reader.read(timeout=20).data) == 7

        run_threads(read, write)
    assert any(asleep) == (spin_s == 0)


def test_a_timeout_is_kept_while_spinning(ring):
    with ring.reader() as reader:
        reader.spin_s = 60.0
        begin = time.monotonic()
        with pytest.raises(WaitTimeoutError):
            reader.read(timeout=0.02)
        assert time.monotonic() - begin < 10


def test_writers_and_observers_have_it_too(ring):
    with ring.writer() as writer, ring.observer() as observer:
        writer.spin_s = observer.spin_s = 0.25
        assert writer.spin_s == observer.spin_s == 0.25


@pytest.mark.parametrize("spin_s", [-1, float("nan"), float("inf"), 1e9])
def test_it_is_a_time_in_seconds(ring, spin_s):
    with ring.reader() as reader:
        before = reader.spin_s
        with pytest.raises(SpanError, match="spin_s"):
            reader.spin_s = spin_s
        assert reader.spin_s == before
