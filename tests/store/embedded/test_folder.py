"""What is in the folder of an embedded store, and the threads and processes that share it."""

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

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
from tests.store.embedded.damaging import make
from tests.store.embedded.spawning import LATE_S


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
