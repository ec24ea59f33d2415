"""Embedded stores when writers die, disks are full or refuse, power goes, and files are damaged."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from ast import literal_eval
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labdaq.store.embedded.segments as segments
from labdaq.errors import DataError, LabdaqError, NotFoundError, ResourceError, ScanNotFoundError
from labdaq.native import disk
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.embedded.index import BOOT, COMMITTED, FIRST, HEADER_NBYTES, RECORD, SEALED, SYNCED
from labdaq.testing.store_faults import Ledger, Victim, failing

VICTIMS = Path(__file__).parent / "store_victims.py"
needs_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Unix only")


@pytest.fixture
def in_memory():
    """A folder where forcing things to the disk takes no time."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def run(*command, timeout=60):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refusal_of(call):
    """What a call raised, if that is an error of ours."""
    try:
        call()
    except LabdaqError as error:
        return error
    return None


def make(store, encoder=None, name="s"):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    return scan.create_stream(name, encoder or NumericStreamEncoder("f8"))


# --------------------------------------------------------------------------------------------- killed


@needs_forks
@pytest.mark.promise("P4", "writers of a store are killed at random; every point that they had acknowledged is there")
def test_killed_at_random_nothing_that_was_acknowledged_is_lost(often, saw, tmp_path):
    kills = often(50, 1000)
    output = run("-m", "labdaq.testing.store_faults", tmp_path / "s", "--kills", kills, timeout=60 + kills)
    report = literal_eval(output)
    assert report["wrong"] == ()
    assert report["kills"] == kills
    assert report["points"] > 10 * kills
    saw(f"{kills} kills, {report['points']} acknowledged points, 0 lost or wrong")


@needs_forks
@pytest.mark.promise("P4", "a writer of a store is killed before each of its file operations in turn")
def test_killed_at_every_single_file_operation(saw):
    ways = run(VICTIMS).splitlines()
    assert len(ways) == 2
    saw("; ".join(ways))


# -------------------------------------------------------------------------------------------- refused


def write_half(descriptor, payload, offset):
    return os.pwrite(descriptor, payload[: max(1, len(payload) // 2)], offset)


class Persistent:
    """Somebody who is told that it failed, sees that nothing was changed, and does it again."""

    def __init__(self, folder, error, sync_s):
        self.ledger = Ledger()
        self.error = error
        self.store = self.again(lambda: DataStore(folder, sync_s=sync_s))
        self.victim = Victim(self.store, self.ledger.note)

    def again(self, call):
        try:
            return call()
        except ResourceError as error:
            if error.errno != self.error:
                raise
        return call()

    def send(self, key, count):
        error = refusal_of(lambda: self.victim.send(key, count))
        if error is not None:
            assert error.errno == self.error
            self.ledger.streams[key].in_flight = 0
            assert self.ledger.check(self.store) == []
            self.victim.send(key, count)

    def seal(self, key):
        known = self.victim.streams[key]
        try:
            self.victim.seal(key)
        except ResourceError:
            assert not known[0].is_sealed()
            self.victim.streams[key] = known
            self.send(key, 1)
            self.victim.seal(key)

    def do_everything(self):
        self.again(self.victim.create)
        for count in (1, 3, 9):
            for key in list(self.victim.streams):
                self.send(key, count)
                self.again(self.victim.streams[key][0].join)
        for key in list(self.victim.streams):
            self.again(partial(self.victim.trim, key, 4))
            self.seal(key)


@pytest.mark.parametrize(("error", "sync_s"), [(errno.ENOSPC, 1000.0), (errno.EIO, 0)])
def test_every_single_file_operation_may_be_refused(in_memory, monkeypatch, error, sync_s):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 4096)
    if hasattr(os, "pwrite"):
        monkeypatch.setattr(disk, "_pwrite", write_half)
    n, was_hit = 0, True
    while was_hit:
        n += 1
        with failing(n, error) as fault:
            someone = Persistent(in_memory / str(n), error, sync_s)
            with someone.store:
                someone.do_everything()
            was_hit = fault.was_hit
        with DataStore(in_memory / str(n)) as store:
            assert someone.ledger.check(store) == []
        shutil.rmtree(in_memory / str(n))
    assert n > 100
    assert {"create", "write", "grow", "sync"} <= set(fault.names)


def test_what_the_disk_refused_in_the_background_is_told_by_the_next_call(tmp_path):
    with DataStore(tmp_path / "s", sync_s=0.01) as store:
        stream = make(store)
        stream.send(1.0)
        with failing(1, errno.EIO):
            while stream._writer._error is None:
                stream._writer.sync()
                stream._writer._synced = -1
        with pytest.raises(ResourceError, match="forcing"):
            stream.send(2.0)
        stream.send(3.0)
        stream.join()
        assert stream[:].tolist() == [1, 3]


def test_closing_tells_what_was_not_forced_to_the_disk(tmp_path):
    store = DataStore(tmp_path / "s", sync_s=1000)
    stream = make(store)
    stream.send(1.0)
    with failing(1, errno.EIO), pytest.raises(ResourceError, match="forcing"):
        store.close()
    with DataStore(tmp_path / "s") as store:
        again = store.open_stream(stream.key, write=True)
        again.send(2.0)
        assert again[:].tolist() == [1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
def test_a_disk_that_becomes_full(tmp_path):
    code = """if True:
        import resource, signal, sys, numpy as np
        from labdaq.errors import ResourceError
        from labdaq.store import *
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = DataStore(sys.argv[1])
        scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
        small, large = (scan.create_stream(n, NumericStreamEncoder("f8")) for n in ("small", "large"))
        small.send(0.0); large.send(np.zeros(1000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        counts = []
        for stream, batch in ((small, 1), (large, 1000)):
            try:
                for i in range(100_000): stream.send(np.full(batch, float(i)))
            except ResourceError as error: assert error.errno == 27, error
            counts.append(len(stream))
            try: stream.send(np.zeros(batch))
            except ResourceError: pass
            assert len(stream) == counts[-1]
        try:
            while True: store.create_scan({"name": "x" * 1000, "number": 1, "data_policy": "none"})
        except ResourceError: pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        scan.prepare(); small.send(-1.0); large.send(-1.0)
        print(scan.key, *counts)
        store.close()
    """
    key, small, large = run("-c", code, tmp_path / "s").split()
    assert int(small) > 1000
    assert int(large) == 12_000
    with DataStore(tmp_path / "s") as store:
        streams = store.load_scan(key).streams
        assert streams["small"][: int(small) + 1].tolist() == [0.0, *map(float, range(int(small) - 1)), -1.0]
        batches = [0.0, *map(float, range(11))]
        assert streams["large"][:12_001].tolist() == [*np.repeat(batches, 1000).tolist(), -1.0]


# ------------------------------------------------------------------------------------------- damaged


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A closed store: streams of each kind, in several segments; and what they hold."""
    folder = tmp_path_factory.mktemp("example") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_NBYTES", 1024)
        with DataStore(folder, sync_s=None) as store:
            numbers, notes = make(store), make(store, JsonStreamEncoder())
            for number in range(40):
                numbers.send(np.full(10, float(number)))
                notes.send_many([number, {"number": number}])
            for stream in (numbers, notes):
                stream.close()
    return folder, numbers.key, notes.key


def copied(example, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(example[0], folder)
    return folder


def expected_of(length, per_batch, is_json):
    batches = length // per_batch
    if is_json:
        return [point for number in range(batches) for point in (number, {"number": number})]
    return np.repeat(np.arange(float(batches)), per_batch).tolist()


def read_all(store, key):
    """Everything, as lists; a typed error in place of what cannot be read."""
    try:
        stream = store.open_stream(key)
        extent = stream.extent()
        points = stream[extent.first : extent.length]
        return extent, points if isinstance(points, list) else points.tolist()
    except LabdaqError as error:
        return None, error


@pytest.mark.parametrize("is_json", [False, True])
def test_an_index_cut_anywhere(example, tmp_path, is_json):
    folder, key = copied(example, tmp_path / "s"), example[1 + is_json]
    with DataStore(folder) as store:
        index = store.engine.folder_of(key) / "index"
        whole = index.read_bytes()
        end = HEADER_NBYTES + 40 * RECORD.itemsize
        for size in [*range(0, HEADER_NBYTES, 509), *range(HEADER_NBYTES, end + 1, 7 if is_json else 1), len(whole)]:
            index.write_bytes(whole[:size])
            extent, found = read_all(store, key)
            if size >= end:
                assert found == expected_of(extent.length, 2 if is_json else 10, is_json)
            else:
                assert isinstance(found, DataError)
                with pytest.raises(DataError):
                    store.open_stream(key, write=True).send({} if is_json else 1.0)


def test_a_segment_cut_anywhere(example, tmp_path):
    folder, key = copied(example, tmp_path / "s"), example[1]
    with DataStore(folder) as store:
        path = segments.segments_of(store.engine.folder_of(key))[1][1]
        whole = path.read_bytes()
        for size in range(0, len(whole), 37):
            path.write_bytes(whole[:size])
            stream = store.open_stream(key)
            assert stream[: len(whole) // 8].tolist() == expected_of(len(whole) // 80 * 10, 10, False)
            with pytest.raises(DataError, match="cut short"):
                stream[:]
            stream.close()
        path.unlink()
        with pytest.raises(LabdaqError):
            store.open_stream(key)[:]


@settings(max_examples=200)
@given(data=st.data())
def test_flipped_bytes_of_an_index(example, tmp_path_factory, data):
    is_json = data.draw(st.booleans())
    folder, key = example[0], example[1 + is_json]
    with DataStore(folder) as store:
        index = store.engine.folder_of(key) / "index"
        whole = index.read_bytes()
        used = HEADER_NBYTES + 40 * RECORD.itemsize
        changed = bytearray(whole)
        places = st.one_of(st.integers(0, 128), st.integers(HEADER_NBYTES, used - 1))
        for at in data.draw(st.lists(places, min_size=1, max_size=4)):
            changed[at] ^= data.draw(st.integers(1, 255))
        try:
            index.write_bytes(changed)
            extent, found = read_all(store, key)
            if extent is not None:
                everything = expected_of(80, 2, True) if is_json else expected_of(400, 10, False)
                assert found == everything[extent.first : extent.length]
            for call in (
                lambda: store.engine.trim(store.open_stream(key).record, 0),
                lambda: store.engine.journal(store.open_stream(key).record, 0),
            ):
                refusal_of(call)  # or nothing is wrong with what it looks at
        finally:
            index.write_bytes(whole)


@settings(max_examples=100)
@given(data=st.data())
def test_flipped_bytes_of_points(example, data):
    """Reading does not look at CRCs; what comes is a typed error or points."""
    key = example[2]
    with DataStore(example[0]) as store:
        path = data.draw(st.sampled_from(segments.segments_of(store.engine.folder_of(key))))[1]
        whole = path.read_bytes()
        changed = bytearray(whole)
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
            changed[at] ^= data.draw(st.integers(1, 255))
        try:
            path.write_bytes(changed)
            _extent, found = read_all(store, key)
            assert isinstance(found, LabdaqError) or len(found) == 80
        finally:
            path.write_bytes(whole)


# ---------------------------------------------------------------------------------------- power lost


def lose_power(folder, *, synced, zeroed_from=None, cut=False):
    """What is on the disk after a loss of power: another start of the machine, the last bytes not there."""
    index = folder / "index"
    text = bytearray(index.read_bytes())
    words = memoryview(text)[:HEADER_NBYTES].cast("Q")
    words[BOOT] += 1
    words[SYNCED] = synced
    words.release()
    index.write_bytes(text)
    if zeroed_from is None:
        return
    for offset, path in segments.segments_of(folder):
        bytes_there = bytearray(path.read_bytes())
        keep = min(max(0, zeroed_from - offset), len(bytes_there))
        path.write_bytes(bytes_there[:keep] + (b"" if cut else bytes(len(bytes_there) - keep)))


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("synced", [0, 7, 40])
@pytest.mark.parametrize("whole", [0, 1, 7, 13, 39, 40])
def test_after_a_loss_of_power_there_is_what_is_sound(example, tmp_path, monkeypatch, whole, synced, cut):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 1024)
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store, DataStore(folder) as other:
        place = store.engine.folder_of(key)
        # numbers are 0.0 in the first batch, for which zeros are right
        lose_power(place, synced=min(synced, whole), zeroed_from=80 * whole + (8 if whole else 80), cut=cut)
        sound = max(whole, 0 if cut else 1) if whole or not cut else 1
        reader = other.open_stream(key)
        expected = expected_of(10 * sound, 10, False)
        assert reader[:].tolist() == expected
        writer = store.open_stream(key, write=True)
        for number in range(100, 140):
            writer.send(np.full(7, float(number)))
            expected += [float(number)] * 7
            assert reader[-3 + len(expected) :].tolist() == expected[-3:]
        assert reader[:].tolist() == writer[:].tolist() == expected
        writer.seal()
    with DataStore(folder) as store:
        assert store.open_stream(key)[:].tolist() == expected


def test_a_record_that_was_lost_with_the_power(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        place = store.engine.folder_of(key)
        lose_power(place, synced=3)
        text = bytearray((place / "index").read_bytes())
        text[HEADER_NBYTES + 40 * 9 : HEADER_NBYTES + 40 * 20] = bytes(40 * 11)
        (place / "index").write_bytes(text)
        assert store.open_stream(key)[:].tolist() == expected_of(90, 10, False)
        assert store.engine.trim(store.open_stream(key).record, 1000) >= 0


def test_what_was_trimmed_before_the_power_was_lost_is_no_damage(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        assert store.engine.trim(store.open_stream(key).record, 200) > 0
        lose_power(store.engine.folder_of(key), synced=3)
        stream = store.open_stream(key, write=True)
        first, length, _sealed = stream.extent()
        assert length == 400
        assert stream[first:].tolist() == expected_of(400, 10, False)[first:]
        stream.send(1.0)
        assert len(stream) == 401


def test_a_sealed_stream_stays_sealed_when_power_takes_its_end(example, tmp_path):
    key, folder = example[1], copied(example, tmp_path / "s")
    with DataStore(folder, sync_s=None) as store:
        store.open_stream(key, write=True).seal()
        lose_power(store.engine.folder_of(key), synced=0, zeroed_from=1600)
        stream = store.open_stream(key)
        assert stream.extent() == (0, 200, True)
        assert list(stream) == expected_of(200, 10, False)


def test_forcing_is_vouched_for_only_when_it_was_never_refused(tmp_path):
    with DataStore(tmp_path / "s", sync_s=1000) as store:
        stream = make(store)
        words = lambda: np.fromfile(store.engine.folder_of(stream.key) / "index", "<u8", 16)  # noqa: E731
        stream.send(1.0)
        stream.join()
        assert words()[[COMMITTED, SYNCED]].tolist() == [1, 1]
        stream.send(2.0)
        with failing(1, errno.EIO), pytest.raises(ResourceError):
            stream.join()
        stream.join()
        assert words()[[COMMITTED, SYNCED]].tolist() == [2, 1]
        assert words()[[SEALED, FIRST]].tolist() == [0, 0]


# ----------------------------------------------------------------------------------------- catalogue


def all_calls(store, scan_key, stream_key):
    return [
        lambda: store.create_scan({"name": "muon", "number": 1, "data_policy": "none"}),
        lambda: store.load_scan(scan_key),
        lambda: store.open_stream(stream_key).extent(),
        lambda: store.open_stream(stream_key, write=True).seal(),
        lambda: store.search_existing_scans(name="mu*"),
        lambda: store.get_scans_state([scan_key]),
        lambda: store.get_next_scan(0, block=False),
        store.get_last_scan,
        store.engine.usage,
        lambda: store.delete_scan(scan_key, force=True),
    ]


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_catalogue(example, tmp_path_factory, data):
    folder = copied(example, tmp_path_factory.mktemp("damaged") / "s")
    path = folder / "catalogue.db"
    text = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["cut", "flip", "garbage"]))
    if how == "cut":
        text = text[: data.draw(st.integers(1, len(text) - 1))]
    elif how == "garbage":
        text = bytearray(data.draw(st.binary(min_size=1, max_size=2000)))
    else:
        for at in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=40)):
            text[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(text)
    with DataStore(example[0]) as sound:
        scan_key = sound.search_existing_scans()[1][0]

    def use():
        with DataStore(folder) as store:
            for call in all_calls(store, scan_key, example[1]):
                assert isinstance(refusal_of(call), DataError | ResourceError | NotFoundError | None)

    assert isinstance(refusal_of(use), DataError | ResourceError | None)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["not even text", "{}", "[1]", "null"])
@pytest.mark.parametrize(
    "column", ["scans.info", "scans.identity", "scans.state", "streams.encoding", "streams.info", "streams.writer"]
)
def test_nonsense_in_the_catalogue(example, tmp_path, column, what):
    folder = copied(example, tmp_path / "s")
    table, _dot, name = column.partition(".")
    db = sqlite3.connect(folder / "catalogue.db")
    db.execute(f"UPDATE {table} SET {name} = ?", (what,))
    db.commit()
    db.close()
    with DataStore(folder) as store:
        for call in all_calls(store, store.get_last_scan()[1], example[1]):
            assert isinstance(refusal_of(call), DataError | NotFoundError | None)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_catalogue_that_may_only_be_read(example, tmp_path):
    folder = copied(example, tmp_path / "s")
    for path in (folder / "catalogue.db", folder):
        path.chmod(0o500)
    try:
        with pytest.raises(ResourceError):
            DataStore(folder)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(("how", "message"), [("max_page_count = 1", "full"), ("query_only = 1", "readonly")])
def test_a_catalogue_that_refuses_to_be_written(example, tmp_path, how, message):
    folder = copied(example, tmp_path / "s")
    with DataStore(folder) as store:
        with store.engine.catalogue.reading() as db:
            db.execute(f"PRAGMA {how}")

        def fill():
            for _ in range(1000):
                store.create_scan({"name": "x" * 1000, "number": 1, "data_policy": "none"})

        with pytest.raises(ResourceError, match=message):
            fill()
        assert store.open_stream(example[1])[:].tolist() == expected_of(400, 10, False)


def test_a_catalogue_that_is_a_folder(tmp_path):
    (tmp_path / "s" / "catalogue.db").mkdir(parents=True)
    with pytest.raises(ResourceError):
        DataStore(tmp_path / "s")


def test_files_of_a_stream_that_are_gone(example, tmp_path):
    folder, key = copied(example, tmp_path / "s"), example[1]
    with DataStore(folder) as store:
        shutil.rmtree(store.engine.folder_of(key))
        stream = store.open_stream(key, write=True)
        for call in (stream.extent, lambda: stream[:], lambda: stream.send(1.0), stream.seal):
            with pytest.raises(ScanNotFoundError):
                call()
        with pytest.raises(ScanNotFoundError):
            store.engine.trim(stream.record, 1)
