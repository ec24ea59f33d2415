"""Streams: points that are appended by one, and read by index by all."""

import contextlib
from typing import Any

import numpy as np
import pytest

from labdaq.errors import BusyError, LayoutError, NotFoundError
from labdaq.store import (
    DataStore,
    JsonStreamEncoder,
    NoWritePermission,
    NumericStreamEncoder,
    StateError,
    Stream,
)
from labdaq.testing.rings import run_threads
from labdaq.testing.stores.base import StoreBase, as_list, while_it_waits

__all__ = ["UNEVEN", "WriterTests"]

UNEVEN = (1, 3, 1, 4)
JSON_VALUES: list[Any] = [None, True, 1, 2.5, "µ\udcff", [1, [2, {}]], {"a": {"b": []}}, "", 2**70]


class WriterTests(StoreBase):
    """What is sent arrives, in one order, from one writer at a time."""

    @pytest.mark.parametrize(
        ("dtype", "shape"),
        [
            ("f8", ()),
            ("?", ()),
            ("i1", (2,)),
            ("u8", (2, 3)),
            (">i4", ()),
            ("c8", (1,)),
            ("M8[ns]", ()),
            ("f2", (3, 1)),
        ],
    )
    def test_numbers_arrive_as_they_were_sent(
        self, store: DataStore, other: DataStore, dtype: str, shape: tuple[int, ...]
    ) -> None:
        stream = self.make(store).create_stream("s", NumericStreamEncoder(dtype, shape))
        size = 12 * int(np.prod(shape, dtype=int))
        points = np.arange(size).astype("u1").astype(dtype).reshape(12, *shape)
        stream.send(points[0])
        stream.send(points[1:2])
        stream.send(points[2:12:2][::-1])
        stream.send_many(list(points[3:12:2]))
        expected = points[[0, 1, 10, 8, 6, 4, 2, 3, 5, 7, 9, 11]]
        stream.join()
        for seen in (stream, self.seen_by(other, stream)):
            assert len(seen) == 12
            assert (seen.dtype, seen.shape) == (np.dtype(dtype), shape)
            assert seen[:].dtype == np.dtype(dtype)
            assert seen[:].shape == (12, *shape)
            np.testing.assert_array_equal(seen[:], expected)
            np.testing.assert_array_equal(seen[7], expected[7])
            assert seen[20:].shape == (0, *shape)
            assert seen[20:].dtype == np.dtype(dtype)

    def test_what_was_read_is_not_changed(self, store: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        for wanted in (slice(1, 3), slice(None)):
            with pytest.raises(ValueError, match="read-only"):
                stream[wanted][0] = 9

    def test_what_was_sent_may_be_changed_at_once(self, store: DataStore) -> None:
        stream = self.floats(store)
        batch = np.arange(4.0)
        stream.send(batch)
        batch[:] = -1
        stream.join()
        assert stream[:].tolist() == [0, 1, 2, 3]

    def test_ragged_points(self, store: DataStore, other: DataStore) -> None:
        stream = self.make(store).create_stream("s", NumericStreamEncoder("i2", (-1, 2)))
        points = [np.arange(2 * n, dtype="i2").reshape(n, 2) for n in (3, 1, 0, 5, 2, 2)]
        stream.send(points[0])
        stream.send(points[1:4])
        stream.send(np.stack(points[4:]))
        stream.join()
        seen = self.seen_by(other, stream)
        assert isinstance(seen[:], list)
        assert as_list(seen[:]) == as_list(points)
        assert as_list(seen[1:5:2]) == as_list(points[1:5:2])
        assert seen[2].shape == (0, 2)
        assert seen[9:] == []

    def test_json_values(self, store: DataStore, other: DataStore) -> None:
        stream = self.make(store).create_stream("s", JsonStreamEncoder())
        for value in JSON_VALUES:
            stream.send(value)
        stream.send_many(JSON_VALUES)
        stream.send({"array": np.arange(2), 3: np.float32(0.5)})
        stream.join()
        seen = self.seen_by(other, stream)
        assert seen[:] == [*JSON_VALUES, *JSON_VALUES, {"array": [0, 1], "3": 0.5}]
        assert seen[::-4] == seen[:][::-4]

    def test_what_does_not_fit_changes_nothing(self, store: DataStore) -> None:
        scan = self.make(store)
        numbers = scan.create_stream("n", NumericStreamEncoder("f8", (2,)))
        notes = scan.create_stream("j", JsonStreamEncoder())
        numbers.send([1.0, 2.0])
        for wrong in (
            [1.0],
            [[1.0], [2.0]],
            np.zeros(2, "f4"),
            np.zeros(2, ">f8"),
            [],
            "ab",
            None,
            [1j, 2j],
            [[[1.0, 2.0]]],
        ):
            with pytest.raises(LayoutError):
                numbers.send(wrong)
        for odd in (b"bytes", {1, 2}, object()):
            with pytest.raises(LayoutError):
                notes.send(odd)
        for stream in (numbers, notes):
            with pytest.raises(LayoutError):
                stream.send_many([])
        numbers.send([[3, 4]])
        numbers.join()
        assert (numbers[:].tolist(), notes[:]) == ([[1, 2], [3, 4]], [])

    def test_large_batches(self, store: DataStore, other: DataStore) -> None:
        stream = self.make(store).create_stream("s", NumericStreamEncoder("u4", (1000,)))
        data = np.random.default_rng(1).integers(0, 2**32, (700, 1000), "u4")
        stream.send(data)
        stream.send(data[:3])
        assert stream.seal() == 703
        seen = self.seen_by(other, stream)
        assert np.array_equal(seen[:700], data)
        assert np.array_equal(seen[699:], data[[699, 0, 1, 2]])

    def test_points_are_sent_in_any_state(self, store: DataStore) -> None:
        scan = self.make(store)
        stream = scan.create_stream("s", NumericStreamEncoder(float))
        stream.send(0.0)
        scan.prepare()
        stream.send(1.0)
        scan.start()
        stream.send(2.0)
        scan.stop()
        assert stream[:].tolist() == [0, 1, 2]
        with pytest.raises(StateError, match="sealed"):
            stream.send(3.0)

    # --------------------------------------------------------------------------------------- writers

    def test_a_stream_that_was_loaded_is_not_written(self, store: DataStore, other: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        for seen in (self.seen_by(store, stream), self.seen_by(other, stream)):
            for change in (lambda: seen.send(1.0), lambda: seen.send_many([1.0]), seen.seal):  # noqa: B023
                with pytest.raises(NoWritePermission):
                    change()
            seen.join()
            assert len(seen) == 9

    def test_one_writes(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        mine = scan.create_stream("s", NumericStreamEncoder(float))
        scan.prepare()
        theirs = other.load_scan(scan.key).get_writer_stream("s")
        again = store.open_stream(mine.key, write=True)
        mine.send(0.0)
        for stream in (theirs, again):
            with pytest.raises(BusyError):
                stream.send(9.0)
            with pytest.raises(BusyError):
                stream.seal()
        mine.close()
        theirs.send([1.0, 2.0])
        with pytest.raises(BusyError):
            mine.send(9.0)
        theirs.close()
        again.send(3.0)
        again.close()
        mine.send(4.0)
        assert mine.seal() == 5
        for stream in (mine, theirs, again):
            assert stream.seal() == 5
            with pytest.raises(StateError, match="sealed"):
                stream.send(9.0)
            assert stream[:].tolist() == [0, 1, 2, 3, 4]

    def test_closing_a_store_gives_its_streams_up(self, store: DataStore) -> None:
        stream = self.floats(store)
        with self.again(store) as other:
            theirs = other.open_stream(stream.key, write=True)
            theirs.send([1.0, 2.0])
            with pytest.raises(BusyError):
                stream.send(9.0)
        assert stream[:].tolist() == [1, 2]
        assert not stream.is_sealed()
        stream.send(3.0)
        assert stream.seal() == 3

    def test_a_writer_of_a_closed_store_is_refused(self, store: DataStore) -> None:
        stream = self.floats(store)
        other = self.again(store)
        theirs = other.open_stream(stream.key, write=True)
        theirs.send(1.0)
        other.close()
        with pytest.raises((ValueError, RuntimeError)):
            theirs.send(2.0)
        with pytest.raises((ValueError, RuntimeError)):
            theirs.seal()
        assert stream.extent() == (0, 1, False)

    def test_the_writer_of_an_unknown_stream(self, store: DataStore) -> None:
        scan = self.make(store)
        with pytest.raises(NotFoundError, match="none"):
            scan.get_writer_stream("x")
        scan.create_stream("pulses", JsonStreamEncoder())
        with pytest.raises(NotFoundError, match="pulses"):
            scan.get_writer_stream("x")
        assert scan.get_writer_stream("pulses").seal() == 0

    def test_sealing_is_done_once(self, store: DataStore, other: DataStore) -> None:
        stream = self.filled(store, UNEVEN)
        seen = self.seen_by(other, stream)
        assert not seen.is_sealed()
        assert [stream.seal(), stream.seal(timeout=5), other.open_stream(stream.key, write=True).seal()] == [9] * 3
        assert seen.is_sealed()
        assert seen.extent() == (0, 9, True)

    def test_all_may_seal_at_once(self, store: DataStore, other: DataStore) -> None:
        lengths: list[int] = []

        def seal(stream: Stream) -> None:
            found: list[int] = []
            while not found:
                with contextlib.suppress(BusyError):  # another one is just doing it
                    found.append(stream.seal())
            lengths.extend(found)

        for _ in range(10):
            stream = self.filled(store, (2,))
            stream.close()
            writers = [place.open_stream(stream.key, write=True) for place in (store, other) * 2]
            run_threads(*(lambda writer=writer: seal(writer) for writer in writers))
        assert lengths == [2] * 40

    @pytest.mark.parametrize("timeout", [0, None, 20])
    def test_who_waits_for_the_seal_is_woken(self, store: DataStore, other: DataStore, timeout: float | None) -> None:
        stream = self.filled(store, (1,))
        seen = self.seen_by(other, stream)
        assert not seen.wait_seal(timeout=1e-6)
        assert not seen.wait_seal(timeout=0.02)
        assert while_it_waits(lambda: seen.wait_seal(timeout), stream.seal)
        assert seen.wait_seal()

    @pytest.mark.parametrize("timeout", [-1, float("nan")])
    def test_times_that_are_none(self, store: DataStore, timeout: float) -> None:
        stream = self.filled(store, (1,))
        for call in (stream.wait_seal, stream.seal, stream.join):
            with pytest.raises(LayoutError):
                call(timeout=timeout)

    def test_very_long_is_for_ever(self, store: DataStore, other: DataStore) -> None:
        stream = self.floats(store)
        assert while_it_waits(lambda: self.seen_by(other, stream).wait_seal(timeout=1e300), stream.seal)

    def test_one_object_is_used_by_many_threads(self, store: DataStore) -> None:
        stream = self.floats(store)

        def send(thread: int) -> None:
            for number in range(50):
                stream.send([float(thread), float(number)])

        run_threads(*(lambda thread=thread: send(thread) for thread in range(4)))
        assert stream.seal() == 400
        pairs = stream[:].reshape(-1, 2)
        for thread in range(4):
            assert pairs[pairs[:, 0] == thread, 1].tolist() == list(range(50))
