"""Zarr: the contract of growing datasets, other readers, damaged folders."""

import contextlib
import os

import numpy as np
import pytest
import zarr
from zarr.core.sync import cleanup_resources

from labdaq.errors import DataError, NotFoundError, ResourceError
from labdaq.files import ZarrFile, ZarrReader, list_zarr, read_zarr
from tests.files import trees


@pytest.fixture(autouse=True)
def threads_of_zarr(no_leaks):
    """Zarr's own threads live until the process ends; here they end with each test."""
    yield
    cleanup_resources()


class TestContract(trees.TreeContract):
    File, Reader, suffix, package = ZarrFile, ZarrReader, ".zarr", "zarr"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scans.zarr"


def write_scan(path):
    with ZarrFile(path, compression=1) as file:
        file.entry("scan_1", title="K edge", start_time="2026-01-02", end_time="2026-01-03")
        file.dataset("energy", [8.97, 8.98], units="keV")
        file.dataset("counts", np.array([10, 12]))
        file.plot("counts", axes=["energy"])


def test_other_programs_see_plain_arrays(path):
    write_scan(path)
    root = zarr.open_group(str(path), mode="r")
    entry = root[root.attrs["default"]]
    plot = entry[entry.attrs["default"]]
    assert {name: entry.attrs[name] for name in ("title", "start_time", "end_time")} == {
        "title": "K edge", "start_time": "2026-01-02", "end_time": "2026-01-03",
    }  # fmt: skip
    assert (plot.attrs["signal"], plot.attrs["axes"]) == ("counts", ["energy"])
    assert root[plot.attrs["target"]["energy"].lstrip("/")][:].tolist() == [8.97, 8.98]
    assert entry["measurement/energy"].attrs["units"] == "keV"


def test_groups_of_other_programs(path):
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    root.create_array("x", shape=(3,), dtype="f4", chunks=(2,), fill_value=7)
    assert read_zarr(path, "x").tolist() == [7, 7, 7]
    with ZarrFile(path, overwrite=True) as file:
        file.dataset("y", [1.0])
    assert list(list_zarr(path)) == ["entry/measurement/y"]


def test_another_folder_is_never_replaced(path):
    path.mkdir()
    (path / "precious").write_text("x")
    with pytest.raises(ResourceError, match="no Zarr group"):
        ZarrFile(path, overwrite=True)
    assert (path / "precious").read_text() == "x"


def test_names_do_not_leave_the_folder(tmp_path, path):
    write_scan(path)
    zarr.open_group(str(tmp_path / "secret.zarr"), mode="w").create_array("x", shape=(1,), dtype="f4")
    for name in ("../secret.zarr/x", "scan_1/../../secret.zarr/x", str(tmp_path / "secret.zarr/x")):
        with pytest.raises(NotFoundError):
            read_zarr(path, name)


@pytest.mark.parametrize(
    "damaged", ["zarr.json", "scan_1/measurement/energy/zarr.json", "scan_1/measurement/energy/c/0"]
)
@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b"\xff\x00garbage"])
def test_damaged_folder(path, damaged, content):
    write_scan(path)
    (path / damaged).write_bytes(content)
    with contextlib.suppress(DataError, NotFoundError):
        assert read_zarr(path, "scan_1/measurement/energy").tolist() == [8.97, 8.98]
        assert damaged == "zarr.json"  # what lies below can still be found


def test_half_a_chunk(path):
    write_scan(path)
    chunk = path / "scan_1/measurement/energy/c/0"
    os.truncate(chunk, chunk.stat().st_size // 2)
    with pytest.raises(DataError, match="complete Zarr"):
        read_zarr(path, "scan_1/measurement/energy")
