"""The contract of rings, as tests: a new kind of memory subclasses them and must pass.

::

    class TestMyRings(RingTests):
        space = "mine"
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from labdaq.errors import BusyError, ClosedError, LayoutError, SpanError, WaitTimeoutError
from labdaq.ring import Ring

__all__ = ["RingTests", "run_threads"]


def run_threads(*targets: Callable[[], Any], timeout: float = 30.0) -> None:
    """Run functions at once, each in a thread, and raise the first error of any.

    Raises
    ------
    TimeoutError
        When one does not come to its end.
    """
    errors: list[BaseException] = []

    def guarded(target: Callable[[], Any]) -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"a thread did not end within {timeout:g} s")


class RingTests:
    """What every ring promises, whatever its memory."""

    space = "system"

    @pytest.fixture
    def stream(self) -> "Iterator[Ring]":
        """A ring of bytes."""
        with Ring(space=self.space) as ring:
            ring.resize(64, 320)
            yield ring

    @pytest.fixture
    def events(self) -> "Iterator[Ring]":
        """A ring of eight small events."""
        with Ring(space=self.space, dtype="i4", shape=(3,), capacity=8) as ring:
            yield ring

    def as_numpy(self, array: Any) -> "np.ndarray[Any, Any]":
        """Bring an array of this memory to the host."""
        return np.asarray(array.get() if hasattr(array, "get") else array)

    # ------------------------------------------------------------------------------------ sequences

    def write(self, ring: Ring, spans: int, size: int = 64, **sequence: Any) -> None:
        """One sequence of spans, each filled with its number."""
        with ring.begin_writing() as writer, writer.begin_sequence(**sequence) as writing:
            for number in range(spans):
                with writing.reserve(size) as span:
                    span.data[...] = number

    def read(self, ring: Ring, gulp: int = 64) -> list[list[int]]:
        """First bytes of all spans, by sequence."""
        return [[int(self.as_numpy(s.data)[0]) for s in sequence.read(gulp)] for sequence in ring.read()]

    def test_late_reader_gets_exactly_what_is_left(self, stream: Ring) -> None:
        self.write(stream, 20)
        assert self.read(stream) == [[15, 16, 17, 18, 19]]

    def test_header_name_and_time_tag_travel(self, stream: Ring) -> None:
        self.write(stream, 1, name="run", time_tag=12, header={"gain": 3, "who": "Å"})
        for sequence in stream.read():
            assert (sequence.name, sequence.time_tag, dict(sequence.header)) == ("run", 12, {"gain": 3, "who": "Å"})
            assert [span.nframe for span in sequence.read(48)] == [48, 16]

    def test_spans_never_cross_the_border_of_a_sequence(self, stream: Ring) -> None:
        with stream.begin_writing() as writer:
            for number in range(3):
                with writer.begin_sequence(str(number)) as sequence, sequence.reserve(50) as span:
                    span.data[...] = number
        sizes = [[span.size for span in sequence.read(40)] for sequence in stream.read()]
        assert sizes == [[40, 10]] * 3

    def test_frames_of_a_tensor_and_their_planes(self, stream: Ring) -> None:
        tensor = {"dtype": "int16", "shape": (4,)}
        with stream.begin_writing() as writer:
            with writer.begin_sequence(tensor=tensor, planes={"present": ("u1", (2,))}) as sequence:
                for number in range(60):
                    with sequence.reserve(3) as span:
                        span.data[...] = number
                        span.planes["present"][...] = number % 5
        for reading in stream.read():
            for span in reading.read(3):
                assert self.as_numpy(span.data).shape == (span.nframe, 4)
                assert (self.as_numpy(span.planes["present"]) == self.as_numpy(span.data)[:, :2] % 5).all()

    def test_reading_waits_for_writing_and_loses_nothing(self, stream: Ring) -> None:
        seen: list[int] = []

        def read() -> None:
            for sequence in reader:
                seen.extend(int(self.as_numpy(span.data)[0]) for span in sequence.read(64))

        reader = stream.read()
        run_threads(lambda: self.write(stream, 100), read)
        assert seen == list(range(100))

    def test_a_span_left_by_an_exception_is_seen_by_nobody(self, stream: Ring) -> None:
        with stream.begin_writing() as writer, writer.begin_sequence() as sequence:
            with pytest.raises(KeyError), sequence.reserve(64) as span:
                span.data[...] = 9
                raise KeyError
            with sequence.reserve(64) as span:
                span.data[...] = 1
        assert self.read(stream) == [[1]]

    def test_without_room_a_timed_reserve_gives_up_and_changes_nothing(self, stream: Ring) -> None:
        with stream.read(), stream.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(5):
                with sequence.reserve(64) as span:
                    span.data[...] = number
            with pytest.raises(WaitTimeoutError):
                sequence.reserve(64, timeout=0)
        assert self.read(stream) == [[0, 1, 2, 3, 4]]

    def test_resizing_keeps_what_is_there(self, stream: Ring) -> None:
        self.write(stream, 7)
        stream.resize(128, 640)
        assert stream.capacity == 640
        assert self.read(stream) == [[2, 3, 4, 5, 6]]

    def test_only_one_writes_sequences(self, stream: Ring) -> None:
        with stream.begin_writing(), pytest.raises(BusyError, match="written by"):
            stream.begin_writing()

    # --------------------------------------------------------------------------------------- events

    def put(self, ring: Ring, values: range) -> None:
        """One event per value."""
        with ring.writer() as writer:
            for value in values:
                with writer.reserve() as event:
                    event.data[...] = value

    def values(self, events: Any) -> list[int]:
        """The values of events."""
        return [int(self.as_numpy(event.data)[0]) for event in events]

    def test_every_group_sees_all_and_members_share(self, events: Ring) -> None:
        events.group("a"), events.group("b")
        shares: list[list[int]] = [[], [], []]
        readers = [events.reader("a"), events.reader("a"), events.reader("b")]

        def produce() -> None:
            self.put(events, range(200))
            events.end()

        def consume(share: list[int], reader: Any) -> Callable[[], None]:
            return lambda: share.extend(self.values(reader))

        run_threads(produce, *(consume(*pair) for pair in zip(shares, readers, strict=True)))
        assert sorted(shares[0] + shares[1]) == shares[2] == list(range(200))

    def test_a_declared_group_holds_writers_before_anyone_reads(self, events: Ring) -> None:
        events.group("late")
        self.put(events, range(8))
        with events.writer() as writer, pytest.raises(WaitTimeoutError, match="late"):
            writer.reserve(timeout=0)
        events.end()
        assert self.values(events.reader("late")) == list(range(8))

    def test_without_a_group_writers_overwrite_and_observers_are_told(self, events: Ring) -> None:
        observer = events.observer()
        self.put(events, range(20))
        events.end()
        seen = list(observer)
        assert self.values(seen) == list(range(12, 20))
        assert [event.skipped for event in seen] == [12] + [0] * 7

    def test_metadata_is_given_once_and_copied_down(self, events: Ring) -> None:
        with events.reader() as reader, events.writer() as writer:
            writer.put([1, 2, 3], timestamp_ns=77, deadtime=0.25)
            first = reader.read(timeout=0)
            assert (first.index, first.counter, first.timestamp_ns, first.deadtime) == (0, 0, 77, 0.25)
            writer.put([4, 5, 6], like=first)
            second = reader.read(timeout=0)
            assert (second.index, second.counter, second.timestamp_ns) == (1, 0, 77)

    def test_batches(self, events: Ring) -> None:
        with events.reader() as reader:
            with events.writer() as writer:
                for start in (0, 5):
                    with writer.reserve(5, timeout=0) if start == 0 else writer.reserve(3, timeout=0) as span:
                        span.data[...] = start
            events.end()
            sizes = [(span.nframe, int(self.as_numpy(span.planes["counter"])[0])) for span in reader.spans(6)]
        assert sizes == [(6, 0), (2, 6)]

    def test_a_voided_event_is_a_gap_in_the_index_only(self, events: Ring) -> None:
        with events.reader() as reader, events.writer() as writer:
            for value in range(6):
                event = writer.reserve(timeout=0)
                event.data[...] = value
                event.void() if value % 2 else event.commit()
            events.end()
            seen = [(event.index, event.counter) for event in reader]
        assert seen == [(0, 0), (2, 1), (4, 2)]
        assert events.statistics().voided == 3

    def test_data_after_the_release_is_refused(self, events: Ring) -> None:
        self.put(events, range(1))
        with events.reader() as reader:
            event = reader.read(timeout=0)
            reader.release()
            with pytest.raises(ClosedError, match="copy"):
                _ = event.data

    def test_what_can_never_work_is_refused_at_once(self, events: Ring) -> None:
        with events.writer() as writer:
            with pytest.raises(SpanError, match="9 frames can never fit"):
                writer.reserve(9)
            with pytest.raises(LayoutError, match="float64"):
                writer.put(np.zeros(3))
            with pytest.raises(LayoutError, match="shape"):
                writer.put(np.zeros(4, "i4"))
        assert events.statistics().frames_written == 0

    def test_views_outlive_the_ring(self) -> None:
        ring = Ring(space=self.space, dtype="f8", shape=(1000,), capacity=4)
        with ring.writer() as writer:
            event = writer.reserve()
            view = event.data
            view[...] = 5
            event.commit()
        ring.close()
        assert self.as_numpy(view).sum() == 5000
        with pytest.raises(ClosedError):
            ring.reader()
