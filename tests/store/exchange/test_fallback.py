"""Points that were trimmed come from a file, or not at all: never other points."""

import os

import numpy as np
import pytest

from labdaq.errors import DataError, IndexNoMoreThereError, LayoutError, StateError
from labdaq.files import Hdf5Reader
from labdaq.store import JsonStreamEncoder, NumericStreamEncoder, Stream
from tests.store.kept import ENGINES, WHO, a_store, threads_of_zarr

__all__ = ["threads_of_zarr"]

h5py = pytest.importorskip("h5py")

N, WIDTH = 200, 2_000
VECTOR = NumericStreamEncoder(float, WIDTH)


@pytest.fixture(params=ENGINES)
def store(request, tmp_path, monkeypatch):
    monkeypatch.setattr("labdaq.store.embedded.segments.SEGMENT_NBYTES", 2**16)
    with a_store(request.param, tmp_path) as store:
        yield store


def values(n=N):
    return np.arange(n)[:, None] + np.arange(WIDTH) / WIDTH


def a_stream(store, info, encoder=VECTOR, points=None):
    """A scan with a stream of many batches, which is not sealed."""
    scan = store.create_scan(WHO)
    stream = scan.create_stream("a", encoder, info)
    for point in values() if points is None else points:
        stream.send(point)
    return scan, stream


def trim(store, stream, first=150):
    store.engine.trim(stream.record, first)
    first = stream.extent().first
    assert 0 < first <= N
    return first


def write(path, data, **attributes):
    with h5py.File(path, "w") as file:
        file["x/a"] = data
        file["x/a"].attrs.update(attributes)
    return {"file_path": str(path), "data_path": "x/a"}


class TestFiles:
    def test_points_come_from_the_file_and_from_the_store(self, store, tmp_path):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values()))
        stream.seal()
        first = trim(store, stream)
        for index in (0, first - 1, first, N - 1, -1, -N):
            assert np.array_equal(stream[index], values()[index])
        for span in (slice(None), slice(0, first), slice(first - 2, first + 2), slice(None, None, -7), slice(3, 5)):
            assert np.array_equal(stream[span], values()[span])
        assert not stream[:].flags.writeable
        assert not stream[:2].flags.writeable

    def test_cursors_read_on(self, store, tmp_path):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values()))
        stream.seal()
        trim(store, stream)
        assert np.array_equal([point[0] for point in stream], np.arange(N))
        cursor = stream.cursor()
        assert cursor.read(count=3)[1][:, 0].tolist() == [0, 1, 2]

    def test_a_stream_that_is_still_written(self, store, tmp_path):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values(160)))
        first = trim(store, stream)
        assert np.array_equal(stream[0:], values())
        assert first <= 160

    def test_everything_was_trimmed(self, store, tmp_path):
        scan, stream = a_stream(store, write(tmp_path / "x.h5", values()))
        stream.seal()
        trim(store, stream, N)
        assert np.array_equal(stream[:], values())
        assert scan.to_xarray()["a"].shape == (N, WIDTH)
        assert scan.export(tmp_path / "y.h5").first == {"a": 0}

    def test_json(self, store, tmp_path):
        points = [{"i": i, "nan": float("nan"), "text": "x" * 5_000} for i in range(N)]
        path = tmp_path / "y.h5"
        place = {"file_path": str(path), "data_path": "entry/measurement/a"}
        scan, stream = a_stream(store, place, JsonStreamEncoder(), points)
        stream.seal()
        scan.export(path)
        trim(store, stream)
        assert [point["i"] for point in stream[:]] == list(range(N))

    @pytest.mark.parametrize(
        ("encoder", "points"),
        [
            (NumericStreamEncoder("i4", -1), [np.arange(500 + i, dtype="i4") for i in range(N)]),
            (NumericStreamEncoder("i2", (-1, -1)), [np.full((10 + i, 20), i, "i2") for i in range(N)]),
            (NumericStreamEncoder("M8[us]", 500), [np.arange(500).astype("M8[us]") for i in range(N)]),
            (NumericStreamEncoder(">f4", 500), [np.full(500, i, ">f4") for i in range(N)]),
            (NumericStreamEncoder("?", 5_000), [np.full(5_000, i % 2 == 0) for i in range(N)]),
        ],
    )
    @pytest.mark.parametrize("suffix", [".h5", ".zarr"])
    def test_every_kind_as_it_was_exported(self, store, tmp_path, encoder, points, suffix):
        path = tmp_path / f"y{suffix}"
        scan, stream = a_stream(store, {"file_path": str(path), "data_path": "entry/measurement/a"}, encoder, points)
        stream.seal()
        scan.export(path)
        first = trim(store, stream)
        for found, expected in zip(stream[:], points, strict=True):
            assert found.dtype == encoder.dtype
            assert np.array_equal(found, expected)
        assert np.array_equal(stream[first - 1], points[first - 1])


class TestWrongFiles:
    def refused(self, store, info, match, *, is_sealed=True):
        scan, stream = a_stream(store, info)
        if is_sealed:
            stream.seal()
        first = trim(store, stream)
        with pytest.raises(IndexNoMoreThereError, match=match):
            stream[first - 1]
        with pytest.raises(IndexNoMoreThereError, match=match):
            stream[:]
        assert np.array_equal(stream[first], values()[first])
        assert scan.to_pandas(skip_trimmed=True).index[0] == first

    def test_none(self, store):
        self.refused(store, {}, "no file is known")

    def test_missing(self, store, tmp_path):
        self.refused(store, {"file_path": str(tmp_path / "no.h5"), "data_path": "x/a"}, r"no\.h5.*does not serve")

    def test_no_such_dataset(self, store, tmp_path):
        place = write(tmp_path / "x.h5", values())
        self.refused(store, {**place, "data_path": "x/b"}, "'x/b'")
        self.refused(store, {**place, "data_path": "x"}, "'x'")

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (values().astype("f4"), "float32"),
            (values()[:, 1:], "1999"),
            (values()[:-1], "up to 199"),
            (np.vstack([values(), values()[:1]]), "up to 201"),
            (values() + 1, "differs"),
            (np.float64(3), "first axis"),
            (["text"] * N, "texts"),
        ],
    )
    def test_other_points(self, store, tmp_path, data, match):
        self.refused(store, write(tmp_path / "x.h5", data), match)

    def test_a_live_stream_whose_file_is_too_short_or_made_beforehand(self, store, tmp_path):
        self.refused(store, write(tmp_path / "x.h5", values(20)), "up to|holds the points", is_sealed=False)
        more = np.vstack([values(), np.zeros((10, WIDTH))])
        self.refused(store, write(tmp_path / "y.h5", more), "up to 210", is_sealed=False)

    def test_a_file_that_begins_later(self, store, tmp_path):
        scan, stream = a_stream(store, write(tmp_path / "x.h5", values()[10:], first_index=10))
        stream.seal()
        trim(store, stream)
        assert np.array_equal(stream[10:], values()[10:])
        with pytest.raises(IndexNoMoreThereError, match="from 10"):
            stream[9]
        assert scan.to_pandas(skip_trimmed=True).index[0] == 10

    def test_damaged(self, store, tmp_path):
        place = write(tmp_path / "x.h5", values())
        (tmp_path / "x.h5").write_bytes(b"nonsense" * 100)
        self.refused(store, place, "does not serve")

    def test_that_would_never_end(self, store, tmp_path):
        os.mkfifo(tmp_path / "pipe.h5")
        self.refused(store, {"file_path": str(tmp_path / "pipe.h5"), "data_path": "x/a"}, "no file")

    @pytest.mark.parametrize(
        "name",
        ["x" * 5000 + ".h5", "a\0b.h5", "a\0b.zarr", "\ud800.h5"],
        ids=["long", "zero", "zero in Zarr", "broken"],
    )
    @pytest.mark.parametrize("folder", ["", "/tmp/"])
    def test_names_that_no_file_has(self, store, name, folder):
        self.refused(store, {"file_path": folder + name, "data_path": "x/a"}, "does not serve")

    @pytest.mark.parametrize("info", [{"file_path": 3, "data_path": "a"}, {"file_path": "/x.h5"}, {"data_path": "a"}])
    def test_infos_that_say_nothing(self, store, info):
        self.refused(store, info, "no file is known")

    def test_ragged_points_of_another_shape(self, store, tmp_path):
        from labdaq.files import Hdf5File

        points = [np.zeros((500, 2)) for _ in range(N)]
        with Hdf5File(tmp_path / "x.h5") as file:
            file.dataset("a", [np.zeros((500, 3)) for _ in range(N)], ragged=True)
        place = {"file_path": str(tmp_path / "x.h5"), "data_path": "entry/measurement/a"}
        _scan, stream = a_stream(store, place, NumericStreamEncoder(float, (-1, 2)), points)
        stream.seal()
        trim(store, stream)
        with pytest.raises(IndexNoMoreThereError, match="shape"):
            stream[0]


class TestCursors:
    def test_nothing_is_skipped_that_a_file_has(self, store, tmp_path):
        scan, stream = a_stream(store, {})
        scan.prepare(), scan.start(), scan.stop()
        scan.export(tmp_path / "y.h5", attach=True)
        scan.close()
        trim(store, stream)
        cursor = store.load_scan(scan.key).streams["a"].cursor()
        assert cursor.skip_trimmed() == 0
        assert np.array_equal(cursor.read()[1], values())
        assert (cursor.position, cursor.skipped, cursor.skip_trimmed()) == (N, 0, 0)

    def test_what_a_file_does_not_have_is_skipped(self, store, tmp_path):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values()[10:], first_index=10))
        stream.seal()
        trim(store, stream)
        cursor = stream.cursor()
        with pytest.raises(IndexNoMoreThereError):
            cursor.read()
        assert cursor.skip_trimmed() == 10
        assert np.array_equal(cursor.read()[1], values()[10:])
        assert cursor.skipped == 10

    def test_without_a_file_all_that_was_trimmed_is_skipped(self, store):
        _scan, stream = a_stream(store, {})
        first = trim(store, stream)
        cursor = stream.cursor()
        assert (cursor.skip_trimmed(), cursor.position) == (first, first)

    def test_a_file_that_cannot_be_read_holds_nobody_up(self, store, tmp_path, monkeypatch):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values()))
        stream.seal()
        first = trim(store, stream)
        cursor = stream.cursor()
        assert cursor.read(count=5)[0] == 0
        reading = Hdf5Reader.read

        def damaged(self, name, start=None, stop=None, **options):
            if start < first:
                raise DataError("a block is damaged")
            return reading(self, name, start, stop, **options)

        monkeypatch.setattr(Hdf5Reader, "read", damaged)
        assert cursor.skip_trimmed() == 0
        with pytest.raises(IndexNoMoreThereError, match="a block is damaged"):
            cursor.read()
        assert cursor.skip_trimmed() == first - 5
        assert cursor.read()[0] == first


class TestIteration:
    def spans(self, stream, monkeypatch, name):
        """The points, and how many were taken each time."""
        taken, original = [], getattr(Stream, name)

        def spied(self, *span):
            found = original(self, *span)
            taken.append(len(found))
            return found

        monkeypatch.setattr(Stream, name, spied)
        return list(stream), taken

    def test_it_takes_no_more_than_it_has_to(self, store, monkeypatch):
        monkeypatch.setattr("labdaq.store.stream._PIECE_NBYTES", 7 * 8 * WIDTH + 1)
        _scan, stream = a_stream(store, {})
        stream.seal()
        found, taken = self.spans(stream, monkeypatch, "points")
        assert np.array_equal(found, values())
        assert taken == [7] * 28 + [4]

    def test_one_point_may_be_too_much(self, store, monkeypatch):
        monkeypatch.setattr("labdaq.store.stream._PIECE_NBYTES", 1)
        _scan, stream = a_stream(store, {}, points=values(3))
        stream.seal()
        assert self.spans(stream, monkeypatch, "points")[1] == [1, 1, 1]

    @pytest.mark.parametrize("encoder", [JsonStreamEncoder(), NumericStreamEncoder(int, -1)])
    def test_points_that_differ_in_size(self, store, encoder, monkeypatch):
        points = [[i] for i in range(5500)] if encoder.to_json()["type"] == "json" else list(np.arange(5500)[:, None])
        stream = store.create_scan(WHO).create_stream("a", encoder)
        for begin, end in [(0, 1), (1, 2500), (2500, 2501), *((i, i + 1) for i in range(2501, 5500))]:
            stream.send_many(points[begin:end])
        stream.seal()
        found, taken = self.spans(stream, monkeypatch, "whole_batches")
        assert [point[0] for point in found] == list(range(5500))
        assert taken == [2500, 1000, 1000, 1000]

    def test_of_a_file_and_of_the_store(self, store, tmp_path, monkeypatch):
        points = [{"i": i, "text": "x" * 500} for i in range(3000)]
        path = tmp_path / "y.h5"
        place = {"file_path": str(path), "data_path": "entry/measurement/a"}
        scan, stream = a_stream(store, place, JsonStreamEncoder(), points)
        stream.seal()
        scan.export(path)
        store.engine.trim(stream.record, 1500)
        assert 0 < stream.extent().first <= 1500
        found, taken = self.spans(stream, monkeypatch, "whole_batches")
        assert ([point["i"] for point in found], taken) == (list(range(3000)), [1000] * 3)

    def test_a_stream_that_is_still_written(self, store):
        _scan, stream = a_stream(store, {}, JsonStreamEncoder(), range(5))
        points = iter(stream)
        assert [next(points) for _ in range(5)] == [0, 1, 2, 3, 4]
        stream.send(5)
        assert next(points) == 5
        stream.seal()
        assert list(points) == []


class TestRelativePaths:
    @pytest.fixture
    def embedded(self, tmp_path, monkeypatch):
        monkeypatch.setattr("labdaq.store.embedded.segments.SEGMENT_NBYTES", 2**16)
        with a_store("embedded", tmp_path) as store:
            yield store

    def test_begin_at_the_folder_of_the_store(self, embedded):
        write(embedded.engine.folder / "x.h5", values())
        _scan, stream = a_stream(embedded, {"file_path": "x.h5", "data_path": "x/a"})
        stream.seal()
        trim(embedded, stream)
        assert np.array_equal(stream[:], values())

    def test_do_not_leave_it(self, embedded, tmp_path):
        write(tmp_path / "x.h5", values())
        (embedded.engine.folder / "link.h5").symlink_to(tmp_path / "x.h5")
        for path in ("../x.h5", "link.h5"):
            TestWrongFiles().refused(embedded, {"file_path": path, "data_path": "x/a"}, "stays in the folder")

    def test_are_nothing_to_a_store_without_a_folder(self, tmp_path):
        with a_store("memory", tmp_path) as store:
            TestWrongFiles().refused(store, {"file_path": "x.h5", "data_path": "x/a"}, "this store has none")


class TestAttached:
    @pytest.mark.parametrize("suffix", [".h5", ".zarr"])
    def test_an_exported_file_serves_what_is_trimmed(self, store, tmp_path, suffix, monkeypatch):
        scan, stream = a_stream(store, {})
        scan.prepare(), scan.start(), scan.stop()
        monkeypatch.chdir(tmp_path)
        scan.export(f"y{suffix}", attach=True)
        scan.info["end_reason"] = "SUCCESS"
        scan.close()
        trim(store, stream)
        monkeypatch.chdir("/")
        loaded = store.load_scan(scan.key)
        assert np.array_equal(loaded.streams["a"][:], values())

    def test_only_between_stop_and_close(self, store, tmp_path):
        scan = store.create_scan(WHO)
        scan.create_stream("a", NumericStreamEncoder(float)).send(1)
        for step in (scan.prepare, scan.start, lambda: None):
            with pytest.raises(StateError, match=scan.state.name):
                scan.export(tmp_path / "y.h5", attach=True)
            step()
        scan.stop()
        with pytest.raises(StateError, match="loaded to be read"):
            store.load_scan(scan.key).export(tmp_path / "y.h5", attach=True)
        scan.close()
        with pytest.raises(StateError, match="CLOSED"):
            scan.export(tmp_path / "y.h5", attach=True)
        assert not (tmp_path / "y.h5").exists()

    def test_tables_are_no_such_files(self, store, tmp_path):
        with pytest.raises(LayoutError, match="HDF5 and Zarr"):
            store.create_scan(WHO).export(tmp_path / "y.csv", attach=True)

    def test_more_is_trimmed_while_it_is_read(self, store, tmp_path, monkeypatch):
        _scan, stream = a_stream(store, write(tmp_path / "x.h5", values()))
        stream.seal()
        extent = stream.extent()
        trim(store, stream)
        assert np.array_equal(stream.points(0, N, extent), values())
        extent = stream.extent()
        trim(store, stream, N)
        assert np.array_equal(stream.points(0, N, extent), values())
        assert np.array_equal(stream.points(extent.first, N, extent), values()[extent.first :])
