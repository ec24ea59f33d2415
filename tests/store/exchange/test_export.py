"""Scans become files, read back by programs that know nothing of labdaq."""

import datetime as dt
import json

import numpy as np
import pytest

from labdaq.errors import IndexNoMoreThereError, LayoutError, NotFoundError, ResourceError
from labdaq.files import Hdf5Reader, read_csv, read_hdf5, read_npz, read_parquet
from labdaq.store import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.exchange import selection
from tests.store.kept import ENGINES, WHO, a_scan, a_store, table, threads_of_zarr

__all__ = ["threads_of_zarr"]

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pq = pytest.importorskip("pyarrow.parquet")

TREES = [".h5", ".hdf5", ".nxs", ".zarr"]
REAL = NumericStreamEncoder(float)


@pytest.fixture(params=ENGINES)
def store(request, tmp_path):
    with a_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def scan(store):
    return a_scan(store, {"sample": "Cu", "plot": {"x": "delay", "y": "count"}}, **table())


@pytest.fixture
def short_batches(monkeypatch):
    """Three points at a time, at most."""
    original = selection.pieces
    monkeypatch.setattr(selection, "pieces", lambda selected, *_: original(selected, 24))
    monkeypatch.setattr("labdaq.store.exchange.tables.pieces", lambda selected: original(selected, 24))
    monkeypatch.setattr(selection, "_FIRST_GUESS", 2)


class TestHdf5:
    @pytest.fixture
    def file(self, scan, tmp_path):
        scan.export(tmp_path / "scan.h5")
        with h5py.File(tmp_path / "scan.h5") as file:
            yield file

    def test_viewers_find_the_plot(self, file, scan):
        entry = file[file.attrs["default"]]
        plot = entry[entry.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert plot.attrs["signal"] == "count"
        assert plot.attrs["axes"].tolist() == ["delay"]
        assert plot["count"][:].tolist() == [0, 1, 2, 3]
        assert plot["delay"].attrs["units"] == "us"
        assert plot["delay"].attrs["long_name"] == "Delay"

    def test_tells_when_and_who(self, file, scan):
        entry = file["entry"]
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry["title"][()].decode() == "muon 7"
        start, end = (dt.datetime.fromisoformat(entry[t][()].decode()) for t in ("start_time", "end_time"))
        assert start.timestamp() == pytest.approx(scan.created_ns / 1e9, abs=1e-5)
        assert 0 <= (end - start).total_seconds() < 60
        assert (entry.attrs["number"], entry.attrs["session"], entry.attrs["key"]) == (7, "s1", scan.key)
        assert json.loads(entry.attrs["info"])["sample"] == "Cu"

    def test_every_kind_of_stream(self, file, scan):
        there = file["entry/measurement"]
        for name in ("delay", "count", "good", "wave", "image", "field"):
            assert np.array_equal(there[name][:], scan.streams[name][:])
        assert there["image"].dtype == "u2"
        assert there["wave"].attrs["units"] == "mV"
        assert there["wave"].attrs["gain"] == 2
        assert json.loads(there["note"][1]) == {"i": 1, "text": "µ<b>"}
        assert there["hits/values"][:].tolist() == [0, 0, 1, 0, 1, 2]
        assert there["hits/offsets"][:].tolist() == [0, 0, 1, 3, 6]
        assert there["when"].attrs["units"] == "us since 1970-01-01T00:00:00Z"
        assert there["when"][:].tolist() == [0, 1, 2, 3]

    def test_nexusformat_opens_it(self, scan, tmp_path):
        nexus = pytest.importorskip("nexusformat.nexus")
        scan.export(tmp_path / "scan.nxs")
        with nexus.nxload(str(tmp_path / "scan.nxs"), "r") as root:
            assert root.get_default().nxsignal.nxvalue.tolist() == [0, 1, 2, 3]
            assert root.get_default().nxaxes[0].nxname == "delay"

    def test_without_a_wish_the_first_numbers_are_shown(self, store, tmp_path):
        scan = a_scan(store, {"plot": {"x": "nope", "y": ["a"]}}, **table())
        scan.export(tmp_path / "scan.h5", streams=["note", "image", "count", "delay"])
        with h5py.File(tmp_path / "scan.h5") as file:
            assert file["entry/plot"].attrs["signal"] == "count"

    def test_without_numbers_there_is_no_plot(self, store, tmp_path):
        done = a_scan(store, {"plot": 3}, note=table()["note"]).export(tmp_path / "scan.h5")
        assert done.npoint == {"note": 4}
        assert "plot" not in h5py_names(tmp_path / "scan.h5")


def h5py_names(path):
    with h5py.File(path) as file:
        return list(file["entry"])


class TestTrees:
    @pytest.mark.parametrize("suffix", TREES)
    def test_returns_what_was_written_and_where(self, scan, tmp_path, suffix):
        path = tmp_path / f"scan{suffix}"
        done = scan.export(path)
        assert done.path == path
        assert done.kind == ("Zarr" if suffix == ".zarr" else "HDF5")
        assert set(done.npoint.values()) == {4}
        assert set(done.first.values()) == {0}
        assert done.places["delay"] == "entry/measurement/delay"
        assert [p.name for p in tmp_path.glob("scan*")] == [path.name]

    def test_zarr_is_read_by_zarr(self, scan, tmp_path):
        scan.export(tmp_path / "scan.zarr")
        root = zarr.open_group(tmp_path / "scan.zarr", mode="r")
        assert root["entry/measurement/image"][3].tolist() == [[18, 19, 20], [21, 22, 23]]
        assert root["entry/measurement/delay"].attrs["units"] == "us"
        assert root["entry"].attrs["number"] == 7

    @pytest.mark.parametrize("suffix", [".h5", ".zarr"])
    def test_in_small_batches_nothing_is_lost(self, store, tmp_path, suffix, short_batches):
        scan = a_scan(store, **table(40))
        done = scan.export(tmp_path / f"scan{suffix}")
        other = a_scan(store, **table(40)).export(tmp_path / "whole.h5")
        if suffix == ".h5":
            for name, place in done.places.items():
                found, expected = read_hdf5(done.path, place), read_hdf5(other.path, place)
                assert len(found) == 40
                assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), name

    def test_lengths_may_differ_and_be_nothing(self, store, tmp_path):
        streams = {
            "a": (REAL, {}, np.arange(3.0)),
            "none": (REAL, {}),
            "image": (NumericStreamEncoder("u2", (2, 2)), {}),
            "ragged": (NumericStreamEncoder("u2", (-1, 2)), {}),
            "note": (JsonStreamEncoder(), {}),
        }
        done = a_scan(store, **streams).export(tmp_path / "scan.h5")
        assert done.npoint == {"a": 3, "none": 0, "image": 0, "ragged": 0, "note": 0}
        assert read_hdf5(done.path, done.places["image"]).shape == (0, 2, 2)

    def test_ragged_along_several_axes_keeps_its_shapes(self, store, tmp_path):
        points = [np.arange(a * b, dtype="i4").reshape(a, b) for a, b in [(2, 3), (0, 2), (3, 1)]]
        done = a_scan(store, r=(NumericStreamEncoder("i4", (-1, -1)), {}, points)).export(tmp_path / "scan.h5")
        with h5py.File(done.path) as file:
            there = file["entry/measurement"]
            assert there["r.shapes"][:].tolist() == [[2, 3], [0, 2], [3, 1]]
            assert there["r/offsets"][:].tolist() == [0, 6, 6, 9]

    @pytest.mark.parametrize("suffix", [".h5", ".zarr"])
    def test_strange_names_and_infos(self, store, tmp_path, suffix):
        info = {"": 1, "a\nb": 2, "NX_class": "<script>", "ragged": True, "deep": {"x": [1, None]}, "none": None}
        names = ["a/b", "a_b", "../../x", ".hidden", "__x", "a:b c", "µ", "entry/measurement", "\\"]
        scan = a_scan(store, **{name: (REAL, info, np.arange(2.0)) for name in names})
        done = scan.export(tmp_path / f"scan{suffix}")
        assert len(set(done.places.values())) == len(names)
        assert all(place.startswith("entry/measurement/") for place in done.places.values())
        if suffix == ".h5":
            with Hdf5Reader(done.path) as file:
                for name, place in done.places.items():
                    about = file.info(place)
                    assert about.attributes["stream"] == name
                    assert json.loads(about.attributes["info"]) == info
                    assert not about.is_ragged
        assert [p.name for p in tmp_path.iterdir() if p.name != "store"] == [done.path.name]

    @pytest.mark.parametrize("suffix", [".h5", ".zarr", ".npz"])
    @pytest.mark.parametrize(
        "names", [["..", "."], ["/", "\\"], ["_", "/", "\\", "__", "s_"], ["zarr.json"], [".._", "_..", "._"]]
    )
    def test_names_that_are_nothing_but_signs(self, store, tmp_path, suffix, names):
        scan = a_scan(store, **{name: (REAL, {}, float(i)) for i, name in enumerate(names)})
        done = scan.export(tmp_path / f"scan{suffix}")
        if suffix == ".h5":
            found = [read_hdf5(done.path, done.places[name])[0] for name in names]
        elif suffix == ".zarr":
            root = zarr.open_group(done.path, mode="r")
            found = [root[done.places[name]][0] for name in names]
        else:
            found = [read_npz(done.path).arrays[done.places[name]][0] for name in names]
        assert found == list(range(len(names)))

    @pytest.mark.parametrize("suffix", [".h5", ".zarr"])
    @pytest.mark.parametrize("names", [["a/b", "a_b.shapes"], ["a_b.shapes", "a/b"], ["a/b", "a_b", "a_b_.shapes"]])
    def test_shapes_have_names_of_their_own(self, store, tmp_path, suffix, names):
        images = NumericStreamEncoder("i4", (-1, -1))
        kinds = {name: (REAL, {}, 1.0) if "shapes" in name else (images, {}, [np.ones((2, 3), "i4")]) for name in names}
        done = a_scan(store, **kinds).export(tmp_path / f"scan{suffix}")
        used = [*done.places.values(), *(done.places[name] + ".shapes" for name in names if "shapes" not in name)]
        assert len(set(used)) == len(used)

    def test_a_large_info(self, store, tmp_path):
        done = a_scan(store, {"text": "x" * 500_000}, a=(REAL, {}, 1.0)).export(tmp_path / "scan.h5")
        with h5py.File(done.path) as file:
            assert len(json.loads(file["entry"].attrs["info"])["text"]) == 500_000

    def test_a_live_scan_writes_what_is_there(self, store, tmp_path):
        scan = store.create_scan(WHO)
        a, b = scan.create_stream("a", REAL), scan.create_stream("b", REAL)
        a.send([1, 2]), b.send(1)
        scan.prepare(), scan.start()
        assert scan.export(tmp_path / "scan.h5").npoint == {"a": 2, "b": 1}
        assert "end_time" not in h5py_names(tmp_path / "scan.h5")
        a.send(3)
        assert store.load_scan(scan.key).export(tmp_path / "scan.h5", overwrite=True).npoint == {"a": 3, "b": 1}


class TestTables:
    NAMES = ("delay", "count", "good")

    def test_parquet_holds_every_kind(self, scan, tmp_path):
        done = scan.export(tmp_path / "scan.parquet")
        found = pq.read_table(done.path)
        assert found.num_rows == 4
        assert found["hits"].to_pylist()[3] == [0, 1, 2]
        assert json.loads(found["note"].to_pylist()[1])["i"] == 1
        assert found.schema.field("delay").metadata[b"unit"] == b"us"
        assert found.schema.metadata[b"name"] == b"muon"

    def test_parquet_is_read_by_pandas_and_by_us(self, scan, tmp_path):
        pd = pytest.importorskip("pandas")
        path = scan.export(tmp_path / "scan.parquet", streams=["delay", "image"]).path
        assert pd.read_parquet(path)["delay"].tolist() == [0, 0.25, 0.5, 0.75]
        mine = read_parquet(path)
        assert mine.units == {"delay": "us"}
        assert np.array_equal(mine.records["image"], scan.streams["image"][:])

    @pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".txt", "\t")])
    def test_csv(self, scan, tmp_path, suffix, separator):
        path = scan.export(tmp_path / f"scan{suffix}", streams=self.NAMES).path
        assert path.read_text().splitlines()[:2] == [
            separator.join(["delay [us]", "count", "good"]),
            separator.join("001").replace("0", "0.0", 1),
        ]
        mine = read_csv(path)
        assert mine.units == {"delay": "us"}
        assert mine.records["count"].tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    def test_in_small_batches_nothing_is_lost(self, store, tmp_path, suffix, short_batches):
        scan = a_scan(store, **table(40))
        names = None if suffix == ".parquet" else self.NAMES
        path = scan.export(tmp_path / f"scan{suffix}", streams=names).path
        if suffix == ".csv":
            assert read_csv(path).records["count"].tolist() == list(range(40))
            return
        found = pq.read_table(path)
        assert found["count"].to_pylist() == list(range(40))
        assert [len(hits) for hits in found["hits"].to_pylist()] == list(range(40))

    def test_csv_lists_the_formats_that_hold_images(self, scan, tmp_path):
        with pytest.raises(LayoutError, match=r"CSV does not hold image .*\.h5.*\.zarr.*\.parquet.*\.npz"):
            scan.export(tmp_path / "scan.csv", streams=["delay", "image"])
        with pytest.raises(LayoutError, match=r"CSV does not hold .*hits.*: \.h5, \.hdf5, \.nxs, \.zarr, \.parquet;"):
            scan.export(tmp_path / "scan.csv")
        assert not list(tmp_path.glob("scan*"))

    def test_lengths_that_differ(self, store, tmp_path):
        scan = a_scan(store, a=(REAL, {}, np.zeros(3)), b=(REAL, {}, np.zeros(5)))
        for suffix in (".csv", ".parquet"):
            with pytest.raises(LayoutError, match=r"a 3, b 5.*\.h5"):
                scan.export(tmp_path / f"scan{suffix}")
            assert scan.export(tmp_path / f"scan{suffix}", shortest=True).npoint == {"a": 3, "b": 3}

    def test_no_columns_are_no_table(self, store, tmp_path):
        with pytest.raises(LayoutError, match="no streams"):
            a_scan(store).export(tmp_path / "scan.csv")
        assert a_scan(store).export(tmp_path / "scan.h5").npoint == {}

    def test_no_rows(self, store, tmp_path):
        scan = a_scan(store, a=(REAL, {"unit": "V"}), h=(NumericStreamEncoder("i2", -1), {}))
        assert pq.read_table(scan.export(tmp_path / "x.parquet").path).num_rows == 0
        assert scan.export(tmp_path / "x.csv", streams="a").path.read_text() == "a [V]\n"

    def test_headings_that_clash(self, store, tmp_path):
        scan = a_scan(store, **{"#a": (REAL, {}, 1.0)})
        with pytest.raises(LayoutError, match="comment"):
            scan.export(tmp_path / "x.csv")
        assert not list(tmp_path.glob("x.csv*"))


class TestNpz:
    def test_numpy_reads_it(self, scan, tmp_path):
        names = [name for name in table() if name != "hits"]
        scan.export(tmp_path / "scan.npz", streams=names)
        with np.load(tmp_path / "scan.npz") as found:
            assert found["delay"].tolist() == [0, 0.25, 0.5, 0.75]
            assert found["image"].shape == (4, 2, 3)
            assert found["when"].dtype == "M8[us]"
            assert json.loads(found["note"][1])["i"] == 1
        told = read_npz(tmp_path / "scan.npz").metadata
        assert (told["number"], told["info"]["sample"]) == (7, "Cu")
        assert told["streams"]["delay"]["info"]["unit"] == "us"

    def test_does_not_hold_ragged(self, scan, tmp_path):
        with pytest.raises(LayoutError, match="NPZ does not hold hits"):
            scan.export(tmp_path / "scan.npz")

    def test_a_name_that_is_taken(self, store, tmp_path):
        done = a_scan(store, metadata=(REAL, {}, 1.0)).export(tmp_path / "scan.npz")
        assert read_npz(done.path).arrays[done.places["metadata"]].tolist() == [1]


class TestPlaces:
    ALL = (*TREES, ".parquet", ".csv", ".npz")

    @pytest.mark.parametrize("suffix", ALL)
    def test_nothing_is_replaced_unless_asked(self, store, tmp_path, suffix):
        scan = a_scan(store, a=(REAL, {}, 1.0))
        path = tmp_path / f"scan{suffix}"
        scan.export(path)
        with pytest.raises(ResourceError, match="overwrite=True"):
            scan.export(path)
        a = a_scan(store, a=(REAL, {}, 2.0)).export(path, overwrite=True)
        assert a.npoint == {"a": 1}
        assert [p.name for p in tmp_path.iterdir() if p.name != "store"] == [path.name]

    @pytest.mark.parametrize("suffix", ALL)
    def test_a_folder_of_others_is_never_replaced(self, store, tmp_path, suffix):
        scan = a_scan(store, a=(REAL, {}, 1.0))
        folder = tmp_path / f"folder{suffix}"
        folder.mkdir()
        (folder / "thesis.tex").write_text("all of it")
        with pytest.raises(ResourceError):
            scan.export(folder, overwrite=True)
        assert (folder / "thesis.tex").read_text() == "all of it"

    @pytest.mark.parametrize("suffix", ALL)
    def test_an_error_leaves_the_old_file_and_no_half_one(self, store, tmp_path, suffix, monkeypatch):
        scan = a_scan(store, a=(REAL, {}, np.zeros(10)))
        path = scan.export(tmp_path / f"scan{suffix}").path
        before = path.read_bytes() if path.is_file() else None
        trimmed = IndexNoMoreThereError("removed to make room")

        def fail(*_args):
            raise trimmed

        monkeypatch.setattr("labdaq.store.stream.Stream.points", fail)
        with pytest.raises(IndexNoMoreThereError):
            scan.export(path, overwrite=True)
        assert [p.name for p in tmp_path.iterdir() if p.name != "store"] == [path.name]
        assert before is None or path.read_bytes() == before

    @pytest.mark.parametrize("suffix", ALL)
    def test_who_interrupts_it_finds_nothing(self, store, tmp_path, suffix, monkeypatch):
        scan = a_scan(store, a=(REAL, {}, np.zeros(10)))
        seen = []

        def interrupt(*_args):
            seen.extend(path.name for path in tmp_path.glob("scan*"))
            raise KeyboardInterrupt

        monkeypatch.setattr("labdaq.store.stream.Stream.points", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scan.export(tmp_path / f"scan{suffix}")
        assert seen in ([], [f"scan{suffix}.part"])
        assert not list(tmp_path.glob("scan*"))

    @pytest.mark.parametrize("suffix", ALL)
    @pytest.mark.parametrize("name", ["x" * 5000, "a\0b"], ids=["long", "zero"])
    def test_names_that_no_file_has(self, store, tmp_path, suffix, name):
        with pytest.raises(ResourceError):
            a_scan(store, a=(REAL, {}, 1.0)).export(tmp_path / f"{name}{suffix}")

    def test_unknown_suffix_lists_those_that_there_are(self, scan, tmp_path):
        with pytest.raises(LayoutError, match=r"\.h5, .*\.npz"):
            scan.export(tmp_path / "scan.xlsx")

    def test_unknown_stream(self, scan, tmp_path):
        with pytest.raises(NotFoundError, match="delay"):
            scan.export(tmp_path / "scan.h5", streams=["nope"])

    def test_a_folder_that_is_not_there(self, scan, tmp_path):
        for suffix in self.ALL:
            with pytest.raises(ResourceError):
                scan.export(tmp_path / "nope" / f"scan{suffix}", streams=["delay"])

    @pytest.mark.parametrize("suffix", [".h5", ".parquet", ".npz"])
    def test_trimmed_points(self, store, tmp_path, suffix):
        scan = store.create_scan(WHO)
        stream = scan.create_stream("a", NumericStreamEncoder(float, 100_000))
        for i in range(100):
            stream.send(np.full(100_000, i, float))
        store.engine.trim(stream.record, 90)
        first = stream.extent().first
        with pytest.raises(IndexNoMoreThereError, match="skip_trimmed"):
            scan.export(tmp_path / f"scan{suffix}")
        done = scan.export(tmp_path / f"scan{suffix}", skip_trimmed=True)
        assert done.first == {"a": first}
        assert done.npoint == {"a": 100 - first}
        if suffix == ".h5":
            with h5py.File(done.path) as file:
                assert file[done.places["a"]].attrs["first_index"] == first
                assert file[done.places["a"]][0, 0] == first
