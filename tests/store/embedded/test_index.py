"""The index of a stream: records are commits."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from labdaq.errors import DataError
from labdaq.store import DataStore, NumericStreamEncoder
from labdaq.store.embedded.index import COMMITTED, HEADER_NBYTES, RECORD, Index, Record
from labdaq.testing import run_threads


@pytest.fixture
def index(tmp_path):
    index = Index.create(tmp_path / "index", {"name": "s"})
    yield index
    index.close()


def test_records_are_read_while_it_grows(index):
    reader = Index(index.path)
    for number in range(1000):
        index.append(2 * number, 16 * number, 7, 2, 16, 99)
        assert reader.words[COMMITTED] == number + 1
        assert reader.record(number) == Record(2 * number, 16 * number, 7, 2, 16, 99)
    assert reader.column("start", 1000).tolist() == list(range(0, 2000, 2))
    assert reader.describe() == {"name": "s"}
    reader.close()


def test_columns_outlive_it(index):
    for number in range(10):
        index.append(number, 0, 0, 1, 0, 0)
    reader = Index(index.path)
    column = reader.column("start", 10)
    reader.close()
    reader.close()
    assert column.tolist() == list(range(10))
    with pytest.raises(ValueError, match="released"):
        reader.words[COMMITTED]


def test_records_that_do_not_count_are_not_whole(index):
    index.append(0, 0, 0, 1, 8, 0)
    assert index.peek(0) is not None
    assert index.peek(1) is None
    assert index.peek(10**6) is None
    for number in (1, 10**6):
        with pytest.raises(DataError):
            index.record(number)


@pytest.mark.parametrize("at", range(0, RECORD.itemsize, 3))
def test_a_record_shows_each_flipped_bit(index, at):
    index.append(1, 2, 3, 4, 5, 6)
    for bit in range(8):
        index._memory[HEADER_NBYTES + at] ^= 1 << bit
        assert index.peek(0) is None
        index._memory[HEADER_NBYTES + at] ^= 1 << bit
    assert index.record(0) == Record(1, 2, 3, 4, 5, 6)


def test_what_is_no_index(tmp_path):
    for text in (b"", b"labdaqIX", bytes(HEADER_NBYTES), b"labdaqIX" + b"\x02" + bytes(HEADER_NBYTES)):
        (tmp_path / "index").write_bytes(text)
        with pytest.raises(DataError):
            Index(tmp_path / "index")


def test_descriptions_fit(tmp_path):
    with pytest.raises(DataError, match="do not fit"):
        Index.create(tmp_path / "index", {"name": "x" * HEADER_NBYTES})
    assert not (tmp_path / "index").exists()


def test_threads_that_share_a_reader_never_see_it_shrink(tmp_path):
    with DataStore(tmp_path / "s", sync_s=None) as store:
        scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
        stream = scan.create_stream("s", NumericStreamEncoder("f8"))
        done, found = threading.Event(), SimpleNamespace(looks=0)

        def write():
            for number in range(5000):
                stream.send(float(number))
            done.set()

        def look():
            seen, length = stream.log, 0
            while not done.is_set():
                length, before = seen.extent().length, length
                assert length >= before
                found.looks += 1

        run_threads(write, look, look, look)
        assert found.looks > 100
        assert np.array_equal(stream[:], np.arange(5000.0))
