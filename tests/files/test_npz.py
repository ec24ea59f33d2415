"""Arrays for NumPy: what is written reads back, nothing is pickled, faults are told."""

import os
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labdaq.errors import DataError, LayoutError, ResourceError
from labdaq.files import read_npz, write_npz

KINDS = st.sampled_from(["i1", ">u8", "f2", "c16", "?", "U3", "M8[ns]"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(arrays(KINDS, array_shapes(min_dims=0)), st.dictionaries(st.text(), JSON), st.booleans())
def test_round_trip_is_exact(tmp_path_factory, array, metadata, compress):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    write_npz(path, {"file": array, "records": np.zeros(2, [("a", "i2")])}, metadata, compress=compress)
    found = read_npz(path)
    np.testing.assert_array_equal(found.arrays["file"], array)
    assert found.arrays["file"].dtype == array.dtype
    assert found.arrays["records"].dtype == [("a", "i2")]
    assert found.metadata == metadata


def test_numpy_reads_it_and_is_read(tmp_path):
    write_npz(tmp_path / "x.npz", {"a": [1, 2]}, {"unit": "V"})
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert (found["a"].tolist(), str(found["metadata"])) == ([1, 2], '{"unit": "V"}')
    np.savez(tmp_path / "y.npz", a=[1.5])
    found = read_npz(tmp_path / "y.npz")
    assert (found.arrays["a"].tolist(), found.metadata) == ([1.5], {})


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("precious")
    with pytest.raises(ResourceError, match="overwrite=True"):
        write_npz(path, {})
    assert path.read_text() == "precious"
    write_npz(path, {"a": [1]}, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


class TestFaults:
    @pytest.mark.parametrize("arrays", [{"x": [None]}, {"metadata": [1]}, {"": [1]}, {"../x": [1]}])
    def test_what_does_not_fit(self, tmp_path, arrays):
        with pytest.raises(LayoutError):
            write_npz(tmp_path / "x.npz", arrays)
        with pytest.raises(LayoutError, match="JSON"):
            write_npz(tmp_path / "x.npz", {}, {"a": object()})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("cut", [1, 30, 200])
    def test_half_a_file(self, tmp_path, cut):
        path = tmp_path / "x.npz"
        write_npz(path, {"a": np.zeros(100)})
        os.truncate(path, path.stat().st_size - cut)
        with pytest.raises(DataError, match="file of arrays"):
            read_npz(path)

    def test_garbage(self, tmp_path):
        path = tmp_path / "x.npz"
        write_npz(path, {"a": np.zeros(100)}, {"b": 1})
        whole = path.read_bytes()
        random = np.random.default_rng(1)
        for n in (0, *[10] * 100):
            damaged = bytearray(whole)
            for at in random.integers(0, len(whole), n):
                damaged[at] = random.integers(256)
            path.write_bytes(damaged if n else b"garbage")
            try:
                read_npz(path)
            except DataError:
                continue
            assert n

    def test_pickles_and_other_entries(self, tmp_path):
        path = tmp_path / "x.npz"
        np.savez(path, a=np.array([None]))
        with pytest.raises(DataError, match="allow_pickle"):
            read_npz(path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("note.txt", "hello")
        with pytest.raises(DataError, match="no array"):
            read_npz(path)
        np.savez(path, metadata=np.array("{"))
        with pytest.raises(DataError, match="JSON"):
            read_npz(path)

    def test_more_than_the_limit(self, tmp_path):
        write_npz(tmp_path / "x.npz", {"a": np.zeros(10**6)}, compress=True)
        with pytest.raises(DataError, match="at most 1000"):
            read_npz(tmp_path / "x.npz", limit=1000)

    def test_missing_file_and_folder(self, tmp_path):
        with pytest.raises(ResourceError, match="No such file"):
            read_npz(tmp_path / "x.npz")
        with pytest.raises(ResourceError, match="No such file"):
            write_npz(tmp_path / "no" / "x.npz", {})

    @pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
    def test_full_disk(self, tmp_path, small_files):
        with small_files(4000), pytest.raises(ResourceError, match="File too large"):
            write_npz(tmp_path / "x.npz", {"a": np.zeros(10_000)})
        assert list(tmp_path.iterdir()) == []
