"""Random access: points by index, until they are trimmed."""

import threading

import numpy as np
import pytest

from labdaq.errors import LayoutError, WaitTimeoutError
from labdaq.store import (
    DataStore,
    IndexNoMoreThereError,
    IndexNotYetThereError,
    IndexWontBeThereError,
    JsonStreamEncoder,
    NumericStreamEncoder,
    Stream,
)
from labdaq.testing.rings import run_threads
from labdaq.testing.stores.base import StoreBase, as_list, while_it_waits
from labdaq.testing.stores.streams import UNEVEN

__all__ = ["IndexTests", "TrimTests"]


class IndexTests(StoreBase):
    """Random access: what numpy gives, once the points are there."""

    def test_every_slice_of_a_sealed_stream(self, store: DataStore, other: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        stream.seal()
        seen, expected = self.seen_by(other, stream), np.arange(9.0)
        ends = [None, *range(-11, 12)]
        for i in ends:
            for j in ends:
                np.testing.assert_array_equal(seen[i:j], expected[i:j])
        for step in (1, 2, 3, 20, -1, -2, -3, -20):
            for i in ends[::2]:
                for j in ends[::3]:
                    np.testing.assert_array_equal(seen[i:j:step], expected[i:j:step])

    def test_every_index_of_a_sealed_stream(self, store: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        stream.seal()
        for i in range(-12, 13):
            for index in (i, np.int64(i), np.int8(i)):
                if -9 <= i < 9:
                    assert stream[index] == range(9)[i]
                else:
                    with pytest.raises(IndexWontBeThereError):
                        _ = stream[index]

    def test_while_it_is_written_there_is_no_end(self, store: DataStore, other: DataStore) -> None:
        seen, expected = self.seen_by(other, self.filled(store, UNEVEN)), np.arange(9.0)
        for i in range(-12, 13):
            if 0 <= i < 9:
                assert seen[i] == i
            else:
                with pytest.raises(IndexNotYetThereError):
                    _ = seen[i]
            for j in (*range(-12, 13), None):
                if i < 0 or (j is not None and j < 0):
                    with pytest.raises(IndexNotYetThereError):
                        _ = seen[i:j]
                else:
                    np.testing.assert_array_equal(seen[i:j], expected[i:j])
                    np.testing.assert_array_equal(seen[j:i:-2], expected[j:i:-2])

    def test_what_is_no_index(self, store: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        for wrong in (True, np.True_, 1.0, "1", None, (1, 2), [1], slice(None, None, 0), slice(1.5, None), slice("a")):
            with pytest.raises(LayoutError):
                _ = stream[wrong]

    def test_an_empty_stream(self, store: DataStore) -> None:
        stream = self.floats(store)
        for error in (IndexNotYetThereError, IndexWontBeThereError):
            assert stream[:].tolist() == stream[3:9].tolist() == []
            for index in (0, -1, 5):
                with pytest.raises(error):
                    _ = stream[index]
            assert stream.seal() == 0

    def test_lists_are_sliced_as_lists(self, store: DataStore) -> None:
        scan = self.make(store)
        notes, ragged = (
            scan.create_stream("j", JsonStreamEncoder()),
            scan.create_stream("r", NumericStreamEncoder("f8", -1)),
        )
        values = [np.arange(float(n % 4)) for n in range(9)]
        for stream in (notes, ragged):
            stream.send_many(values[:4])
            stream.send_many(values[4:5])
            stream.send_many(values[5:])
            stream.seal()
        expected = as_list(values)
        for wanted in (slice(a, b, c) for a in (None, -3, 2, 7) for b in (None, -1, 6, 20) for c in (None, 2, -1, -4)):
            for stream in (notes, ragged):
                assert isinstance(stream[wanted], list)
                assert as_list(stream[wanted]) == expected[wanted]

    def test_a_point_is_there_or_not_yet_while_it_is_being_written(self, store: DataStore, other: DataStore) -> None:
        stream = self.floats(store)
        seen = self.seen_by(other, stream)
        total, errors = 300, []

        def write() -> None:
            for number in range(0, total, 3):
                stream.send(float(number))
                stream.send([number + 1.0, number + 2.0])
            stream.seal()

        def poll() -> None:
            for number in range(total):
                while True:
                    try:
                        assert seen[number] == number
                        break
                    except IndexNotYetThereError as error:
                        errors.append(error)
                here = len(seen)
                assert seen[number:].tolist()[: here - number] == list(range(number, here))

        run_threads(write, poll)
        assert seen[:].tolist() == list(range(total))

    def test_iterating_goes_on_until_it_is_sealed(self, store: DataStore, other: DataStore) -> None:
        stream = self.filled(store, UNEVEN)

        def finish() -> None:
            stream.send([9.0, 10.0])
            stream.seal()

        assert while_it_waits(lambda: list(self.seen_by(other, stream)), finish) == list(range(11))

    def test_readers_see_a_prefix(self, store: DataStore, other: DataStore) -> None:
        stream = self.make(store).create_stream("s", NumericStreamEncoder("i8", (16,)))
        done = threading.Event()

        def write() -> None:
            for number in range(200):
                stream.send(np.full((2, 16), number))
            stream.seal()
            done.set()

        def read(seen: Stream) -> None:
            while not done.is_set():
                length = len(seen)
                points = seen[:]
                assert len(points) >= length
                assert np.array_equal(points, np.repeat(np.arange(len(points)) // 2, 16).reshape(-1, 16))

        run_threads(write, *(lambda place=place: read(self.seen_by(place, stream)) for place in (store, other)))
        assert len(stream) == 400


class TrimTests(StoreBase):
    """Points that were removed to make room."""

    def batches(self, store: DataStore, count: int = 4) -> tuple[Stream, int]:
        """A stream of batches that can be trimmed one by one, and how many points each has."""
        size = max(1, self.batch_nbytes // 8)
        stream = self.floats(store)
        for number in range(count):
            stream.send(np.arange(number * size, (number + 1) * size, dtype=float))
            stream.join()
        return stream, size

    def test_what_was_trimmed_is_no_more_there(self, store: DataStore, other: DataStore) -> None:
        stream, size = self.batches(store)
        seen = self.seen_by(other, stream)
        assert len(seen) == 4 * size
        assert store.engine.trim(stream.record, 0) == 0
        assert seen.extent().first == 0
        assert store.engine.trim(stream.record, 2 * size) > 0
        assert (seen.extent(), stream.extent()) == ((2 * size, 4 * size, False),) * 2
        for index in (0, 2 * size - 1, slice(None), slice(2 * size - 1, 2 * size), slice(3 * size, None, -1)):
            with pytest.raises(IndexNoMoreThereError):
                _ = seen[index]
        assert seen[2 * size] == 2 * size
        assert seen[3 * size - 1 :].tolist() == list(range(3 * size - 1, 4 * size))
        assert seen[0:0].tolist() == []
        stream.send(-1.0)
        assert stream.seal() == 4 * size + 1
        assert (seen[-1], seen[-2]) == (-1, 4 * size - 1)
        with pytest.raises(IndexNoMoreThereError):
            _ = seen[-len(seen)]

    def test_trimming_stays_before_what_was_asked(self, store: DataStore) -> None:
        stream, size = self.batches(store)
        store.engine.trim(stream.record, 3 * size - 1)
        if size > 1:
            assert stream.extent().first == 2 * size
        assert stream[3 * size - 1] == 3 * size - 1
        store.engine.trim(stream.record, 0)
        store.engine.trim(stream.record, size)
        assert stream[3 * size :].tolist() == list(range(3 * size, 4 * size))

    def test_trimming_all(self, store: DataStore, other: DataStore) -> None:
        stream, size = self.batches(store)
        stream.seal()
        store.engine.trim(stream.record, 100 * size)
        extent = other.open_stream(stream.key).extent()
        assert extent.length == 4 * size
        assert extent.is_sealed
        assert extent.first <= 4 * size
        for index in range(extent.first):
            with pytest.raises(IndexNoMoreThereError):
                _ = stream[index]
        with pytest.raises(IndexWontBeThereError):
            _ = stream[4 * size]

    def test_cursors_are_told_and_go_on(self, store: DataStore, other: DataStore) -> None:
        stream, size = self.batches(store)
        cursor, last, early = (self.seen_by(other, stream).cursor() for _ in range(3))
        assert early.read(count=1)[0] == 0
        store.engine.trim(stream.record, 2 * size)
        for _ in range(2):
            with pytest.raises(IndexNoMoreThereError):
                cursor.read(block=False)
            assert (cursor.position, cursor.skipped) == (0, 0)
        assert cursor.skip_trimmed() == cursor.skipped == cursor.position == 2 * size
        assert cursor.skip_trimmed() == 0
        index, points = cursor.read()
        assert (index, points.tolist()) == (2 * size, list(range(2 * size, 4 * size)))
        assert last.read(last_only=True)[0] == 4 * size - 1
        with pytest.raises(IndexNoMoreThereError):
            early.read()
        assert early.skip_trimmed() == 2 * size - 1

    def test_use_of_room_is_told(self, store: DataStore) -> None:
        stream, size = self.batches(store)
        before = store.engine.usage()[stream.key]
        assert before >= 4 * size * 8
        freed = store.engine.trim(stream.record, 2 * size)
        assert store.engine.usage()[stream.key] <= before - freed
        assert freed >= 2 * size * 8

    def test_the_journal_knows_when(self, store: DataStore) -> None:
        stream, size = self.batches(store)
        assert store.engine.journal(stream.record, 0) == 0
        assert store.engine.journal(stream.record, 2**62) == 4 * size

    def test_joining_has_an_end(self, store: DataStore) -> None:
        stream, _size = self.batches(store)
        try:
            stream.join(timeout=1e-6)
        except WaitTimeoutError:
            stream.join(timeout=20)
