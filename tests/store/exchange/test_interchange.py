"""Scans become what other libraries hold, with units and who they are."""

import json

import numpy as np
import pytest

from labdaq.errors import DataError, IndexNoMoreThereError, LayoutError, MissingExtraError, NotFoundError, ResourceError
from labdaq.files import Hdf5File, ZarrFile, write_npz
from labdaq.files.arrow import from_arrow
from labdaq.store import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.exchange.frames import resolve_frames
from tests.store.kept import ENGINES, a_scan, a_store, table, threads_of_zarr

__all__ = ["threads_of_zarr"]

pd = pytest.importorskip("pandas")
xr = pytest.importorskip("xarray")
pa = pytest.importorskip("pyarrow")


@pytest.fixture(params=ENGINES)
def store(request, tmp_path):
    with a_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def scan(store):
    return a_scan(store, {"sample": "Cu", "range": {"low": 1}}, **table())


def uneven(store):
    real = NumericStreamEncoder(float)
    return a_scan(store, a=(real, {}, np.zeros(3)), b=(real, {}, np.zeros(3)), c=(real, {}, np.zeros(5)))


class TestPandas:
    def test_numbers_are_columns(self, scan):
        frame = scan.to_pandas()
        assert list(frame) == list(table())
        assert frame["delay"].tolist() == [0, 0.25, 0.5, 0.75]
        assert frame["count"].dtype == "i4"
        assert frame["good"].dtype == bool
        assert frame["when"].dtype == "M8[us]"
        assert (frame.loc[frame["good"], "count"] == [0, 2]).all()

    def test_arrays_are_cells(self, scan):
        frame = scan.to_pandas(["image", "wave", "hits"])
        assert frame["image"][3].tolist() == [[18, 19, 20], [21, 22, 23]]
        assert frame["wave"][0].dtype == "f4"
        assert [len(hits) for hits in frame["hits"]] == [0, 1, 2, 3]

    def test_json_is_objects(self, scan):
        assert scan.to_pandas("note")["note"][2] == {"i": 2, "text": "µ<b>"}

    def test_tells_who_it_is_and_units(self, scan):
        attrs = scan.to_pandas().attrs
        assert attrs["units"] == {"delay": "us", "wave": "mV"}
        assert (attrs["name"], attrs["number"], attrs["session"], attrs["key"]) == ("muon", 7, "s1", scan.key)
        assert attrs["info"] == {"sample": "Cu", "range": {"low": 1}}
        json.dumps(attrs)

    def test_goes_to_parquet_and_back(self, scan, tmp_path):
        frame = scan.to_pandas(["delay", "count"])
        frame.to_parquet(tmp_path / "x.parquet")
        assert pd.read_parquet(tmp_path / "x.parquet").equals(frame)

    def test_different_lengths_are_an_error_that_lists_them(self, store):
        scan = uneven(store)
        with pytest.raises(LayoutError, match=r"a 3, b 3, c 5.*Name streams"):
            scan.to_pandas()
        assert scan.to_pandas(["a", "b"]).shape == (3, 2)
        assert scan.to_pandas(shortest=True).shape == (3, 3)

    def test_unknown_name_lists_those_that_there_are(self, scan):
        with pytest.raises(NotFoundError, match=r"'nope'.*delay"):
            scan.to_pandas(["nope"])

    def test_a_scan_without_streams_is_empty(self, store):
        assert a_scan(store).to_pandas().shape == (0, 0)
        assert a_scan(store).to_arrow().num_rows == 0
        assert not a_scan(store).to_xarray()

    def test_a_live_scan_shows_what_is_there(self, store):
        scan = store.create_scan({"name": "x", "number": 1, "data_policy": "none"})
        scan.create_stream("a", NumericStreamEncoder(float)).send([1, 2])
        assert scan.to_pandas()["a"].tolist() == [1, 2]

    def test_outlives_the_store_and_can_be_changed(self, tmp_path):
        with a_store("embedded", tmp_path) as store:
            frame = a_scan(store, **table()).to_pandas()
            data = a_scan(store, **table()).to_xarray()
        frame.loc[0, "delay"] = 9
        frame["wave"][0][0] = 9
        data["image"][0, 0, 0] = 9
        assert data["image"].values[0, 0, 0] == 9

    def test_trimmed_points_are_not_left_out_silently(self, store):
        scan = store.create_scan({"name": "x", "number": 1, "data_policy": "none"})
        stream = scan.create_stream("a", NumericStreamEncoder(float, 100_000))
        for i in range(200):
            stream.send(np.full(100_000, i, float))
        store.engine.trim(stream.record, 190)
        first = stream.extent().first
        assert 0 < first <= 190
        with pytest.raises(IndexNoMoreThereError, match="skip_trimmed"):
            scan.to_pandas()
        assert scan.to_pandas(skip_trimmed=True).index[0] == first
        assert scan.to_xarray(skip_trimmed=True)["point"].values.tolist() == list(range(first, 200))
        assert scan.to_arrow(skip_trimmed=True).schema.metadata[b"first_index"] == str(first).encode()

    def test_without_the_package_the_extra_is_named(self, scan, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pandas", None)
        monkeypatch.setitem(__import__("sys").modules, "xarray", None)
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"labdaq\[analysis\]"):
            scan.to_pandas()
        with pytest.raises(MissingExtraError, match=r"labdaq\[analysis\]"):
            scan.to_xarray()
        with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
            scan.to_arrow()


class TestXarray:
    def test_streams_share_the_points(self, scan):
        data = scan.to_xarray()
        assert dict(data.sizes) == {"point": 4, "wave.x": 3, "image.y": 2, "image.x": 3}
        assert data["image"].dims == ("point", "image.y", "image.x")
        assert data["image"].dtype == "u2"
        assert data["hits"].values[3].tolist() == [0, 1, 2]
        assert data["note"].values[0] == {"i": 0, "text": "µ<b>"}

    def test_tells_units_where_plots_look_for_them(self, scan):
        data = scan.to_xarray()
        assert data["delay"].attrs == {"units": "us", "long_name": "Delay"}
        assert data["wave"].attrs == {"units": "mV", "gain": 2}
        assert data.attrs["number"] == 7
        assert json.loads(data.attrs["info"])["sample"] == "Cu"

    def test_other_lengths_have_a_dimension_of_their_own(self, store):
        data = uneven(store).to_xarray()
        assert (data["a"].dims, data["c"].dims) == (("point",), ("c.point",))
        assert dict(uneven(store).to_xarray(shortest=True).sizes) == {"point": 3}

    def test_streams_may_be_called_as_dimensions_are(self, store):
        real, vector = NumericStreamEncoder(float), NumericStreamEncoder(float, 2)
        names = {"point": (real, {}, np.zeros(3)), "v": (vector, {}, np.zeros((3, 2))), "v.x": (real, {}, np.zeros(3))}
        data = a_scan(store, **names).to_xarray()
        assert set(data.data_vars) == set(names)
        assert data["v"].shape == (3, 2)

    def test_points_with_many_axes(self, store):
        data = a_scan(store, v=(NumericStreamEncoder("i1", (2, 3, 4)), {}, np.zeros((5, 2, 3, 4), "i1"))).to_xarray()
        assert data["v"].dims == ("point", "v.axis0", "v.axis1", "v.axis2")


class TestArrow:
    def test_columns(self, scan):
        found = scan.to_arrow()
        assert found.column_names == list(table())
        assert found["hits"].to_pylist() == [[], [0], [0, 1], [0, 1, 2]]
        assert found["field"].to_pylist()[2] == {"re": 0, "im": 2}
        assert json.loads(found["note"].to_pylist()[1]) == {"i": 1, "text": "µ<b>"}
        assert found["when"].type == pa.timestamp("us")
        assert found["image"].to_pylist()[1] == list(range(6, 12))

    def test_tells_units_and_who_it_is(self, scan):
        schema = scan.to_arrow().schema
        assert schema.field("delay").metadata[b"unit"] == b"us"
        assert schema.field("wave").metadata[b"unit"] == b"mV"
        assert schema.metadata[b"number"] == b"7"
        assert json.loads(schema.metadata[b"info"])["range"] == {"low": 1}

    def test_reads_back_as_records(self, scan):
        names = ["delay", "count", "image"]
        records = from_arrow(scan.to_arrow(names)).records
        for name in names:
            assert np.array_equal(records[name], scan.streams[name][:])

    def test_ragged_along_several_axes(self, store):
        points = [np.arange(a * b, dtype="i4").reshape(a, b) for a, b in [(2, 3), (0, 2), (1, 0), (3, 1)]]
        scan = a_scan(store, r=(NumericStreamEncoder("i4", (-1, -1)), {}, points))
        assert scan.to_arrow()["r"].to_pylist() == [p.tolist() for p in points]

    def test_what_arrow_does_not_have(self, store):
        scan = a_scan(store, g=(NumericStreamEncoder(np.longdouble), {}, np.zeros(2, np.longdouble)))
        with pytest.raises(LayoutError, match="'g'"):
            scan.to_arrow()

    def test_polars_takes_it(self, scan):
        pl = pytest.importorskip("polars")
        frame = pl.from_arrow(scan.to_arrow(["delay", "count", "hits", "note"]))
        assert frame["hits"].to_list()[2] == [0, 1]


def references(store, points, info=None):
    scan = store.create_scan({"name": "x", "number": 1, "data_policy": "none"})
    stream = scan.create_stream("camera", JsonStreamEncoder(), {"reference": True, **(info or {})})
    stream.send_many(points)
    return scan, stream


class TestFrames:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "frames"
        folder.mkdir()
        images = np.arange(5 * 4, dtype="u2").reshape(5, 2, 2)
        with Hdf5File(folder / "a.h5") as file:
            file.dataset("image", images)
        with ZarrFile(folder / "b.zarr") as file:
            file.dataset("image", images + 100)
        write_npz(folder / "c.npz", {"image": images + 200, "one": images[0]})
        return folder

    def test_are_read_from_every_format(self, store, folder):
        there = "entry/measurement/image"
        points = [
            {"file": "a.h5", "dataset": there, "index": 1},
            {"file": "a.h5", "dataset": there, "index": 2},
            {"file": "a.h5", "dataset": there, "index": 0},
            {"file": "b.zarr", "dataset": there, "index": 4},
            {"file": "c.npz", "dataset": "image", "index": 3},
            {"file": "c.npz", "dataset": "one"},
            {"file": str(folder / "a.h5"), "dataset": there, "index": 4},
        ]
        scan, stream = references(store, points)
        frames = resolve_frames(stream, root=folder)
        assert frames.shape == (7, 2, 2)
        assert frames[:, 0, 0].tolist() == [4, 8, 0, 116, 212, 0, 16]
        assert resolve_frames(stream, 2, 4, root=folder).shape == (2, 2, 2)
        assert scan.to_xarray(root=folder)["camera"].dtype == "u2"
        assert scan.to_pandas(root=folder)["camera"][6].tolist() == [[16, 17], [18, 19]]
        assert scan.to_arrow(root=folder)["camera"].to_pylist()[0] == [4, 5, 6, 7]
        assert scan.to_pandas()["camera"][0] == points[0]

    def test_of_several_shapes_are_a_list(self, store, folder):
        points = [{"file": "c.npz", "dataset": "one"}, {"file": "c.npz", "dataset": "image"}]
        scan, stream = references(store, points)
        assert [frame.shape for frame in resolve_frames(stream, root=folder)] == [(2, 2), (5, 2, 2)]
        assert scan.to_pandas(root=folder)["camera"][0].shape == (2, 2)

    @pytest.mark.parametrize("name", ["../secret.npz", "/etc/passwd", "link.npz", "sub/../../secret.npz", "~/x.npz"])
    def test_lead_nowhere_else(self, store, folder, name):
        write_npz(folder.parent / "secret.npz", {"x": [1]})
        (folder / "link.npz").symlink_to(folder.parent / "secret.npz")
        _scan, stream = references(store, [{"file": name, "dataset": "x", "index": 0}])
        with pytest.raises((DataError, OSError), match=r"leads out of|No such file"):
            resolve_frames(stream, root=folder)

    def test_the_caller_may_name_a_folder_above(self, store, folder):
        write_npz(folder.parent / "other.npz", {"x": [1, 2]})
        _scan, stream = references(store, [{"file": str(folder / "../other.npz"), "dataset": "x", "index": 1}])
        assert resolve_frames(stream, root=folder.parent).tolist() == [2]

    @pytest.mark.parametrize(
        "point",
        [
            {"file": "c.npz", "dataset": "image", "index": 5},
            {"file": "c.npz", "dataset": "nope", "index": 0},
            {"file": "c.npz", "dataset": "image", "index": -1},
            {"file": "c.npz", "dataset": "image", "index": True},
            {"file": "a.h5", "dataset": "entry/measurement/image", "index": 5},
            {"file": "a.h5", "dataset": "nope", "index": 0},
            {"file": 3},
            {"file": "a\0.h5"},
            {"file": "a.tiff", "dataset": "x"},
            {"file": ".", "dataset": "x"},
            "c.npz",
            None,
        ],
    )
    def test_that_are_wrong(self, store, folder, point):
        _scan, stream = references(store, [point])
        with pytest.raises((DataError, NotFoundError, LayoutError)):
            resolve_frames(stream, root=folder)

    @pytest.mark.parametrize(
        "name",
        ["x" * 5000 + ".h5", "x" * 300 + ".h5", "x/" * 3000 + "y.h5", "\ud800.h5", "loop.h5", "a.h5/b.h5"],
        ids=["long", "rather long", "deep", "broken", "loop", "in a file"],
    )
    @pytest.mark.parametrize("suffix", ["", ".zarr", ".npz"])
    def test_names_that_no_file_has(self, store, folder, name, suffix):
        (folder / "loop.h5").symlink_to(folder / "loop.h5")
        _scan, stream = references(store, [{"file": name + suffix, "dataset": "x", "index": 0}])
        with pytest.raises((DataError, ResourceError)):
            resolve_frames(stream, root=folder)

    @pytest.mark.parametrize("file", ["a.h5", "b.zarr", "c.npz"])
    @pytest.mark.parametrize("dataset", ["a\0b", "\ud800", "x" * 5000], ids=["zero", "broken", "long"])
    def test_names_that_no_dataset_has(self, store, folder, file, dataset):
        _scan, stream = references(store, [{"file": file, "dataset": dataset, "index": 0}])
        with pytest.raises((DataError, NotFoundError, ResourceError)):
            resolve_frames(stream, root=folder)

    def test_folders_that_there_are_not(self, store, folder):
        _scan, stream = references(store, [{"file": "c.npz", "dataset": "image", "index": 0}])
        for root in (folder / ("x" * 5000), str(folder) + "\0"):
            with pytest.raises((DataError, ResourceError)):
                resolve_frames(stream, root=root)

    def test_numbers_are_no_references(self, scan, tmp_path):
        with pytest.raises(LayoutError, match="'delay'"):
            resolve_frames(scan.streams["delay"], root=tmp_path)
