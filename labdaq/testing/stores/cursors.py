"""Cursors: reading heads that follow streams while these are written."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.store import (
    CursorGroup,
    DataStore,
    EndOfStream,
    IndexNoMoreThereError,
    JsonStreamEncoder,
    NumericStreamEncoder,
    Stream,
)
from labdaq.testing.rings import run_threads
from labdaq.testing.stores.base import StoreBase, as_list, while_it_waits

__all__ = ["CursorTests", "GroupTests"]

LAYOUTS = ((), (1,), (1, 1, 1), (5,), (1, 4), (3, 1, 7, 2), (100, 1))


def follow(stream: Stream, **arguments: Any) -> tuple[list[int], list[Any]]:
    """Read a stream to its end: where each piece began, and all points."""
    cursor = stream.cursor()
    starts: list[int] = []
    points: list[Any] = []
    while True:
        try:
            index, data = cursor.read(timeout=20, **arguments)
        except EndOfStream:
            return starts, points
        starts.append(index)
        points += as_list(data)


class CursorTests(StoreBase):
    """One reading head."""

    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    @pytest.mark.parametrize("sealed", [False, True])
    @pytest.mark.parametrize("block", [False, True])
    @pytest.mark.parametrize("last_only", [False, True])
    @pytest.mark.parametrize("in_group", [False, True])
    def test_the_first_read(
        self,
        store: DataStore,
        other: DataStore,
        layout: tuple[int, ...],
        sealed: bool,
        block: bool,
        last_only: bool,
        in_group: bool,
    ) -> None:
        stream = self.filled(store, layout)
        if sealed:
            stream.seal()
        seen = self.seen_by(other, stream)
        total = sum(layout)
        first = total - 1 if last_only else 0

        def read() -> Any:
            """One read; None when nothing came."""
            answer: Any = reader.read(block, 1e-3, last_only=last_only)
            if in_group:
                return answer[seen] if answer else None
            return None if len(answer[1]) == 0 else answer

        reader = CursorGroup([seen]) if in_group else seen.cursor()
        if total:
            index, data = read()
            assert (index, data.tolist()) == (first, list(range(first, total)))
        for _ in range(2):
            if sealed:
                with pytest.raises(EndOfStream):
                    read()
            else:
                assert read() is None

    def test_nothing_came(self, store: DataStore) -> None:
        stream = self.filled(store, (3,))
        cursor = stream.cursor()
        cursor.read()
        for arguments in ({"block": False}, {"timeout": 1e-6}, {"timeout": 0.02}, {"block": False, "timeout": 5}):
            for more in ({}, {"last_only": True}, {"count": 2}, {"count": -2}):
                assert cursor.read(**arguments, **more) == (3, [])
        assert (cursor.position, cursor.skipped) == (3, 0)

    @pytest.mark.parametrize("timeout", [0, None, 20, 1e300])
    def test_who_waits_for_points_is_woken(self, store: DataStore, other: DataStore, timeout: float | None) -> None:
        stream = self.filled(store, (2,))
        cursor = self.seen_by(other, stream).cursor()
        for last_only in (False, True):
            before = len(stream)
            cursor.read(block=False)
            index, data = while_it_waits(
                lambda: cursor.read(timeout=timeout, last_only=last_only),  # noqa: B023 - called here
                lambda: stream.send([9.0, 8.0]),
            )
            assert (index, data.tolist()) == ((before + 1, [8]) if last_only else (before, [9, 8]))

    def test_who_waits_is_woken_by_the_end(self, store: DataStore, other: DataStore) -> None:
        for last_only in (False, True):
            stream = self.filled(store, (2,))
            cursor = self.seen_by(other, stream).cursor()
            cursor.read()
            with pytest.raises(EndOfStream):
                while_it_waits(lambda: cursor.read(last_only=last_only), stream.seal)  # noqa: B023 - called here

    def test_points_and_the_end_at_once_are_points_first(self, store: DataStore, other: DataStore) -> None:
        stream = self.filled(store, (2,))
        cursor = self.seen_by(other, stream).cursor()
        cursor.read(count=1)
        stream.seal()
        assert cursor.read() == (1, [1.0])
        with pytest.raises(EndOfStream, match="2 points"):
            cursor.read(block=False)

    @pytest.mark.parametrize("layout", LAYOUTS[1:], ids=str)
    @pytest.mark.parametrize("count", [1, 2, 3, 1000])
    def test_at_most_so_many(self, store: DataStore, layout: tuple[int, ...], count: int) -> None:
        stream = self.filled(store, layout)
        stream.seal()
        starts, points = follow(stream, count=count)
        assert points == list(range(sum(layout)))
        assert starts == list(range(0, sum(layout), count))

    @pytest.mark.parametrize("layout", LAYOUTS[1:], ids=str)
    @pytest.mark.parametrize("count", [-1, -2, -4, -1000])
    def test_the_last_so_many(self, store: DataStore, layout: tuple[int, ...], count: int) -> None:
        stream, total = self.filled(store, layout), sum(layout)
        cursor = stream.cursor()
        first = max(0, total + count)
        index, data = cursor.read(count=count)
        assert (index, data.tolist()) == (first, list(range(first, total)))
        assert (cursor.position, cursor.skipped) == (total, first)
        stream.send([float(total), total + 1.0])
        stream.join()
        first = max(total, total + 2 + count)
        index, data = cursor.read(count=count)
        assert (index, data.tolist()) == (first, list(range(first, total + 2)))

    def test_contradictions(self, store: DataStore) -> None:
        stream = self.filled(store, (3,))
        for reader in (stream.cursor(), CursorGroup([stream])):
            for count in (1, -2):
                with pytest.raises(LayoutError):
                    reader.read(count=count, last_only=True)
            with pytest.raises(LayoutError):
                reader.read(timeout=-1)
        assert stream.cursor().read(count=-1, last_only=True)[0] == 2

    def test_lists_stay_lists(self, store: DataStore, other: DataStore) -> None:
        scan = self.make(store)
        for encoder in (JsonStreamEncoder(), NumericStreamEncoder("i4", (-1,))):
            stream = scan.create_stream(repr(encoder), encoder)
            points = [np.arange(n, dtype="i4") for n in range(1, 6)]
            stream.send_many(points[:2])
            stream.send_many(points[2:])
            stream.join()
            cursor = self.seen_by(other, stream).cursor()
            index, data = cursor.read(count=3)
            assert (index, type(data), as_list(data)) == (0, list, as_list(points[:3]))
            assert as_list(cursor.read(last_only=True)) == [4, as_list(points[4:])]
            assert cursor.read(block=False) == (5, [])

    @pytest.mark.parametrize("arguments", [{}, {"count": 1}, {"count": 7}], ids=str)
    def test_a_live_stream_is_followed_without_a_hole(
        self, store: DataStore, other: DataStore, arguments: dict[str, int]
    ) -> None:
        stream = self.floats(store)
        results: list[tuple[list[int], list[Any]]] = []

        def write() -> None:
            for number in range(0, 600, 6):
                stream.send(float(number))
                stream.send(np.arange(number + 1.0, number + 6))
            stream.seal()

        def read(place: DataStore) -> None:
            results.append(follow(self.seen_by(place, stream), **arguments))

        run_threads(write, lambda: read(store), lambda: read(other), lambda: read(other))
        for starts, points in results:
            assert points == list(range(600))
            assert starts == sorted(set(starts))

    def test_a_monitor_sees_the_last_points_only(self, store: DataStore, other: DataStore) -> None:
        stream = self.floats(store)
        seen: list[int] = []

        def write() -> None:
            for number in range(0, 200, 2):
                stream.send([number, number + 1.0])
            stream.seal()

        def monitor() -> None:
            cursor = self.seen_by(other, stream).cursor()
            try:
                while True:
                    index, data = cursor.read(timeout=20, last_only=True)
                    assert data.tolist() == [index]
                    seen.append(index)
                    assert cursor.skipped == index + 1 - len(seen)
            except EndOfStream:
                return

        run_threads(write, monitor)
        assert seen == sorted(set(seen))
        assert seen[-1] == 199

    def test_several_heads_do_not_disturb_each_other(self, store: DataStore) -> None:
        stream = self.filled(store, (3, 3))
        first, second = stream.cursor(), stream.cursor()
        assert first.read()[0] == second.read(count=2)[0] == 0
        assert (first.position, second.position) == (6, 2)
        stream.close()
        assert second.read()[1].tolist() == [2, 3, 4, 5]


class GroupTests(StoreBase):
    """Reading heads that wait together."""

    def several(self, store: DataStore, count: int) -> list[Stream]:
        """Streams of one scan."""
        scan = self.make(store)
        return [scan.create_stream(f"s{n}", NumericStreamEncoder("i8")) for n in range(count)]

    def test_only_those_with_news(self, store: DataStore, other: DataStore) -> None:
        streams = self.several(store, 3)
        readers = [self.seen_by(other, stream) for stream in streams]
        group = CursorGroup({reader.name: reader for reader in readers})
        assert group.read(block=False) == {}
        assert group.read(timeout=1e-6) == group.read(timeout=0.02) == {}
        streams[1].send([5, 6])
        streams[1].join()
        found = group.read()
        assert {stream.name: (index, as_list(data)) for stream, (index, data) in found.items()} == {"s1": (0, [5, 6])}
        assert list(found) == [readers[1]] == [streams[1]]
        for number in (0, 1):
            streams[number].send(number)
            streams[number].join()
        found = group.read(count=1)
        assert {stream.name: (index, as_list(data)) for stream, (index, data) in found.items()} == {
            "s0": (0, [0]),
            "s1": (2, [1]),
        }
        assert group.read(block=False) == group.read(block=False, last_only=True) == {}
        assert group.position == dict(zip(readers, (1, 3, 0), strict=True))

    @pytest.mark.parametrize("which", [0, 1, 2])
    @pytest.mark.parametrize("timeout", [0, None, 20])
    def test_any_wakes_it(self, store: DataStore, other: DataStore, which: int, timeout: float | None) -> None:
        streams = self.several(store, 3)
        group = CursorGroup([self.seen_by(other, stream) for stream in streams])
        streams[which].send(7)
        streams[which].join()
        group.read(timeout=20)
        found = while_it_waits(lambda: group.read(timeout=timeout), lambda: streams[which].send([8, 9]))
        assert as_list(list(found.values())) == [[1, [8, 9]]]
        assert list(found) == [streams[which]]

    def test_the_end_of_one_is_not_the_end_of_all(self, store: DataStore, other: DataStore) -> None:
        streams = self.several(store, 3)
        group = CursorGroup([self.seen_by(other, stream) for stream in streams])
        streams[0].seal()
        assert group.read(block=False) == group.read(timeout=0.01) == {}
        streams[1].send(1)
        streams[1].seal()
        assert list(group.read()) == [streams[1]]
        assert group.read(block=False) == {}
        with pytest.raises(EndOfStream, match="3"):
            while_it_waits(group.read, streams[2].seal)
        with pytest.raises(EndOfStream):
            group.read(block=False)

    def test_an_end_while_it_waits_is_no_news(self, store: DataStore, other: DataStore) -> None:
        streams = self.several(store, 2)
        group = CursorGroup([self.seen_by(other, stream) for stream in streams])
        sealed = threading.Event()

        def act() -> None:
            streams[0].seal()
            sealed.set()
            streams[1].send(3)

        assert list(while_it_waits(group.read, act)) == [streams[1]]
        assert sealed.is_set()

    def test_what_cannot_be_a_group(self, store: DataStore, other: DataStore) -> None:
        stream = self.floats(store)
        wrongs: list[Any] = [[], {}, [stream, self.seen_by(other, stream)]]
        for wrong in wrongs:
            with pytest.raises(LayoutError):
                CursorGroup(wrong)

    def test_a_trimmed_stream_costs_the_others_nothing(self, store: DataStore, other: DataStore) -> None:
        streams = self.several(store, 3)
        size = max(1, self.batch_nbytes // 8)
        for stream in streams:
            for start in (0, size):
                stream.send(np.arange(start, start + size))
                stream.join()
        readers = [self.seen_by(other, stream) for stream in streams]
        group = CursorGroup(readers)
        store.engine.trim(streams[1].record, size)
        for _ in range(2):
            with pytest.raises(IndexNoMoreThereError):
                group.read()
            assert set(group.position.values()) == {0}
        assert group.cursors[readers[1]].skip_trimmed() == size
        found = group.read()
        assert [found[reader][0] for reader in readers] == [0, size, 0]
        assert [len(found[reader][1]) for reader in readers] == [2 * size, size, 2 * size]

    def test_a_hundred_streams_lose_nothing(self, store: DataStore, other: DataStore) -> None:
        streams = self.several(store, 100)
        group = CursorGroup([self.seen_by(other, stream) for stream in streams])
        total, batch = 10, 100
        seen: dict[Stream, list[int]] = {stream: [] for stream in streams}

        def write(part: list[Stream]) -> Callable[[], None]:
            def writing() -> None:
                for number in range(total):
                    for stream in part:
                        stream.send(np.arange(number * batch, (number + 1) * batch))
                for stream in part:
                    stream.seal()

            return writing

        def read() -> None:
            try:
                while True:
                    for stream, (index, data) in group.read(timeout=20).items():
                        assert index == len(seen[stream])
                        seen[stream] += data.tolist()
            except EndOfStream:
                return

        run_threads(write(streams[:50]), write(streams[50:]), read)
        assert all(values == list(range(total * batch)) for values in seen.values())
