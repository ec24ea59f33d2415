"""Rings published at a Redis server: groups get everything, their members share it, and a kill loses nothing."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from labdaq.errors import BusyError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.pipeline import publish, read_shared, subscribe
from labdaq.pipeline.shared_work.frames import Kind, event_from
from labdaq.ring import Ring
from labdaq.testing.redis import redis_server
from tests.stream.victims import until

VICTIM = """
import sys
from labdaq.pipeline.shared_work.rings import read_shared
with read_shared(sys.argv[1], "raw", "fit", timeout=60, ahead=8) as reader:
    for number, event in enumerate(reader):
        print(event.counter, flush=True)
        if number == 19:  # of which the last is not acknowledged, and maybe some others
            sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Members are taken for dead sooner, by this process."""
    monkeypatch.setattr("labdaq.store.redis.work.DEAD_MS", 400)
    monkeypatch.setattr("labdaq.pipeline.shared_work.member.DEAD_MS", 400)


def fill(ring, count, first=0):
    with ring.writer() as writer:
        for number in range(first, first + count):
            writer.put(np.full(3, number, "f4"), counter=number, timestamp_ns=number + 5, timeout=30)


def test_groups_get_everything_and_members_share_it(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=64) as ring:
        with publish(ring, server.url, groups=["fit", "look"]) as shared:
            readers = [read_shared(server.url, "raw", group, ahead=3) for group in ("fit", "fit", "look")]
            fill(ring, 50)
            ring.end()
            seen = [[], [], []]
            left = set(range(3))
            while left:
                left -= {number for number in left if has_ended(readers[number], seen[number])}
            shared.wait(30)
            for reader in readers:
                reader.close()
                done = reader.statistics()
                assert done.received == done.done
        assert sorted(seen[0] + seen[1]) == seen[2] == list(range(50))
        assert seen[0]
        assert seen[1]


def fill_and_end(ring, count, first):
    fill(ring, count, first)
    ring.end()


def has_ended(reader, seen):
    """Read an event, if there is one; whether there will be no more."""
    try:
        event = reader.read(0.05)
    except WaitTimeoutError:
        return False
    except EndOfDataError:
        return True
    assert (event.timestamp_ns, event.data.tolist()) == (event.counter + 5, [event.counter] * 3)
    seen.append(event.counter)
    return False


def test_what_a_killed_member_had_comes_again(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=128) as ring, publish(ring, server.url, groups=["fit"]) as shared:
        fill(ring, 100)
        command = [sys.executable, "-c", VICTIM, server.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
            first = [int(victim.stdout.readline()) for _ in range(20)]
            victim.kill()
        ring.end()
        with read_shared(server.url, "raw", "fit") as reader:
            events = [(event.counter, event.redelivered) for event in reader]
            shared.wait(30)
        counters = [counter for counter, _again in events]
        assert sorted({*first, *counters}) == list(range(100))
        assert len(set(counters)) == len(counters)
        again = {counter for counter, is_again in events if is_again}
        assert first[-1] in again
        assert set(first) & set(counters) <= again
        assert reader.statistics().taken_over == len(again)


def test_there_are_never_more_than_the_capacity(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=16) as ring:
        group = ring.group("published")
        with publish(ring, server.url, group="published", groups=["fit"], capacity=10, name="few") as shared:
            fill(ring, 16)
            until(lambda: shared.published == 10)
            with pytest.raises(WaitTimeoutError, match="10 events"):
                shared.wait(0.1)
            with read_shared(server.url, "few", "fit") as reader:
                thread = threading.Thread(target=fill_and_end, args=(ring, 16, 16))
                thread.start()
                assert [event.counter for event in reader] == list(range(32))
                thread.join()
                shared.wait(30)
                assert (shared.published, shared.waiting) == (32, 0)
        group.close()


def test_a_ring_here_gets_a_share(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=64) as there, Ring("here", "system", "f4", (3,), 8) as here:
        group = here.group("all")
        with publish(there, server.url), subscribe(server.url, here, name="raw", group="fit") as subscriber:
            fill(there, 20)
            there.end()
            reader = group.reader()
            seen = [(event.counter, float(event.data[0]), event.timestamp_ns) for event in reader]
            subscriber.wait(30)
        assert seen == [(n, float(n), n + 5) for n in range(20)]


def test_what_cannot_be_published_or_read(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=8) as ring, publish(ring, server.url):
        with pytest.raises(BusyError, match="choose another name"):
            publish(ring, server.url)
        with Ring("raw2", dtype="f8", shape=(3,), capacity=8) as other:
            with pytest.raises(LayoutError, match="takes float64"):
                subscribe(server.url, other, name="raw")
        with pytest.raises(LayoutError, match="ahead"):
            read_shared(server.url, "raw", "fit", ahead=0)
        with pytest.raises(LayoutError, match="no parameters of a stream"):
            publish(ring, server.url, units="mV")
        with pytest.raises(LayoutError, match="for a stream leave it out"):
            publish(ring, "http://localhost")
        with Ring() as bytes_only, pytest.raises(LayoutError, match="holds bytes"):
            publish(bytes_only, server.url)
        with pytest.raises(LayoutError, match="capacity"):
            publish(ring, server.url, name="x", capacity=0)


def test_strange_entries_are_passed_over_and_counted(server):
    with Ring("raw", dtype="f4", shape=(3,), capacity=8) as ring, publish(ring, server.url, groups=["fit"]) as shared:
        jobs = shared._queue._jobs
        fill(ring, 3)
        until(lambda: shared.published == 3)
        shared._queue.link.call("XADD", jobs, "3-1", "h", b"x", "d", b"y")
        shared._queue.link.call("XADD", jobs, "3-2", "strange", "fields")
        ring.end()
        with read_shared(server.url, "raw", "fit") as reader:
            assert [event.counter for event in reader] == [0, 1, 2]
            assert reader.statistics().malformed == 2
        with pytest.raises(ValueError, match="bytes"):
            event_from(b"", b"", Kind.of("raw", "f4", (3,)), redelivered=False)
