"""Events in a tar archive: read by tarfile and pandas, cut short, from elsewhere."""

import contextlib
import gzip
import io
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError, ResourceError
from labdaq.files import ParquetTarFile, read_parquet_tar

WAVE = np.dtype([("chA", "f4"), ("chB", "f4")])


def wave(n=20, seed=0):
    noise = np.random.default_rng(seed).random((n, 2)).astype("f4")
    return np.array([tuple(row) for row in noise], WAVE)


def write(path, n=3):
    with ParquetTarFile(path) as file:
        for i in range(n):
            file.write(wave(seed=i), counter=10 * i)


@given(st.lists(arrays(WAVE, st.integers(0, 5)), min_size=1, max_size=4))
def test_round_trip_is_exact(tmp_path_factory, events):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    with ParquetTarFile(path) as file:
        for event in events:
            file.write(event)
    found = list(read_parquet_tar(path))
    assert [event.counter for event in found] == list(range(len(events)))
    for event, given_ in zip(found, events, strict=True):
        assert event.records.dtype == WAVE
        np.testing.assert_array_equal(event.records.view("f4"), given_.view("f4"))


def test_names_and_columns_are_those_of_mimocorb(tmp_path):
    write(tmp_path / "run.tar")
    pandas = pytest.importorskip("pandas")
    with tarfile.open(tmp_path / "run.tar", "r:") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["run_0.parquet", "run_10.parquet", "run_20.parquet"]
        assert {(member.mtime, member.uid, member.isreg()) for member in members} == {(0, 0, True)}
        frame = pandas.read_parquet(archive.extractfile(members[1]))
    assert (list(frame.columns), str(frame.dtypes["chA"]), list(frame.index)) == (
        ["chA", "chB"],
        "float32",
        [*range(20)],
    )
    np.testing.assert_array_equal(frame["chB"].to_numpy(), wave(seed=1)["chB"])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_of_mimocorb(tmp_path, mode):
    pandas = pytest.importorskip("pandas")
    with tarfile.open(tmp_path / "run.tar", mode) as archive:
        for name in ("folder/../../run_7.parquet", "run.parquet", "note.txt"):
            content = io.BytesIO()
            pandas.DataFrame(wave()).to_parquet(content, engine="pyarrow")
            about = tarfile.TarInfo(name)
            about.size = content.tell()
            content.seek(0)
            archive.addfile(about, content)
        link = tarfile.TarInfo("link_9.parquet")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    events = list(read_parquet_tar(tmp_path / "run.tar"))
    assert [event.counter for event in events] == [7, None]
    for event in events:
        np.testing.assert_array_equal(event.records, wave())
    assert [path.name for path in tmp_path.iterdir()] == ["run.tar"]


def test_killed_writer_leaves_its_events(tmp_path):
    code = (
        "import os, signal, sys, numpy as np; from labdaq.files import ParquetTarFile\n"
        "file = ParquetTarFile(sys.argv[1])\n"
        "for i in range(5): file.write(np.full(100, i, [('i', 'i8')]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "x.tar"
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    assert [event.records["i"][0] for event in read_parquet_tar(path)] == [*range(5)]
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) == 5


def test_every_cut_leaves_the_events_before_it(tmp_path):
    path = tmp_path / "x.tar"
    write(path)
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        ends = [member.offset_data + member.size for member in archive.getmembers()]
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        complete = sum(size >= end for end in ends)
        try:
            found = len(list(read_parquet_tar(path)))
        except DataError:  # not even the header of the first event
            found = 0
        assert found == complete, size


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "x.tar"
    path.write_text("precious")
    with ParquetTarFile(path) as file, pytest.raises(ResourceError, match="overwrite=True"):
        file.write(wave())
    assert path.read_text() == "precious"
    with ParquetTarFile(path, overwrite=True) as file:
        file.write(wave())
    assert len(list(read_parquet_tar(path))) == 1


class TestFaults:
    @pytest.mark.parametrize("event", [np.zeros(3), [1], np.zeros((2, 2), WAVE), np.zeros(2, [("x", "O")])])
    def test_what_does_not_fit(self, tmp_path, event):
        with ParquetTarFile(tmp_path / "x.tar") as file:
            with pytest.raises(LayoutError):
                file.write(event)
            with pytest.raises(LayoutError, match="from 0 on"):
                file.write(wave(), counter=-1)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ClosedError):
            file.write(wave())

    def test_full_disk_keeps_whole_events(self, tmp_path, small_files):
        path = tmp_path / "x.tar"
        file = ParquetTarFile(path)
        written = 0
        with small_files(10_000), contextlib.suppress(ResourceError):
            for written in range(100):
                file.write(wave(seed=written))
        file.close()
        assert 1 <= len(list(read_parquet_tar(path))) == written < 99

    @pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"\x1f\x8b garbage", bytes(100)])
    def test_garbage(self, tmp_path, content):
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(DataError, match="tar archive"):
            list(read_parquet_tar(tmp_path / "x.tar"))

    def test_damaged_bytes_are_told_or_harmless(self, tmp_path):
        path = tmp_path / "x.tar"
        write(path, 1)
        whole = path.read_bytes()
        random = np.random.default_rng(1)
        for _ in range(100):
            damaged = bytearray(whole)
            for at in random.integers(0, len(whole), 10):
                damaged[at] = random.integers(256)
            path.write_bytes(damaged)
            try:
                list(read_parquet_tar(path))
            except (DataError, LayoutError):
                continue

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
    def test_half_a_compressed_archive(self, tmp_path, share):
        write(tmp_path / "x.tar")
        whole = gzip.compress((tmp_path / "x.tar").read_bytes())
        (tmp_path / "x.tgz").write_bytes(whole[: int(share * len(whole))])
        found = []
        with contextlib.suppress(DataError):
            found.extend(event.counter for event in read_parquet_tar(tmp_path / "x.tgz"))
        assert found == [0, 10, 20][: len(found)]
        assert len(found) < 3

    def test_more_than_the_limit(self, tmp_path):
        write(tmp_path / "x.tar")
        with pytest.raises(DataError, match="at most 100"):
            list(read_parquet_tar(tmp_path / "x.tar", limit=100))
        content = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"a": np.zeros(10**6)}), content, compression="zstd")
        about = tarfile.TarInfo("x_1.parquet")
        about.size = content.tell()
        assert about.size < 10**5
        content.seek(0)
        with tarfile.open(tmp_path / "bomb.tar", "w") as archive:
            archive.addfile(about, content)
        with pytest.raises(DataError, match="at most 1000000"):
            list(read_parquet_tar(tmp_path / "bomb.tar", limit=10**6))

    def test_missing_file(self, tmp_path):
        with pytest.raises(ResourceError, match="No such file"):
            list(read_parquet_tar(tmp_path / "x.tar"))

    def test_without_pyarrow_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.delitem(sys.modules, "pyarrow.parquet")
        with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
            ParquetTarFile(tmp_path / "x.tar")
        with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
            list(read_parquet_tar(tmp_path / "x.tar"))
