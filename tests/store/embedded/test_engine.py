"""Embedded stores between processes: readers and writers."""

import os
import time

import numpy as np
import pytest

import labdaq.store.embedded.segments as segments
from labdaq.errors import (
    BusyError,
    ClosedError,
    EndOfStream,
)
from labdaq.store import DataStore, NumericStreamEncoder
from labdaq.testing import inventory
from tests.store.embedded.damaging import make
from tests.store.embedded.spawning import LATE_S, SPAWN, forks, processes

# ------------------------------------------------------------------------------------------- readers


def follow(url, key, ready, answers, kind):
    """Read all as it comes; how much, its sum, and whether it was in order."""
    with DataStore(url) as store:
        stream = store.open_stream(key)
        ready.release()
        found = []
        if kind == "iterate":
            found = [float(point) for point in stream]
        else:
            cursor = stream.cursor()
            try:
                while True:
                    index, points = cursor.read(timeout=LATE_S)
                    assert index == len(found)
                    found += np.asarray(points).tolist()
            except EndOfStream:
                pass
        answers.put((len(found), found == list(map(float, range(len(found))))))


def test_all_readers_see_everything_in_order(store, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 4096)
    stream, total = make(store), 6000
    ready, answers = SPAWN.Semaphore(0), SPAWN.SimpleQueue()
    kinds = ["iterate", "cursor", "cursor"]
    with processes(*[(follow, store.url, stream.key, ready, answers, kind) for kind in kinds]):
        for _ in kinds:  # all are there before the first point
            assert ready.acquire(timeout=LATE_S)
        numbers = np.arange(float(total))
        at = 0
        while at < total:
            size = at % 7 + 1
            stream.send(float(at) if size == 1 else numbers[at : at + size])
            at += size
        stream.seal()
        length = len(stream)
        assert [answers.get() for _ in kinds] == [(length, True)] * len(kinds)
    answers.close()


def sleep_for_ever(url, key, ready):
    with DataStore(url) as store:
        cursor = store.open_stream(key).cursor()
        ready.release()
        cursor.read()


def test_a_sleeper_that_was_killed_costs_nothing(store):
    stream = make(store)
    ready = SPAWN.Semaphore(0)
    with processes((sleep_for_ever, store.url, stream.key, ready)) as children:
        assert ready.acquire(timeout=LATE_S)
        until = store.engine._bell._words
        while until[1] == 0:  # it is asleep
            time.sleep(1e-3)
        children[0].kill()
        children[0].join()
        asleep_until = until[1]
        while time.monotonic_ns() < asleep_until:
            time.sleep(1e-3)
        stream.send(1.0)
        assert until[1] == asleep_until  # nobody announced himself since, so nobody is woken
        assert until[1] < time.monotonic_ns()


def test_views_of_a_stream_that_grows_need_no_descriptors(store):
    stream = make(store, NumericStreamEncoder("u1", (65_536,)))
    seen = store.open_stream(stream.key)
    point = np.zeros(65_536, "u1")
    views = []
    for number in range(100):
        point[:] = number
        stream.send(point)
        if number == 20:
            before = inventory()
        views.append(seen[number])
    assert len([key for key in inventory() if key not in before]) == 0
    assert all((view == number).all() for number, view in enumerate(views))


def test_streams_that_were_read_and_forgotten_hold_nothing(store):
    stream = make(store)
    stream.send([1.0, 2.0])
    stream.seal()
    before = inventory()
    for _ in range(50):
        assert store.open_stream(stream.key)[:].tolist() == [1, 2]
    assert len([key for key in inventory() if key not in before]) < 10


def test_closed_streams_are_told_apart_from_damaged_ones(store):
    stream = make(store)
    stream.send([1.0])
    other = DataStore(store.url)
    seen = other.open_stream(stream.key)
    view = seen[:]
    other.close()
    for call in (seen.extent, lambda: seen[0], lambda: seen.cursor().read(), lambda: other.open_stream(stream.key)):
        with pytest.raises(ClosedError):
            call()
    assert view.tolist() == [1]


# ------------------------------------------------------------------------------------------- writers


def write_and_stay(url, key, answers):
    with DataStore(url) as store:
        stream = store.open_stream(key, write=True)
        stream.send([1.0, 2.0])
        answers.put(os.getpid())
        time.sleep(10 * LATE_S)


def write_on(url, key):
    with DataStore(url) as store:
        stream = store.open_stream(key, write=True)
        stream.send(float(len(stream)))
        stream.close()


def test_followers_are_told_who_died_and_another_process_goes_on(store):
    stream, answers = make(store), SPAWN.SimpleQueue()
    cursor = stream.cursor()
    with processes((write_and_stay, store.url, stream.key, answers)) as children:
        pid = answers.get()
        assert cursor.read(timeout=LATE_S)[1].tolist() == [1, 2]
        with pytest.raises(BusyError, match=f"process {pid}"):
            stream.send(3.0)
        children[0].kill()
        begin = time.monotonic()
        with pytest.raises(EndOfStream, match=f"process {pid}"):
            cursor.read(timeout=LATE_S)
        assert time.monotonic() - begin < 5
    with processes((write_on, store.url, stream.key)):
        pass
    assert cursor.read(timeout=LATE_S) == (2, [2.0])
    stream.send(3.0)
    assert stream.seal() == 4
    answers.close()


def test_two_writers_of_one_process(store):
    stream = make(store)
    stream.send(1.0)
    with DataStore(store.url) as other:
        for place in (store, other):
            second = place.open_stream(stream.key, write=True)
            for call in (lambda: second.send(2.0), second.seal):  # noqa: B023 - called here
                with pytest.raises(BusyError, match="this process"):
                    call()
        stream.close()
        second.send(2.0)
        assert stream[:].tolist() == [1, 2]


def in_child(work):
    """Run a function in a forked child, which then ends without any ceremony; what it returned, or raised."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(there, repr(work()).encode())
        except BaseException as error:  # noqa: BLE001 - a child of a test must not run the other tests
            os.write(there, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@forks
class TestAfterAFork:
    @pytest.fixture
    def store(self, tmp_path):
        with DataStore(tmp_path / "s", sync_s=None) as store:  # forks need a process without threads
            yield store

    def test_the_child_reads_and_the_parent_writes(self, store):
        stream = make(store)
        stream.send([1.0, 2.0])
        assert in_child(lambda: stream.send(3.0)).startswith("BusyError: stream 's' is written by the process which")
        assert in_child(stream.seal).startswith("BusyError")
        assert in_child(lambda: store.open_stream(stream.key, write=True).send(3.0)) == (
            f"BusyError: stream 's' is written by process {os.getpid()}"
        )
        assert in_child(lambda: (stream[:].tolist(), stream.cursor().read()[0], store.get_last_scan()[1])) == (
            f"([1.0, 2.0], 0, {store.get_last_scan()[1]!r})"
        )
        assert in_child(store.close) == "None"
        stream.send(3.0)
        assert stream.seal() == 3

    def test_the_child_makes_scans_of_its_own(self, store):
        make(store).send(1.0)

        def work():
            stream = make(store)
            stream.send([1.0, 2.0])
            assert stream.seal() == 2
            return stream.key

        key = in_child(work).strip("'")
        assert store.open_stream(key)[:].tolist() == [1, 2]
        assert len(store.search_existing_scans()[1]) == 2

    def test_many_children_and_their_parent_use_the_catalogue_at_once(self, store):
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                try:
                    for _ in range(5):
                        make(store)
                    os._exit(0)
                finally:
                    os._exit(1)
            make(store)
            assert os.waitpid(pid, 0)[1] == 0
        assert len(store.search_existing_scans()[1]) == 60


def open_and_make(url, start, number):
    start.wait()
    with DataStore(url) as store:
        store.create_scan({"name": "muon", "number": number, "data_policy": "none"})


def test_a_store_that_all_make_at_once(tmp_path):
    url, start = str(tmp_path / "deep" / "down" / "s"), SPAWN.Barrier(4)
    with processes(*[(open_and_make, url, start, number) for number in range(4)]):
        pass
    with DataStore(url) as store:
        numbers = [store.load_scan(key).number for key in store.search_existing_scans()[1]]
    assert sorted(numbers) == [0, 1, 2, 3]
