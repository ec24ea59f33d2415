"""Filters whose work others share: on a real server, by real processes, one of which is killed."""

import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from labdaq.cli import app
from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline import Pipeline, RunState, SharedMember, join_work, shared
from labdaq.pipeline.shared_work.frames import Kind, unpack_result
from labdaq.pipeline.suite import build, load_suite
from labdaq.roles import Parameter
from labdaq.store.redis.work import WorkMember
from labdaq.testing.redis import redis_server
from tests.pipeline.making import Numbers, Seen, values
from tests.stream.victims import until

SUITE = """\
name: share test
store: null
modules: modules
rings:
  raw: {{dtype: float64, shape: [4], capacity: 256}}
  found: {{dtype: {{counter: int64, pid: int64, gain: float64}}, capacity: 256}}
workers:
  numbers: {{source: sharing.Numbers, writes: raw}}
  find: {{filter: sharing.find, reads: raw, writes: found, shared: "{url}"}}
  look: {{sink: sharing.look, reads: found}}
parameters: {{find.gain: 3}}
"""

MODULE = """\
import os, time
import numpy as np
from labdaq.roles import Parameter
from tests.pipeline.making import Numbers

RECORD = np.dtype([("counter", "i8"), ("pid", "i8"), ("gain", "f8")])
gain = Parameter(1.0)

def find(event):
    time.sleep(0.001)
    if event.counter % 5 == 0:
        return None
    if event.counter == 7:
        raise ValueError("seven")
    return np.array((event.counter, os.getpid(), float(gain)), RECORD)

def look(event):
    pass
"""


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def quickly(monkeypatch):
    """Members are taken for dead sooner, by this process."""
    monkeypatch.setattr("labdaq.store.redis.work.DEAD_MS", 800)
    monkeypatch.setattr("labdaq.pipeline.shared_work.member.DEAD_MS", 800)
    monkeypatch.setattr("labdaq.pipeline.shared_work.gateway._LOOK_S", 0.05)


class Records:
    """A sink that remembers records."""

    def __init__(self):
        self.rows = []

    def write(self, events):
        self.rows += events.data.tolist()

    @property
    def pids(self):
        return {pid for _counter, pid, _gain in self.rows}


@pytest.mark.usefixtures("quickly")
def test_a_process_joins_a_suite_and_is_killed(server, tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sharing.py").write_text(MODULE)
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE.format(url=server.url))
    sink = Records()
    command = [sys.executable, "-m", "labdaq.cli", "work", server.url, str(suite), "--worker", "find"]
    with build(load_suite(suite), instead={"look": sink}) as daq:
        daq.start(drain_timeout_s=30)
        with subprocess.Popen(command, stderr=subprocess.PIPE) as victim:
            other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            until(lambda: {victim.pid, other.pid} <= sink.pids)
            victim.kill()
        n = len(sink.rows)
        until(lambda: any(pid == other.pid for _counter, pid, _gain in sink.rows[n:]))
        daq.parameters["find.gain"].set(9)
        until(lambda: (other.pid, 9.0) in {row[1:] for row in sink.rows[n:]})
        daq.stop()
        result = daq.wait()
        told = other.communicate(timeout=30)[0]
    assert (result.state, result.nerror, other.returncode) == (RunState.ENDED, 1, 0)
    assert result.ledger.is_closed
    assert result.ledger["find"].quarantined == 1
    counters = sorted(counter for counter, _pid, _gain in sink.rows)
    assert counters == [n for n in range(result.events) if n % 5 and n != 7]
    assert {gain for _counter, _pid, gain in sink.rows} == {3.0, 9.0}
    assert told.startswith("find: received ")
    assert told.rstrip().endswith("repeated 0")


def double(data, out):
    out[0] = 2 * data
    return int(data[0]) % 3 != 0


def piped(server, function, count=200, **settings):
    """A pipeline with a shared filter of numbers, and what remembers its results."""
    daq = Pipeline("shared", store=None)
    raw, found = daq.ring("raw", "f8", (4,), 64), daq.ring("found", "f8", (4,), 64)
    daq.source(values(count) if isinstance(count, int) else count, raw)
    daq.filter(shared(function, server.url, "double"), raw, found, **settings)
    seen = Seen()
    daq.sink(seen, found)
    return daq, seen


def fetched(member, count):
    """Take so many jobs, when there are some."""
    jobs = []
    while len(jobs) < count:
        member.renew(())
        jobs += member.fetch(count, 0.1)
    return jobs


def test_without_members_the_work_is_done_here(server):
    daq, seen = piped(server, double, workers=2)
    with daq:
        result = daq.run()
    assert sorted(seen.counters) == [n for n in range(200) if n % 3]
    assert sorted(seen.values) == [2.0 * n for n in range(200) if n % 3]
    assert result.ledger.is_closed


@pytest.mark.usefixtures("quickly")
def test_garbage_from_a_member_is_done_again_and_what_it_keeps_is_taken_back(server):
    daq, seen = piped(server, double, Numbers(), max_errors=1)
    with daq:
        daq.start(drain_timeout_s=30)
        member = WorkMember(server.url, "double", "filter", timeout=30)
        jobs = fetched(member, 4)
        member.commit([(jobs[0].id, b"garbage"), (jobs[1].id, b"LDQW\x00\0\0\0\xff\xff\xff\x7f")])
        member.link.call("XADD", member._keys[2], "*", "strange", "entry")
        member.close()  # and says nothing of the others
        until(lambda: len(seen.counters) > 100)
        daq.stop()
        result = daq.wait()
    assert result.ledger.is_closed
    assert sorted(seen.counters) == [n for n in range(result.events) if n % 3]
    assert result.nerror == 0


@pytest.mark.usefixtures("quickly")
def test_an_aborted_run_knows_what_was_not_done(server):
    daq, seen = piped(server, double, Numbers())
    with daq:
        daq.start()
        with SharedMember(server.url, "double", double, timeout=30) as member:
            is_over = threading.Event()
            thread = threading.Thread(target=member.run, args=(is_over.is_set,))
            thread.start()
            until(lambda: member.statistics.accepted > 20)
            daq.abort()
            result = daq.wait()
            is_over.set()
            thread.join()
        done = member.statistics
    assert result.ledger["double"].is_closed
    assert done.received == done.accepted + done.rejected + done.repeated
    assert max(Counter(seen.counters).values()) == 1


@pytest.mark.usefixtures("quickly")
def test_an_event_that_killed_two_members_is_set_apart(server):
    daq, _seen = piped(server, double, Numbers())
    with daq:
        daq.start(drain_timeout_s=30)
        victims = [WorkMember(server.url, "double", "filter", timeout=30)]
        deadly = fetched(victims[0], 1)
        victims.append(WorkMember(server.url, "double", "filter"))
        until(lambda: deadly[0].id in [one.id for one in fetched(victims[1], 1)])
        with SharedMember(server.url, "double", double) as member:
            is_over = threading.Event()
            thread = threading.Thread(target=member.run, args=(is_over.is_set,))
            thread.start()
            until(lambda: member.statistics.quarantined == 1)
            daq.stop()
            result = daq.wait()
            is_over.set()
            thread.join()
        for victim in victims:
            victim.close()
    assert result.ledger.is_closed
    assert (result.ledger["double"].quarantined, result.nerror) == (1, 1)
    assert "has killed 2 members" in result.errors[0]


@pytest.mark.usefixtures("quickly")
def test_a_server_that_dies_takes_nothing_along(monkeypatch):
    monkeypatch.setattr("labdaq.store.redis.work._PATIENCE_S", 0.3)
    with redis_server() as server:
        daq, seen = piped(server, double, Numbers())
        with daq:
            daq.start(drain_timeout_s=30)
            member = WorkMember(server.url, "double", "filter", timeout=30)
            assert len(fetched(member, 4)) >= 4
            server.stop()
            n = len(seen.counters)
            until(lambda: len(seen.counters) > n + 100)
            daq.stop()
            result = daq.wait()
            member.close()
    assert (result.state, result.nerror) == (RunState.ENDED, 0)
    assert result.ledger.is_closed
    assert sorted(seen.counters) == [n for n in range(result.events) if n % 3]


def test_who_can_join_what(server, tmp_path):
    with pytest.raises(NotFoundError, match="nobody publishes"):
        SharedMember(server.url, "nothing", double)
    with pytest.raises(LayoutError, match="no filter"):
        shared("double", server.url)
    with pytest.raises(LayoutError, match="letters"):
        shared(double, server.url, "a name")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sharing.py").write_text(MODULE)
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE.format(url=server.url))
    with pytest.raises(NotFoundError, match="did you mean 'find'"):
        join_work(server.url, suite, "fin")
    with pytest.raises(LayoutError, match="only the work of filters"):
        join_work(server.url, suite, "look")
    for worker, url, code, said in (
        ("fin", server.url, 2, "did you mean 'find'"),
        ("find", server.url, 2, "nobody publishes work as 'nobody.find'"),
        ("find", "http://x", 2, "is no address of a Redis server"),
    ):
        suite.write_text(SUITE.format(url=server.url).replace("share test", "nobody"))
        told = CliRunner().invoke(app, ["work", url, str(suite), "--worker", worker, "--wait", "0"])
        assert (told.exit_code, said in told.stderr) == (code, True)
    with pytest.raises(LayoutError, match="handed out by a thread"):
        piped(server, double, run_in="processes")


def test_what_is_shared_is_still_a_filter():
    level = Parameter(2.0)

    class Find:
        threshold = Parameter(1.0)

        def __call__(self, event):
            return event.data.max() > self.threshold

    work = shared(Find(), "redis://:secret@host", "find")
    assert work.name == "find"
    assert "secret" not in repr(work)
    daq = Pipeline("x", store=None)
    raw, found = daq.ring("raw", "f8", (4,)), daq.ring("found", "f8", (4,))
    daq.filter(work, raw, found, name="find")
    daq.filter(shared(lambda event: event.data.max() > level, "redis://host", "more"), raw, found, name="more")
    assert set(daq.parameters) == {"find.threshold", "more.level"}


def test_results_that_are_none():
    kinds = [Kind.of("a", "f8", (2,))]
    rng = np.random.default_rng(1)
    outcomes = Counter()
    good = b"LDQW\x00\0\0\0\x01\0\0\0" + bytes(16)
    assert unpack_result(good, kinds)[1][0][0].tolist() == [0, 0]
    for _ in range(2000):
        data = bytearray(good)
        for _flip in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            unpack_result(bytes(data[: rng.integers(len(data) + 1)]), kinds)
            outcomes["taken"] += 1
        except ValueError as error:  # DataError
            outcomes[type(error).__name__] += 1
    assert set(outcomes) == {"taken", "DataError"}
