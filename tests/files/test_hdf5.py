"""HDF5: the contract of growing datasets, what NeXus viewers need, and files from elsewhere."""

import datetime as dt
import os

import h5py
import numpy as np
import pytest

from labdaq.errors import DataError, LayoutError, NotFoundError, ResourceError
from labdaq.files import Hdf5File, Hdf5Reader, list_hdf5, read_hdf5
from tests.files import trees


class TestContract(trees.TreeContract):
    File, Reader, suffix, package = Hdf5File, Hdf5Reader, ".h5", "h5py"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scans.h5"


def write_scan(path):
    with Hdf5File(path) as file:
        file.entry("scan_1", title="K edge", start_time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), end_time="2026-01-03")
        file.dataset("energy", [8.97, 8.98], units="keV")
        file.dataset("counts", [10, 12])
        file.dataset("image", np.zeros((2, 3, 4), "u2"))
        file.append("energy", [8.99])
        file.plot("counts", axes=["energy"])
        file.plot("image", axes=["energy"], name="images")
        file.plot("counts", axes=["energy", "counts"], name="scatter")


def test_nexus_structure(path):
    write_scan(path)
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        plot = entry[entry.attrs["default"]]
        classes = [group.attrs["NX_class"] for group in (file, entry, entry["measurement"], plot)]
        assert classes == ["NXroot", "NXentry", "NXcollection", "NXdata"]
        assert entry["title"].asstr()[()] == "K edge"
        assert entry["start_time"].asstr()[()] == "2026-01-02T00:00:00+00:00"
        assert entry["end_time"].asstr()[()] == "2026-01-03"
        assert (plot.attrs["signal"], plot.attrs["axes"].tolist(), plot.attrs["energy_indices"]) == (
            "counts",
            ["energy"],
            0,
        )
        assert plot["energy"] == entry["measurement/energy"]
        assert plot["energy"].attrs["units"] == "keV"
        assert plot["energy"].attrs["target"] == "/scan_1/measurement/energy"
        assert entry["images"].attrs["axes"].tolist() == ["energy", ".", "."]
        assert entry["scatter"].attrs["counts_indices"] == entry["scatter"].attrs["energy_indices"] == 0
        assert "definition" not in entry


def test_viewers_of_nexus_find_the_plot(path):
    nexus = pytest.importorskip("nexusformat.nexus")
    write_scan(path)
    with nexus.nxopen(path) as root:
        shown = root.get_default()
        assert (shown.nxsignal.nxname, [axis.nxname for axis in shown.nxaxes]) == ("counts", ["energy"])
        assert shown.nxsignal.nxvalue.tolist() == [10, 12]


def test_times_of_what_is_written_now(path):
    before = dt.datetime.now(dt.UTC)
    with Hdf5File(path) as file:
        file.entry("live")
        file.entry("past", start_time="2001-01-01")
    with h5py.File(path) as file:
        start, end = (
            dt.datetime.fromisoformat(file[f"live/{name}"].asstr()[()]) for name in ("start_time", "end_time")
        )
        assert before <= start <= end <= dt.datetime.now(dt.UTC)
        assert "end_time" not in file["past"]


def test_long_attributes(path):
    with Hdf5File(path) as file:
        file.dataset("x", [1.0], attributes={"settings": "x" * 100_000, "none": None, "empty": []})
    about = list_hdf5(path)["entry/measurement/x"].attributes
    assert (len(about["settings"]), about["none"], about["empty"]) == (100_000, "null", "[]")


def test_links_to_other_files_are_not_followed(tmp_path, path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = [1.0]
    with h5py.File(path, "w") as file:
        file["own"] = [2.0]
        file["link"] = h5py.ExternalLink("secret.h5", "/x")
        file["soft"] = h5py.SoftLink("/link")
        file["loop"] = file["/"]
        layout = h5py.VirtualLayout((1,), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "x", (1,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (1,), "f8", external=str(tmp_path / "secret.h5"))
    assert list(list_hdf5(path)) == ["own"]
    for name in ("link", "soft", "virtual", "raw"):
        with pytest.raises(NotFoundError, match="own"):
            read_hdf5(path, name)


def test_datasets_of_other_programs(path):
    with h5py.File(path, "w") as file:
        file["scalar"], file["text"], file["bytes"] = 2.5, "one", np.array([b"a", b"bc"])
        file["huge"] = file.create_dataset("h", (2**50,), "f8", chunks=(1000,))
        file.create_dataset("vlen", (1,), h5py.vlen_dtype("f4"))
        file.create_dataset("broken/offsets", data=[0, 9])
        file.create_dataset("broken/values", data=[1.0])
        file["broken"].attrs["ragged"] = True
    assert (read_hdf5(path, "scalar"), read_hdf5(path, "text"), read_hdf5(path, "bytes")) == (2.5, "one", ["a", "bc"])
    assert read_hdf5(path, "huge", 2**49, 2**49 + 2).tolist() == [0, 0]
    with pytest.raises(DataError, match="at most"):
        read_hdf5(path, "huge")
    with pytest.raises(LayoutError, match="no numbers"):
        read_hdf5(path, "vlen")
    with pytest.raises(DataError, match="do not rise"):
        read_hdf5(path, "broken")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_garbage(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match="complete HDF5"):
        list_hdf5(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_file(path, share):
    write_scan(path)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(DataError, match="complete HDF5"):
        list_hdf5(path)


def test_damaged_bytes_are_told_or_harmless(path):
    write_scan(path)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(50):
        damaged = bytearray(whole)
        for at in random.integers(0, len(whole), 20):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            for name in list_hdf5(path):
                read_hdf5(path, name, limit=10**7)
        except (DataError, NotFoundError, LayoutError):
            pass


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ResourceError, match="nowhere"):
        with Hdf5File(tmp_path / "nowhere" / "scan.h5") as file:
            file.entry("scan")
