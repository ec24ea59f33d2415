"""Parquet: what is written reads back, units travel along, half a file never bears the name."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.files import ParquetFile, iterate_parquet, iterate_parquet_part, read_parquet, rows_in_part
from labdaq.files.thrift import struct_from, struct_to

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
    def test_full_disk(self, tmp_path, row_group, small_files):
        file = ParquetFile(tmp_path / "x.parquet", row_group=row_group)
        noise = np.random.default_rng(1).integers(0, 2**60, 5000).astype([("n", "i8")])
        with small_files(4000), pytest.raises(ResourceError, match="File too large"), file:
            file.write(noise)
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


WAVEFORM = np.dtype([("counter", "u8"), ("timestamp_ns", "i8"), ("deadtime", "f8"), ("A", "f4", 5), ("B", "i2", 5)])


def waveforms(n):
    records = np.zeros(n, WAVEFORM)
    records["counter"], records["timestamp_ns"] = np.arange(n), 10**18 + np.arange(n)
    records["A"], records["B"] = np.arange(5 * n).reshape(n, 5) / 8, np.arange(5 * n).reshape(n, 5)
    return records


class TestOtherReaders:
    @pytest.fixture
    def path(self, tmp_path):
        with ParquetFile(tmp_path / "x.parquet", units={"A": "V"}, row_group=4) as file:
            file.write(waveforms(10))
        return tmp_path / "x.parquet"

    def test_pandas(self, path):
        frame = pytest.importorskip("pandas").read_parquet(path)
        assert list(frame.columns) == list(WAVEFORM.names)
        assert frame["timestamp_ns"].tolist() == waveforms(10)["timestamp_ns"].tolist()
        for channel in "AB":
            np.testing.assert_array_equal(np.stack(frame[channel]), waveforms(10)[channel])

    def test_polars(self, path):
        pytest.importorskip("polars", exc_type=ImportError)
        code = (  # in a process of its own: polars keeps threads until the end
            "import sys, numpy as np, polars; from labdaq.files import read_parquet\n"
            "frame, records = polars.read_parquet(sys.argv[1]), read_parquet(sys.argv[1]).records\n"
            "assert frame.columns == list(records.dtype.names)\n"
            "for name in frame.columns: np.testing.assert_array_equal(frame[name].to_numpy(), records[name])"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_batch_by_batch(self, path):
        tables = list(iterate_parquet(path, 3))
        assert all(len(table) <= 3 and table.units == {"A": "V"} for table in tables)
        np.testing.assert_array_equal(np.concatenate([table.records for table in tables]), waveforms(10))

    def test_reading_may_stop_early(self, path):
        batches = iterate_parquet(path, 3)
        assert len(next(batches)) == 3
        batches.close()

    def test_lists_of_other_programs(self, tmp_path):
        pyarrow.parquet.write_table(pa.table({"a": [[1.0, 2.0], [3.0, 4.0]]}), tmp_path / "y.parquet")
        assert read_parquet(tmp_path / "y.parquet").records["a"].tolist() == [[1, 2], [3, 4]]
        pyarrow.parquet.write_table(pa.table({"a": [[1.0, 2.0], [3.0]]}), tmp_path / "z.parquet")
        with pytest.raises(LayoutError, match="different lengths"):
            read_parquet(tmp_path / "z.parquet")


class TestBadFiles:
    def test_iterating(self, tmp_path):
        with pytest.raises(ResourceError, match="No such file"):
            list(iterate_parquet(tmp_path / "x.parquet"))
        with pytest.raises(LayoutError, match="at least one"):
            list(iterate_parquet(tmp_path / "x.parquet", 0))
        (tmp_path / "x.parquet").write_bytes(b"PAR1 garbage PAR1")
        with pytest.raises(DataError, match="complete Parquet"):
            list(iterate_parquet(tmp_path / "x.parquet"))

    def test_more_than_the_limit(self, tmp_path):
        with ParquetFile(tmp_path / "x.parquet") as file:
            file.write(np.zeros(10**5, PULSE))
        with pytest.raises(DataError, match="at most 1000"):
            read_parquet(tmp_path / "x.parquet", limit=1000)

    @pytest.mark.parametrize("about", [{"shape": "["}, {"shape": "[7]"}, {"numpy": "?!"}])
    def test_metadata_that_makes_no_sense(self, tmp_path, about):
        schema = pa.schema([pa.field("a", pa.list_(pa.int64(), 2), metadata=about)])
        table = pa.Table.from_arrays([pa.array([[1, 2]], pa.list_(pa.int64(), 2))], schema=schema)
        pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
        with pytest.raises((DataError, LayoutError)):
            read_parquet(tmp_path / "x.parquet")

    def test_name_taken_meanwhile_is_kept(self, tmp_path):
        file = ParquetFile(tmp_path / "x.parquet")
        file.write(np.zeros(3, PULSE))
        (tmp_path / "x.parquet").write_text("precious")
        with pytest.raises(ResourceError, match="exists"):
            file.close()
        assert (tmp_path / "x.parquet").read_text() == "precious"
        assert len(read_parquet(tmp_path / "x.parquet.part")) == 3


class TestParts:
    def test_what_was_flushed_can_be_read_whatever_is_cut(self, tmp_path):
        file = ParquetFile(tmp_path / "x.parquet", row_group=100, units={"n": "V"})
        records = np.zeros(250, PULSE)
        records["n"] = np.arange(250)
        file.write(records[:0])
        assert rows_in_part(file.part) == 0
        file.write(records[:230])
        file.flush()
        file.write(records[230:])
        tables = list(iterate_parquet_part(file.part))
        assert np.concatenate([table.records for table in tables])["n"].tolist() == list(range(230))
        assert tables[0].units == {"n": "V"}
        whole = file.part.read_bytes()
        for nbytes in range(0, len(whole), 97):
            (tmp_path / "cut.part").write_bytes(whole[:nbytes])
            assert rows_in_part(tmp_path / "cut.part") == 0  # it was one piece
        file.close()
        table = read_parquet(tmp_path / "x.parquet")
        assert table.records["n"].tolist() == list(range(250))
        parquet = pyarrow.parquet.ParquetFile(tmp_path / "x.parquet")
        assert [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)] == [100, 100, 30, 20]
        assert parquet.read_row_group(3)["n"].to_pylist() == list(range(230, 250))
        parquet.close()

    def test_pieces_before_a_cut_are_read_and_a_footer_is_no_piece(self, tmp_path):
        with ParquetFile(tmp_path / "x.parquet", row_group=10) as file:
            for begin in range(0, 50, 10):
                file.write(np.full(10, begin, [("n", "i4")]))
        whole = (tmp_path / "x.parquet").read_bytes()
        (tmp_path / "whole.part").write_bytes(whole)
        assert rows_in_part(tmp_path / "whole.part") == 50
        counts = []
        for nbytes in range(0, len(whole), 50):
            (tmp_path / "cut.part").write_bytes(whole[:nbytes])
            counts.append(rows_in_part(tmp_path / "cut.part"))
        assert sorted(set(counts)) == [0, 10, 20, 30, 40, 50]
        assert counts == sorted(counts)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
    @pytest.mark.parametrize(("row_group", "name"), [(500, "x.parquet"), (100, "x.parquet.part")])
    def test_a_disk_that_becomes_full_leaves_what_was_written(self, tmp_path, small_files, row_group, name):
        file = ParquetFile(tmp_path / "x.parquet", row_group=row_group)
        noise = np.random.default_rng(1).integers(0, 2**60, 5000).astype([("n", "i8")])
        given = 0

        def write_on() -> None:
            nonlocal given
            while True:
                given += 50
                file.write(noise[given - 50 : given])

        with small_files(10_000), pytest.raises(ResourceError, match="File too large"):
            write_on()
        file.close()
        assert names_in(tmp_path) == [name]  # for the end of many small ones there was no room, either
        parts = [read_parquet(tmp_path / name)] if name == "x.parquet" else iterate_parquet_part(tmp_path / name)
        kept = np.concatenate([table.records for table in parts])
        assert file.lost == row_group
        assert len(kept) == given - file.lost >= row_group
        assert kept.tolist() == noise[: len(kept)].tolist()

    @pytest.mark.parametrize("text", [b"", b"\x19", b"\x15", b"\x1c" * 200, b"\x1b\x01"])
    def test_footers_that_make_no_sense(self, text):
        with pytest.raises(DataError, match="no struct"):
            struct_from(text)

    def test_footers_are_written_as_they_were_read(self):
        struct = {1: (1, True), 2: (2, False), 30: (7, b"12345678"), 31: (9, (6, list(range(-10, 10))))}
        assert struct_from(struct_to(struct)) == struct
