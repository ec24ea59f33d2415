"""Embedded stores between processes and threads, and what is in their folder."""

import multiprocessing
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import labdaq
import labdaq.store.embedded.segments as segments
from labdaq.errors import (
    BusyError,
    ClosedError,
    DataError,
    EndOfStream,
    LayoutError,
    NotFoundError,
    ResourceError,
    StateError,
)
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.testing import inventory, leaks_since

SPAWN = multiprocessing.get_context("spawn")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Unix only")
LATE_S = 30


@pytest.fixture
def store(tmp_path):
    with DataStore(tmp_path / "s") as store:
        yield store


def make(store, encoder=None, name="s"):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    return scan.create_stream(name, encoder or NumericStreamEncoder("f8"))


@contextmanager
def processes(*calls):
    """Spawned processes, which must end by themselves unless the test kills them."""
    children = [SPAWN.Process(target=target, args=arguments, daemon=True) for target, *arguments in calls]
    for child in children:
        child.start()
    try:
        yield children
        for child in children:
            child.join(LATE_S)
            assert child.exitcode in {0, -signal.SIGKILL}
    finally:
        for child in children:
            child.kill()
            child.join()
            child.close()


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


# -------------------------------------------------------------------------------------------- folder


@pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")
def test_all_is_for_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 64)
    before = os.umask(0)
    try:
        with DataStore(tmp_path / "s") as store:
            for encoder in (NumericStreamEncoder("f8"), JsonStreamEncoder()):
                stream = make(store, encoder)
                for number in range(20):
                    stream.send(float(number))
                stream.join()
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "s", *(tmp_path / "s").rglob("*")]}
    finally:
        os.umask(before)
    assert len(modes) > 10
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/b", "C:\\x", "data.0000000000000000", "index"])
def test_names_never_become_paths(tmp_path, name):
    with DataStore(tmp_path / "s") as store:
        scan = store.create_scan({"name": name, "number": 1, "data_policy": name, "path": name, "session": name})
        stream = scan.create_stream(name, NumericStreamEncoder("f8"), {"file": name})
        stream.send(1.0)
        scan.close()
        assert store.load_scan(scan.key).streams[name][:].tolist() == [1]
        for key in (name, f"labdaq:stream:{name}", "labdaq:stream:../../../../etc/passwd0000"):
            with pytest.raises(DataError):
                store.open_stream(key)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert {path.name for path in (tmp_path / "s" / "streams").iterdir()} == {stream.key.rpartition(":")[2]}


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("42")
    with pytest.raises(ResourceError, match="1 other files") as told:
        DataStore(tmp_path)
    assert "None" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ResourceError):
        DataStore(tmp_path / "thesis.tex")
    with pytest.raises(ResourceError):
        DataStore(tmp_path / "thesis.tex" / "s")


def test_a_folder_that_is_deleted_under_those_who_use_it(tmp_path):
    store = DataStore(tmp_path / "s", sync_s=1000)
    with DataStore(tmp_path / "s") as other:
        stream = make(store)
        stream.send([1.0, 2.0])
        seen = other.open_stream(stream.key)
        cursor = seen.cursor()
        assert cursor.read()[1].tolist() == [1, 2]
        shutil.rmtree(tmp_path / "s")
        assert seen[:].tolist() == [1, 2]
        assert cursor.read(block=False) == (2, [])
        with pytest.raises(ResourceError, match="deleted"):
            stream.join()
        with pytest.raises(ResourceError):
            make(store)
        with pytest.raises(ResourceError, match="deleted"):
            store.close()
        assert not (tmp_path / "s").exists()


def test_files_of_another_stream_are_never_removed(store):
    stream = make(store)
    stream.send(1.0)
    with pytest.raises(ResourceError, match=r"exists|UNIQUE"):
        store.engine.declare(stream.record)
    assert stream[:].tolist() == [1]


def test_a_writer_is_told_that_its_scan_was_deleted(store):
    stream = make(store)
    stream.send(1.0)
    with DataStore(store.url) as other:
        other.delete_scan(store.get_last_scan()[1], force=True)
    for call in (lambda: stream.send(2.0), stream.seal):
        with pytest.raises(LookupError, match="deleted"):
            call()


# ------------------------------------------------------------------------------------------- threads


def test_one_thread_for_a_hundred_streams(tmp_path):
    before = threading.active_count()
    with DataStore(tmp_path / "s", sync_s=0.01) as store:
        scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
        streams = [scan.create_stream(f"s{n}", NumericStreamEncoder("f8")) for n in range(100)]
        for stream in streams:
            stream.send(1.0)
        assert threading.active_count() == before + 1
        synced = lambda s: np.fromfile(store.engine.folder_of(s.key) / "index", "<u8", 4)[3]  # noqa: E731
        end = time.monotonic() + LATE_S
        while not all(synced(stream) == 1 for stream in streams):
            assert time.monotonic() < end
            time.sleep(0.01)
    assert threading.active_count() == before


def test_a_store_is_closed_while_many_send(tmp_path):
    for _ in range(10):
        store = DataStore(tmp_path / "s", sync_s=0.001)
        streams = [make(store) for _ in range(3)]
        sent, begun = {}, threading.Barrier(4)

        def write(stream, sent=sent, begun=begun):
            stream.send(0.0)
            begun.wait()
            number = 1
            try:
                while True:
                    stream.send(float(number))
                    number += 1
            except (StateError, ClosedError):
                sent[stream.key] = number

        threads = [threading.Thread(target=write, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        begun.wait()
        store.close()
        for thread in threads:
            thread.join()
        with DataStore(tmp_path / "s") as again:
            for stream in streams:
                assert again.open_stream(stream.key)[:].tolist() == list(range(sent[stream.key]))


def test_a_claim_that_could_not_be_given_back_is_taken_again(store):
    stream = make(store)
    stream.send(1.0)
    with store.engine.catalogue.reading() as db:
        db.execute("PRAGMA query_only = 1")
    with pytest.raises(ResourceError):
        stream.close()
    with store.engine.catalogue.reading() as db:
        db.execute("PRAGMA query_only = 0")
    store.open_stream(stream.key, write=True).send(2.0)
    assert store.open_stream(stream.key)[:].tolist() == [1, 2]


def test_a_store_goes_to_other_processes_as_an_argument(tmp_path):
    with DataStore(tmp_path / "lab", ["operator"]) as store:
        scan = store.create_scan({"name": "passed", "number": 1, "data_policy": "none", "operator": "Ada"})
        with pickle.loads(pickle.dumps(store)) as again:
            assert again.url == store.url
            assert again.load_scan(scan.key).operator == "Ada"
    with DataStore("memory://") as store, pytest.raises(LayoutError, match="memory of this process"):
        pickle.dumps(store)


def test_of_many_threads_one_writes_a_stream(tmp_path):
    with DataStore(tmp_path / "lab", sync_s=None) as store:
        scan = store.create_scan({"name": "race", "number": 1, "data_policy": "none"})
        scan.create_stream("v", NumericStreamEncoder("i8"))
        for number in range(30):
            name = f"v{number}"
            scan.create_stream(name, NumericStreamEncoder("i8"))
            sent, barrier = [], threading.Barrier(4)

            def send(name=name, sent=sent, barrier=barrier):
                stream = scan.get_writer_stream(name)
                barrier.wait(10)
                try:
                    for _ in range(20):
                        stream.send(1)
                    sent.append(20)
                except BusyError:
                    pass

            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(scan.streams[name]) == sum(sent) == 20


DIES_EARLY = """
import os, signal, sys
from labdaq.store import *
store = DataStore(sys.argv[1])
scan = store.create_scan({"name": "early", "number": 1, "data_policy": "none"})
scan.create_stream("v", NumericStreamEncoder("i8"))
scan.prepare()
scan.start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nobody_waits_for_a_producer_that_died_before_its_first_point(tmp_path):
    done = subprocess.run([sys.executable, "-c", DIES_EARLY, str(tmp_path / "lab")])
    assert done.returncode == -signal.SIGKILL
    with DataStore(tmp_path / "lab") as store:
        scan = store.load_scan(store.get_last_scan()[1])
        stream = scan.streams["v"]
        with pytest.raises(EndOfStream, match="died"):
            stream.cursor().read(timeout=30)
        with pytest.raises(EndOfStream, match="died"):
            stream.wait_seal(timeout=30)
        with pytest.raises(EndOfStream, match="died"):
            scan.update(timeout=30)


def test_stores_that_are_dropped_leave_nothing_behind(tmp_path):
    before = inventory()
    for number in range(5):
        store = DataStore(tmp_path / "lab", sync_s=0.02)
        scan = store.create_scan({"name": "dropped", "number": number, "data_policy": "none"})
        stream = scan.create_stream("v", NumericStreamEncoder("i8"))
        stream.send(1)
        del store, scan, stream
    assert leaks_since(before) == []


def test_a_store_that_must_exist_is_not_made(tmp_path):
    with pytest.raises(NotFoundError, match="no store"):
        DataStore(f"labdaq://{tmp_path}/none", must_exist=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(NotFoundError, match="no store"):
        labdaq.open_scan("last", tmp_path / "none")
    assert not (tmp_path / "none").exists()
