"""A team of threads ends together, and the first error is the one that is raised."""

import contextlib
import signal
import sys
import threading

import pytest

from labdaq.demos.team import Team


@pytest.fixture
def others():
    """How many threads there are already: libraries keep some of their own."""
    return threading.active_count()


@pytest.fixture
def gate():
    return threading.Event()


def run(gate, *works):
    with Team(gate.set) as team:
        for work in works:
            team.start(work)


def test_block_ends_when_all_threads_have(gate):
    done = []

    def work():
        done.append("work")

    with Team(gate.set) as team:
        team.start(work, copies=3)
    assert done == ["work"] * 3
    assert not gate.is_set()


def test_then_comes_once_after_the_last_copy(gate):
    done = []
    meeting = threading.Barrier(3)

    def work():
        meeting.wait()
        done.append("work")

    with Team(gate.set) as team:
        team.start(work, copies=3, then=lambda: done.append("then"))
    assert done == ["work"] * 3 + ["then"]


def test_then_does_not_come_after_a_failure(gate):
    with contextlib.suppress(KeyError), Team(gate.set) as team:
        team.start({}.popitem, then=lambda: pytest.fail("came"))
    assert gate.is_set()


def test_error_of_then_is_raised(gate):
    with pytest.raises(KeyError), Team(gate.set) as team:
        team.start(str, then={}.popitem)


def test_error_of_a_thread_stops_the_others_and_keeps_its_traceback(gate):
    def fail():
        raise KeyError("sensor")

    with pytest.raises(KeyError, match="sensor") as told:
        run(gate, gate.wait, fail)
    assert "fail" in [entry.name for entry in told.traceback]


def test_first_error_is_raised_not_its_consequences(gate):
    def stumble():
        gate.wait()
        raise ValueError("consequence")

    def fail():
        raise KeyError("cause")

    with pytest.raises(KeyError, match="cause"):
        run(gate, stumble, fail)


def test_error_of_the_block_stops_the_threads(gate, others):
    with contextlib.suppress(ZeroDivisionError), Team(gate.set) as team:
        team.start(gate.wait)
        raise ZeroDivisionError
    assert gate.is_set()
    assert threading.active_count() == others


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals for threads")
def test_interrupt_while_waiting_stops_the_threads(gate, others):
    def interrupt_and_wait():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        gate.wait()

    with pytest.raises(KeyboardInterrupt):
        run(gate, interrupt_and_wait)
    assert threading.active_count() == others
