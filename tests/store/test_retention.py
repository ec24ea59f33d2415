"""A store is kept within its limit: what goes first, and what never goes."""

import time

import numpy as np
import pytest

from labdaq.errors import IndexNoMoreThereError, LayoutError
from labdaq.store import DataStore, NumericStreamEncoder, ScanState
from labdaq.store.embedded import segments


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


class TestTrimming:
    @pytest.mark.usefixtures("small_segments")
    def test_oldest_closed_scans_go_first(self, store):
        scans = [taken(store, number) for number in range(3)]
        running = taken(store, 3, close=False)
        view = scans[0].streams["x"][:5]
        report = store.trim(2 * 320_000, protect_s=0)
        assert report.nbytes_before == 4 * 320_000
        assert report.nbytes_freed == 2 * 320_000
        assert report.is_enough
        for scan in scans[:2]:
            with pytest.raises(IndexNoMoreThereError):
                scan.streams["x"][0]
        assert len(scans[2].streams["x"][:]) == len(running.streams["x"][:]) == 4000
        assert view.tolist() == np.arange(50).reshape(5, 10).tolist()  # what was read stays
        assert len(scans[0].streams["x"]) == 4000
        assert scans[0].state == ScanState.CLOSED

    @pytest.mark.usefixtures("small_segments")
    def test_then_the_history_of_running_ones(self, store):
        running = taken(store, 1, close=False)
        stream = running.streams["x"]
        report = store.trim(0, protect_s=0)
        assert not report.is_enough  # the segment at which it is written stays
        assert report.nbytes_freed == 320_000 - 8000
        stream.send(np.full((1, 10), 7))
        assert stream[4000].tolist() == [7] * 10
        cursor = stream.cursor()
        with pytest.raises(IndexNoMoreThereError, match="removed to make room"):
            cursor.read(block=False)
        assert cursor.skip_trimmed() == 3900  # the batch in that segment stays, too
        assert cursor.read(block=False)[0] == 3900

    @pytest.mark.usefixtures("small_segments")
    def test_young_points_are_protected(self, store):
        taken(store, 1)
        report = store.trim(0, protect_s=60)
        assert (report.nbytes_freed, report.is_enough) == (0, False)

    def test_nothing_to_do(self, store):
        taken(store, 1)
        assert store.trim(10**9, protect_s=0).nbytes_freed == 0

    def test_in_memory_too(self):
        with DataStore("memory://") as store:
            scan = taken(store, 1)
            assert store.trim(0, protect_s=0).nbytes_freed == 320_000
            with pytest.raises(IndexNoMoreThereError):
                scan.streams["x"][3]

    @pytest.mark.parametrize("wrong", [{"limit_nbytes": -1}, {"limit_nbytes": 1, "protect_s": -1}])
    def test_limits_are_sizes_and_times(self, store, wrong):
        with pytest.raises(LayoutError):
            store.trim(**wrong)


class TestLimits:
    def test_a_store_keeps_within_its_limit_by_itself(self, tmp_path, monkeypatch):
        monkeypatch.setattr(segments, "SEGMENT_NBYTES", 8000)
        with DataStore(tmp_path / "lab", limit_nbytes=100_000, protect_s=0) as store:
            scan = taken(store, 1, close=False)
            deadline = time.monotonic() + 20
            while store.statistics().nbytes_trimmed < 220_000:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            scan.stop()
            scan.close()
            stream = scan.streams["x"]
            assert len(stream) == 4000
            assert stream[-1].tolist() == list(range(39_990, 40_000))
            with pytest.raises(IndexNoMoreThereError):
                stream[0]
            assert store.statistics().sent == 4000

    def test_memory_is_bounded_too(self):
        with DataStore("memory://", limit_nbytes=50_000, protect_s=0) as store:
            taken(store, 1)
            deadline = time.monotonic() + 20
            while sum(store.engine.usage().values()) > 50_000:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert store.statistics().nbytes_trimmed >= 270_000

    def test_what_was_sent_is_counted(self, store):
        scan = taken(store, 1, close=False)
        assert store.statistics().sent == 4000
        scan.close()
        assert store.statistics().sent == 4000


def test_one_damaged_stream_keeps_nobody_from_making_room(store, caplog):
    damaged, other = taken(store, 1), taken(store, 2)
    index = store.engine.folder_of(damaged.streams["x"].key) / "index"
    index.write_bytes(b"??" + index.read_bytes()[2:])
    assert store.trim(0, protect_s=0).nbytes_freed == 320_000
    with pytest.raises(IndexNoMoreThereError):
        other.streams["x"][0]
    assert "passed over" in caplog.text
