"""The bytes of streams in segments: reading across them, and removing the oldest while they are in use."""

import threading

import numpy as np
import pytest

import labdaq.store.embedded.segments as segments
from labdaq.errors import IndexNoMoreThereError
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.embedded.segments import SegmentReader, SegmentWriter, segments_of
from labdaq.testing import run_threads


@pytest.fixture(autouse=True)
def small_segments(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_NBYTES", 100)


@pytest.fixture
def store(tmp_path):
    with DataStore(tmp_path / "s", sync_s=None) as store:
        yield store


def make(store, encoder):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    return scan.create_stream("s", encoder)


@pytest.mark.parametrize("dtype", ["f8", "u1", ("i4", (3,))])
def test_slices_across_segments_are_those_of_numpy(store, dtype):
    dtype, shape = dtype if isinstance(dtype, tuple) else (dtype, ())
    expected = np.arange(60 * max(1, int(np.prod(shape)))).astype(dtype).reshape(60, *shape)
    stream = make(store, NumericStreamEncoder(dtype, shape))
    at = 0
    for size in (1, 7, 20, 2, 2, 15, 1, 12):
        stream.send(expected[at : at + size])
        at += size
    stream.seal()
    for i in range(-61, 62):
        for j in range(-61, 62):
            found = stream[i:j]
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected[i:j])
    assert len(segments_of(store.engine.folder_of(stream.key))) > (1 if dtype == "u1" else 3) - 1


def test_lists_across_segments(store):
    notes, expected = make(store, JsonStreamEncoder()), []
    for number in range(30):
        batch = [{"number": number, "of": n} for n in range(number % 4 + 1)]
        notes.send_many(batch)
        expected += batch
    for i in range(0, len(expected), 3):
        for j in range(i, len(expected) + 2):
            assert notes[i:j] == expected[i:j]


def test_views_stay_what_they_were(store):
    stream = make(store, NumericStreamEncoder("f8", (5000,)))
    for number in range(6):
        stream.send(np.full(5000, float(number)))
    views = [stream[number] for number in range(6)]
    assert store.engine.trim(stream.record, 6) > 0
    stream.seal()
    store.engine.trim(stream.record, 6)
    assert segments_of(store.engine.folder_of(stream.key)) == []
    assert [(view.min(), view.max()) for view in views] == [(n, n) for n in range(6)]
    with pytest.raises(IndexNoMoreThereError):
        stream[0]


def test_reading_while_it_is_written_and_trimmed(store):
    stream = make(store, NumericStreamEncoder("i8"))
    seen, total, done = store.open_stream(stream.key), 4000, threading.Event()
    counts = {"read": 0, "gone": 0}

    def write():
        for number in range(1, total):
            stream.send(np.arange(number * 3, number * 3 + 3))
            if number % 10 == 0:
                store.engine.trim(stream.record, max(0, number * 3 - 200))
        done.set()

    def read():
        choice = np.random.default_rng(1)
        while not done.is_set():
            first, length, _sealed = seen.extent()
            if length <= first:
                continue
            start = int(choice.integers(first, length))
            stop = min(length, start + int(choice.integers(1, 150)))
            try:
                assert seen[start:stop].tolist() == list(range(start + 3, stop + 3))
                counts["read"] += 1
            except IndexNoMoreThereError:
                assert seen.extent().first > start
                counts["gone"] += 1

    run_threads(write, read, read)
    assert counts["read"] > 100
    assert len(segments_of(store.engine.folder_of(stream.key))) < 100


def test_bytes_that_were_never_acknowledged_are_not_read_for_those_that_were(tmp_path):
    """A batch that failed lies where the next segment hides it."""
    writer, reader = SegmentWriter(tmp_path, 0), SegmentReader(tmp_path)
    writer.append(b"a" * 60, 60, 0)
    writer.append(b"x" * 35, 35, 60)  # not acknowledged: the next one is written in its place
    segments._COPIED_NBYTES, before = 0, segments._COPIED_NBYTES
    try:
        assert bytes(reader.read(0, 60)[0][1]) == b"a" * 60
        writer.append(b"b" * 50, 50, 60)
        assert [bytes(piece) for _offset, piece in reader.read(50, 80)] == [b"a" * 10, b"b" * 20]
    finally:
        segments._COPIED_NBYTES = before
        writer.close()
        reader.close()


def test_other_names_are_left_alone(tmp_path):
    writer = SegmentWriter(tmp_path, 0)
    writer.append(b"abc", 3, 0)
    writer.close()
    for name in ("data.-1", "data.0x10", "data.1", "data.zz", "data.00000000000000G0"):
        (tmp_path / name).write_text("x")
    assert [offset for offset, _path in segments_of(tmp_path)] == [0]


def test_what_lies_behind_the_end_is_removed_before_it_is_written_again(tmp_path):
    writer = SegmentWriter(tmp_path, 0)
    for offset in range(0, 400, 50):
        writer.append(bytes([offset // 50]) * 50, 50, offset)
    writer.close()
    writer, reader = SegmentWriter(tmp_path, 50), SegmentReader(tmp_path)
    for offset in range(50, 410, 30):
        writer.append(b"\xff" * 30, 30, offset)
    assert b"".join(bytes(piece) for _offset, piece in reader.read(0, 410)) == bytes(50) + b"\xff" * 360
    writer.close()
    reader.close()


@pytest.mark.parametrize("is_synced", [False, True])
def test_few_segments_are_open(tmp_path, is_synced):
    writer = SegmentWriter(tmp_path, 0, is_synced=is_synced)
    for offset in range(0, 5000, 50):
        writer.append(bytes(50), 50, offset)
        if is_synced and offset % 1000 == 0:
            writer.sync()
    assert len(writer._unsynced) < 12
    writer.close()
    assert len(segments_of(tmp_path)) == 50
