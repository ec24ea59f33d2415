"""Parquet: what is written reads back, units travel along, half a file never bears the name."""

import contextlib
import os
import signal
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.files import ParquetFile, read_parquet

PULSE = np.dtype([("n", "i8"), ("delay", "f8"), ("height", "f4"), ("good", "?"), ("wave", "i2", (2, 3))])


def names_in(folder):
    return [path.name for path in folder.iterdir()]


@given(arrays(PULSE, st.integers(0, 20)), st.integers(1, 7), st.integers(1, 9))
def test_round_trip_is_exact(tmp_path_factory, records, size, row_group):
    path = tmp_path_factory.mktemp("parquet") / "pulses.parquet"
    with ParquetFile(path, units={"delay": "us"}, metadata={"run": "7"}, row_group=row_group) as file:
        file.write(records[:0])
        for begin in range(0, len(records), size):
            file.write(records[begin : begin + size])
    table = read_parquet(path)
    assert table.records.dtype == PULSE
    for name in PULSE.names:
        np.testing.assert_array_equal(table.records[name], records[name])
    assert (table.units, table.metadata) == ({"delay": "us"}, {"run": "7"})


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", ">f4", "?", "U5", "S5", "M8[ns]", "m8[us]"])
def test_every_kind_of_field(tmp_path, dtype):
    values = {"U": ["", "a", "µs"], "S": [b"", b"a", b"b"]}.get(np.dtype(dtype).kind, [0, 1, 100])
    records = np.array([(value,) for value in values], [("x", dtype)])
    with ParquetFile(tmp_path / "x.parquet") as file:
        file.write(records)
    table = read_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(table.records, records)
    assert table.records.dtype == records.dtype


@given(array_shapes(max_dims=3, max_side=4), st.integers(0, 3))
def test_arrays_in_fields(tmp_path_factory, shape, n):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    records = np.zeros(n, [("x", "f4", shape)])
    records["x"] = np.arange(n * np.prod(shape)).reshape(n, *shape)
    with ParquetFile(path) as file:
        file.write(records)
    np.testing.assert_array_equal(read_parquet(path).records, records)


def test_other_programs_see_plain_columns_with_units(tmp_path):
    with ParquetFile(tmp_path / "x.parquet", units={"delay": "us"}) as file:
        file.write(np.zeros(3, PULSE))
    schema = pyarrow.parquet.read_schema(tmp_path / "x.parquet")
    assert schema.field("delay").type == pa.float64()
    assert schema.field("delay").metadata[b"unit"] == b"us"
    assert schema.field("wave").type == pa.list_(pa.int16(), 6)


def test_files_of_other_programs_can_be_read(tmp_path):
    table = pa.table({"a": [1, 2], "b": [0.5, None], "c": ["x", "yz"], "d": [True, False]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    records = read_parquet(tmp_path / "x.parquet").records
    assert records.dtype == [("a", "i8"), ("b", "f8"), ("c", "U2"), ("d", "?")]
    assert np.isnan(records["b"][1])


def test_row_groups_are_streamed(tmp_path):
    with ParquetFile(tmp_path / "x.parquet", row_group=100) as file:
        for _ in range(25):
            file.write(np.zeros(10, PULSE))
    with pyarrow.parquet.ParquetFile(tmp_path / "x.parquet") as parquet:
        sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups)]
    assert sizes == [100, 100, 50]


def test_batches_may_be_reused_by_the_caller(tmp_path):
    batch = np.ones(5, PULSE)
    with ParquetFile(tmp_path / "x.parquet") as file:
        file.write(batch)
        batch["n"] = 9
    assert read_parquet(tmp_path / "x.parquet").records["n"].tolist() == [1] * 5


def test_name_stands_for_a_complete_file_only(tmp_path):
    file = ParquetFile(tmp_path / "x.parquet")
    file.write(np.zeros(3, PULSE))
    assert names_in(tmp_path) == ["x.parquet.part"]
    file.close()
    file.close()
    assert names_in(tmp_path) == ["x.parquet"]


def test_records_before_an_exception_are_kept(tmp_path):
    with contextlib.suppress(KeyError), ParquetFile(tmp_path / "x.parquet") as file:
        file.write(np.zeros(3, PULSE))
        raise KeyError
    assert len(read_parquet(tmp_path / "x.parquet")) == 3


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"precious")
    with ParquetFile(path) as file, pytest.raises(ResourceError, match="overwrite=True"):
        file.write(np.zeros(1, PULSE))
    assert path.read_bytes() == b"precious"
    with ParquetFile(path, overwrite=True) as file:
        file.write(np.zeros(1, PULSE))
    assert len(read_parquet(path)) == 1


class TestFaults:
    @pytest.mark.parametrize(
        "records",
        [np.zeros(3), np.zeros((2, 2), PULSE), np.zeros(2, [("x", "O")]), np.zeros(2, [("c", "c8")]),
         np.zeros(2, [("nested", [("a", "f4")])])],
        ids=["no fields", "2-D", "objects", "complex", "nested"],
    )  # fmt: skip
    def test_what_does_not_fit(self, tmp_path, records):
        with ParquetFile(tmp_path / "x.parquet") as file, pytest.raises(LayoutError):
            file.write(records)
        assert names_in(tmp_path) == []

    def test_other_fields_than_before(self, tmp_path):
        with ParquetFile(tmp_path / "x.parquet") as file:
            file.write(np.zeros(1, PULSE))
            with pytest.raises(LayoutError, match="holds records"):
                file.write(np.zeros(1, [("n", "i8")]))

    def test_row_groups_without_records(self, tmp_path):
        with pytest.raises(LayoutError, match="at least one"):
            ParquetFile(tmp_path / "x.parquet", row_group=0)

    def test_write_after_close(self, tmp_path):
        file = ParquetFile(tmp_path / "x.parquet")
        file.close()
        with pytest.raises(ClosedError):
            file.write(np.zeros(1, PULSE))
        assert names_in(tmp_path) == []

    def test_folder_that_is_not_there(self, tmp_path):
        with ParquetFile(tmp_path / "no" / "x") as file, pytest.raises(ResourceError, match="No such file"):
            file.write(np.zeros(1, PULSE))

    @pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
    @pytest.mark.parametrize("row_group", [1, 10**6], ids=["while writing", "at the end"])
    def test_full_disk(self, tmp_path, row_group):
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        file = ParquetFile(tmp_path / "x.parquet", row_group=row_group)
        noise = np.random.default_rng(1).integers(0, 2**60, 5000).astype([("n", "i8")])
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
            with pytest.raises(ResourceError, match="File too large"), file:
                file.write(noise)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        file.close()
        assert names_in(tmp_path) == []

    def test_damaged_file(self, tmp_path):
        with ParquetFile(tmp_path / "x.parquet") as file:
            file.write(np.zeros(100, PULSE))
        os.truncate(tmp_path / "x.parquet", 60)
        with pytest.raises(DataError, match="not a complete Parquet file"):
            read_parquet(tmp_path / "x.parquet")

    def test_missing_file(self, tmp_path):
        with pytest.raises(ResourceError, match="No such file"):
            read_parquet(tmp_path / "x.parquet")

    def test_without_pyarrow_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
            ParquetFile(tmp_path / "x.parquet")
        with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
            read_parquet(tmp_path / "x.parquet")
