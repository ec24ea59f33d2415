"""Looking after a store: room, damage, and what a crash left."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder, ScanState, upkeep
from labdaq.store.embedded import segments

VICTIM = """
import os, signal, sys
from labdaq.store import *
store = DataStore(sys.argv[1])
scan = store.create_scan({"name": "victim", "number": 1, "data_policy": "none"}, {"why": "to die"})
points = scan.create_stream("points", NumericStreamEncoder("i8"), {"unit": "V"})
scan.create_stream("empty", JsonStreamEncoder())
scan.prepare()
scan.start()
points.send(list(range(1000)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(tmp_path):
    with DataStore(tmp_path / "lab") as store:
        yield store


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 8000)


def taken(store, number, npoint=4000, *, close=True):
    """A scan with vectors of 10 numbers, in batches of 100."""
    scan = store.create_scan({"name": "scan", "number": number, "data_policy": "none"})
    stream = scan.create_stream("x", NumericStreamEncoder("i8", (10,)))
    scan.prepare()
    scan.start()
    points = np.arange(npoint * 10).reshape(-1, 10)
    for batch in np.split(points, npoint // 100):
        stream.send(batch)
    if close:
        scan.stop()
        scan.close()
    return scan


def killed(path):
    done = subprocess.run([sys.executable, "-c", VICTIM, str(path)])
    assert done.returncode == -signal.SIGKILL


class TestVerifying:
    def test_what_is_right_is_right(self, store):
        taken(store, 1)
        taken(store, 2, close=False)
        reports = list(upkeep.verify(store))
        assert [(r.name, r.npoint, r.nbytes, r.is_sealed, r.problems) for r in reports] == [
            ("x", 4000, 320_000, True, ()),
            ("x", 4000, 320_000, False, ()),
        ]

    def test_one_flipped_bit_is_found(self, store):
        scan = taken(store, 1)
        (segment,) = store.engine.folder_of(scan.streams["x"].key).glob("data.*")
        spoil(segment, 100_000)
        (report,) = upkeep.verify(store)
        assert report.problems == ("points 1200 to 1299 are not what was written",)

    def test_only_files_can_be_verified(self):
        with DataStore("memory://") as store, pytest.raises(LayoutError, match="memory"):
            list(upkeep.verify(store))


class TestRepairing:
    def test_a_scan_whose_process_was_killed(self, tmp_path, store):
        killed(tmp_path / "lab")
        (key,) = store.search_existing_scans(name="victim")[1]
        scan = store.load_scan(key)
        assert scan.state == ScanState.STARTED
        actions = upkeep.repair(store).actions
        assert len(actions) == 1
        assert "was STARTED: now closed" in actions[0]
        assert scan.update(block=False)
        assert scan.state == ScanState.CLOSED
        assert "died" in scan.info["end_reason"]
        assert scan.info["why"] == "to die"
        assert scan.streams["points"][:].tolist() == list(range(1000))
        assert scan.streams["empty"].is_sealed()
        assert upkeep.repair(store).actions == []

    def test_the_living_are_left_alone(self, store):
        running = taken(store, 1, close=False)
        assert upkeep.repair(store).actions == []
        running.streams["x"].send(np.zeros(10, "i8"))
        running.stop()
        running.close()

    def test_a_damaged_stream_ends_before_the_damage(self, store):
        scan = taken(store, 1)
        (segment,) = store.engine.folder_of(scan.streams["x"].key).glob("data.*")
        spoil(segment, 100_000)
        assert "ends after 1200 points" in upkeep.repair(store).actions[0]
        again = store.load_scan(scan.key).streams["x"]
        assert np.array_equal(again[:], np.arange(12_000).reshape(-1, 10))
        assert again.is_sealed()
        assert [report.problems for report in upkeep.verify(store)] == [()]

    def test_a_lost_catalogue_is_made_again(self, tmp_path):
        path = tmp_path / "lab"
        with DataStore(path) as store:
            scan = taken(store, 1)
        killed(path)
        (path / "catalogue.db").write_bytes(b"garbage" * 1000)
        with pytest.raises(DataError, match="repair"):
            DataStore(path)
        store, aside = upkeep.open_damaged(path)
        assert aside.read_bytes().startswith(b"garbage")
        with store:
            actions = upkeep.repair(store).actions
            assert any("known to no scan" in action for action in actions)
            found = {store.load_scan(key).key: store.load_scan(key) for key in store.search_existing_scans()[1]}
            assert found[scan.key].streams["x"][3999].tolist() == list(range(39_990, 40_000))
            assert found[scan.key].streams["x"].is_sealed()
            (other,) = (s for key, s in found.items() if key != scan.key)
            assert other.streams["points"][-1] == 999
            assert other.streams["points"].info == {"unit": "V"}
            assert {s.name for s in found.values()} == {"recovered"}
            assert upkeep.repair(store).actions == []

    def test_folders_that_hold_no_stream_are_removed(self, store):
        stranger = store.engine.folder / "streams" / "01HCYP7ARJ4NSG9VGPGDX6SN2X"
        stranger.mkdir()
        (stranger / "index").write_bytes(b"no index")
        assert "held no points" in upkeep.repair(store).actions[0]
        assert not stranger.exists()


def spoil(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_follower_is_told_that_the_writer_died(tmp_path, store):
    """And everything acknowledged was there to be read."""
    killed(tmp_path / "lab")
    cursor = store.load_scan(store.get_last_scan()[1]).streams["points"].cursor()
    assert len(cursor.read()[1]) == 1000
    begin = time.monotonic()
    with pytest.raises(EOFError, match="died"):
        cursor.read(timeout=20)
    assert time.monotonic() - begin < 10
    assert os.getpid() > 0


def test_json_streams_survive_too(tmp_path, store):
    scan = store.create_scan({"name": "notes", "number": 1, "data_policy": "none"})
    notes = scan.create_stream("notes", JsonStreamEncoder())
    notes.send_many([{"i": i} for i in range(10)])
    scan.close()
    assert [r.problems for r in upkeep.verify(store)] == [()]
    assert tmp_path.exists()


class TestRepairingLosesNothing:
    def lose_catalogue(self, path):
        for file in path.glob("catalogue.db*"):
            file.unlink()

    def test_points_stay_when_their_index_cannot_be_read(self, tmp_path):
        path = tmp_path / "lab"
        with DataStore(path) as store:
            folder = store.engine.folder_of(taken(store, 1).streams["x"].key)
        self.lose_catalogue(path)
        (folder / "index").write_bytes(b"??" + (folder / "index").read_bytes()[2:])
        with DataStore(path) as store:
            (action,) = upkeep.repair(store).actions
        assert "320000 bytes" in action
        assert "left alone" in action
        assert sum(file.stat().st_size for file in folder.glob("data.*")) == 320_000

    def test_points_stay_when_the_system_refuses(self, tmp_path, monkeypatch):
        path = tmp_path / "lab"
        with DataStore(path) as store:
            scan = taken(store, 1)
        self.lose_catalogue(path)

        def refuse(self, path, **how):
            raise OSError(24, "Too many open files")

        with DataStore(path) as store:
            with monkeypatch.context() as patch:
                patch.setattr("labdaq.store.upkeep.Index.__init__", refuse)
                (action,) = upkeep.repair(store).actions
            assert "Too many open files" in action
            upkeep.repair(store)
            assert len(store.load_scan(scan.key).streams["x"]) == 4000

    def test_streams_that_are_just_made_are_left_alone(self, tmp_path):
        errors, done = [], threading.Event()

        def produce():
            try:
                with DataStore(tmp_path / "lab", sync_s=None) as store:
                    for number in range(40):
                        assert len(taken(store, number, 100).streams["x"]) == 100
            except Exception as error:  # noqa: BLE001
                errors.append(error)
            finally:
                done.set()

        with DataStore(tmp_path / "lab") as store:
            producer = threading.Thread(target=produce)
            producer.start()
            actions = []
            while not done.is_set():
                actions += upkeep.repair(store).actions
            producer.join()
            assert errors == []
            assert actions == []
            assert len(store.search_existing_scans()[1]) == 40
            assert [report.problems for report in upkeep.verify(store)] == [()] * 40

    def test_a_newer_store_is_not_touched(self, tmp_path):
        path = tmp_path / "lab"
        with DataStore(path) as store:
            taken(store, 1, 100)
        with contextlib.closing(sqlite3.connect(path / "catalogue.db")) as db, db:
            db.execute("UPDATE meta SET value = 99 WHERE name = 'version'")
        with pytest.raises(ResourceError, match="version 99"):
            upkeep.open_damaged(path)
        assert not list(path.glob("catalogue.db.damaged*"))

    def test_one_odd_row_is_told_and_the_others_are_repaired(self, tmp_path, store):
        killed(tmp_path / "lab")
        odd = taken(store, 1, 100, close=False)
        with store.engine.catalogue.transaction() as db:
            db.execute("UPDATE scans SET owner = 'xx' WHERE key = ?", (odd.key,))
        actions = upkeep.repair(store).actions
        assert any("now closed" in action for action in actions)
        assert any("left alone" in action and "'xx'" in action for action in actions)

    def test_what_was_not_yet_moved_into_the_catalogue_goes_along(self, tmp_path):
        path = tmp_path / "lab"
        killed(path)  # leaves a journal behind
        journal = (path / "catalogue.db-wal").read_bytes()
        assert journal
        aside = upkeep._set_aside(path / "catalogue.db")
        assert aside.with_name(aside.name + "-wal").read_bytes() == journal
        with contextlib.closing(sqlite3.connect(aside)) as db:  # and together they can be read
            assert db.execute("SELECT count(*) FROM scans").fetchone() == (1,)


def test_a_key_from_elsewhere_is_no_path(tmp_path, store):
    scan = taken(store, 1, 100)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("data")
    with store.engine.catalogue.transaction() as db:
        db.execute("UPDATE streams SET key = ?", (f"labdaq:stream:{victim}",))
    with pytest.raises(DataError, match="not the key of a stream"):
        store.delete_scan(scan.key)
    assert (victim / "precious").read_text() == "data"
