"""Embedded stores when writers die, and when disks are full or refuse."""

import errno
import os
import shutil
import sys
import tempfile
from ast import literal_eval
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import labdaq.store.embedded.segments as segments
from labdaq.errors import ResourceError
from labdaq.native import disk
from labdaq.store import DataStore
from labdaq.testing.store_faults import Ledger, Victim, failing
from tests.store.embedded.damaging import make, refusal_of, run

VICTIMS = Path(__file__).parent / "store_victims.py"
needs_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Unix only")


@pytest.fixture
def in_memory():
    """A folder where forcing things to the disk takes no time."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


# ---------------------------------------------------------------------------------------------- killed


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


@pytest.mark.promise("P4", "each file operation of a store in turn is refused, by a full disk or an error of the disk")
@pytest.mark.parametrize(("error", "sync_s"), [(errno.ENOSPC, 1000.0), (errno.EIO, 0)], ids=["ENOSPC", "EIO"])
def test_every_single_file_operation_may_be_refused(in_memory, monkeypatch, error, sync_s, saw):
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
    saw(f"{n - 1} operations, each refused once: nothing acknowledged was lost, and the store went on")


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
