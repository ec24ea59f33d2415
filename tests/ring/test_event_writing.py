"""Writing events: in place, by copy and in batches; voiding; their metadata."""

import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import ClosedError, LayoutError, SpanError, WaitTimeoutError
from labdaq.testing import run_threads
from tests.ring.putting import put, values


@pytest.fixture
def ring():
    with labdaq.Ring("numbers", dtype="i8", capacity=8) as ring:
        yield ring


class TestWriting:
    def test_in_place_by_copy_and_in_batches(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            with writer.reserve() as event:
                event.data[...] = 0
            writer.put(1)
            with writer.reserve(3) as span:
                span.data[:] = [2, 3, 4]
            ring.end()
            found = [(event.index, event.counter, int(event.data)) for event in reader]
        assert found == [(n, n, n) for n in range(5)]

    def test_records_of_fields(self):
        dtype = [("chA", "f4", (3,)), ("chB", "i2")]
        with labdaq.Ring(dtype=dtype, shape=(2,), capacity=5) as ring, ring.reader() as reader:
            with ring.writer() as writer:
                with writer.reserve() as event:
                    event.data["chA"][:] = [[1, 2, 3], [4, 5, 6]]
                    event.data["chB"][1] = 7
                    event.data["chB"][0] = 6
                writer.put(event_copy := np.ones(2, dtype))
                writer.put([((1, 2, 3), 4), ((5, 6, 7), 8)])
            first = reader.read(timeout=0)
            assert first.data["chA"].tolist() == [[1, 2, 3], [4, 5, 6]]
            assert first.data["chB"].tolist() == [6, 7]
            assert reader.read(timeout=0).data.tobytes() == event_copy.tobytes()
            assert reader.read(timeout=0).data["chB"].tolist() == [4, 8]

    @pytest.mark.parametrize("capacity", [1, 2, 7, 8, 255, 256, 257, 1000])
    def test_a_ring_holds_exactly_its_capacity(self, capacity):
        with labdaq.Ring(dtype="i2", capacity=capacity) as ring:
            ring.group("later")
            with ring.writer() as writer:
                for value in range(capacity):
                    writer.put(value, timeout=0)
                with pytest.raises(WaitTimeoutError, match="nobody reads it"):
                    writer.put(-1, timeout=0)
            ring.end()
            assert values(ring.reader("later")) == list(range(capacity))

    @pytest.mark.parametrize(
        "wrong", [np.zeros(3), np.zeros(3, "f8"), np.zeros(2, "f4"), np.zeros((3, 1), "f4"), "text", None, [1, 2], 1.0]
    )
    def test_a_wrong_dtype_or_shape_writes_nothing(self, wrong):
        with labdaq.Ring(dtype="f4", shape=(3,), capacity=4) as ring, ring.writer() as writer:
            with pytest.raises(LayoutError, match="takes float32 of shape"):
                writer.put(wrong)
            statistics = ring.statistics()
            assert (statistics.frames_written, statistics.voided, statistics.frames_reserved) == (0, 0, 0)

    @pytest.mark.parametrize(
        "wrong", [{"counter": "x"}, {"counter": 1.5}, {"timestamp_ns": "now"}, {"deadtime": "none"}, {"counter": -1}]
    )
    def test_wrong_metadata_writes_nothing_and_holds_nobody_up(self, ring, wrong):
        with ring.reader() as reader, ring.writer() as writer:
            with pytest.raises(LayoutError):
                writer.put(1, **wrong)
            with pytest.raises(LayoutError), writer.reserve() as event:  # noqa: PT012 - raised by leaving
                for name, value in wrong.items():
                    setattr(event, name, value)
            writer.put(2)
            assert int(reader.read(timeout=0).data) == 2

    @pytest.mark.parametrize("wrong", [0, -1, 9, 1.5, True])
    def test_what_can_never_fit_is_refused(self, ring, wrong):
        with ring.writer() as writer, pytest.raises(SpanError):
            writer.reserve(wrong)

    def test_without_a_group_writers_overwrite(self, ring):
        put(ring, range(100))
        ring.end()
        reader = ring.reader()
        assert reader.missed == 92
        assert values(reader) == list(range(92, 100))

    def test_several_spans_of_one_writer_come_in_order(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            events = [writer.reserve() for _ in range(5)]
            for event in reversed(events):
                event.data[...] = event.index
                with pytest.raises(WaitTimeoutError):
                    reader.read(timeout=0)
                event.commit()
            assert [int(reader.read(timeout=0).data) for _ in range(5)] == list(range(5))

    def test_an_event_is_over_once_it_is_committed(self, ring):
        with ring.writer() as writer:
            event = writer.reserve()
            event.commit()
            for action in (event.commit, lambda: event.data):
                with pytest.raises(ClosedError, match="over"):
                    action()
            event.void()

    def test_a_writer_that_closed_can_change_nothing_any_more(self, ring):
        with ring.reader() as reader:
            writer = ring.writer()
            event, span = writer.reserve(), writer.reserve(2)
            event.data[...] = 99
            writer.close()
            writer.close()
            with pytest.raises(ClosedError):
                event.commit()
            with pytest.raises(ClosedError):
                span.commit()
            for call in (writer.reserve, lambda: writer.put(1)):
                with pytest.raises(ClosedError, match="closed"):
                    call()
            put(ring, [5])
            ring.end()
            assert [(event.index, int(event.data)) for event in reader] == [(3, 5)]
        assert ring.statistics().voided == 3

    def test_a_late_commit_of_a_closed_writer_does_not_reach_its_successor(self, ring):
        old = ring.writer()
        event = old.reserve()
        old.close()
        with ring.writer() as new:
            for value in range(300):
                new.put(value)
            held = new.reserve()
            with pytest.raises(ClosedError):
                event.commit()
            assert ring.statistics().frames_reserved == 1
            held.commit()

    def test_a_slow_writer_makes_others_wait_not_fail(self):
        with labdaq.Ring(dtype="i8", capacity=1000) as ring, ring.writer() as slow, ring.writer() as fast:
            event = slow.reserve()
            for value in range(254):
                fast.put(value, timeout=0)
            with pytest.raises(WaitTimeoutError, match="reserved and not committed by"):
                fast.put(254, timeout=0.02)
            event.commit()
            fast.put(254, timeout=0)
            mine = [slow.reserve() for _ in range(255)]
            with pytest.raises(SpanError, match="255"):
                slow.reserve()
            for event in mine:
                event.void()


class TestVoiding:
    def test_an_exception_is_a_gap_in_the_index_only(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            for value in range(6):
                try:
                    with writer.reserve() as event:
                        event.data[...] = 10 // (value % 2)
                except ZeroDivisionError:
                    pass
            ring.end()
            assert [(event.index, event.counter) for event in reader] == [(1, 0), (3, 1), (5, 2)]
        assert ring.statistics().voided == 3

    def test_a_short_commit_voids_the_rest(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            with writer.reserve(4) as span:
                span.data[:] = range(4)
                span.commit(2)
            with writer.reserve(3) as span:
                span.data[:] = [7, 8, 9]
            span = writer.reserve(1)
            with pytest.raises(SpanError, match="1 events"):
                span.commit(2)
            span.void()
            ring.end()
            found = [(batch.index, batch.data.tolist(), batch.planes["counter"].tolist()) for batch in reader.spans(8)]
        assert found == [(0, [0, 1], [0, 1]), (4, [7, 8, 9], [2, 3, 4])]

    def test_frames_that_were_voided_once_are_good_the_next_time(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            for round_ in range(20):
                writer.reserve(4).commit(round_ % 5)
                with writer.reserve(1) as span:
                    span.data[:] = round_
                batch = [reader.read(timeout=0) for _ in range(round_ % 5 + 1)]
                assert int(batch[-1].data) == round_
            with pytest.raises(WaitTimeoutError):
                reader.read(timeout=0)

    def test_a_batch_takes_only_what_was_filled(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            for value in range(8):
                with writer.reserve() as event:
                    event.data[...] = value
                    if value in (0, 3, 4, 7):
                        event.void()
            ring.end()
            assert [batch.data.tolist() for batch in reader.spans(8)] == [[1, 2], [5, 6]]


class TestMetadata:
    def test_defaults(self, ring):
        before = time.time_ns()
        with ring.reader() as reader, ring.writer() as writer:
            writer.put(1)
            with writer.reserve() as event:
                assert (event.counter, event.timestamp_ns, event.deadtime) == (None, None, None)
            writer.reserve(2).commit()
            found = [reader.read(timeout=0) for _ in range(1)]
            stamps = []
            for number in range(4):
                event = found.pop() if found else reader.read(timeout=0)
                stamps.append(event.timestamp_ns)
                assert event.counter == number
                assert 0 <= event.deadtime <= 1
        assert before <= stamps[0] <= stamps[1] <= stamps[2] == stamps[3] <= time.time_ns()

    def test_what_is_given_is_kept_and_copied_down(self, ring):
        given = {"counter": 41, "timestamp_ns": 1_700_000_000_000_000_000, "deadtime": 0.125}
        with labdaq.Ring(dtype="i8", capacity=8) as target, target.reader() as end, target.writer() as copier:
            with ring.reader() as reader, ring.writer() as writer:
                writer.put(1, **given)
                with writer.reserve() as event:
                    event.counter, event.timestamp_ns, event.deadtime = given.values()
                with writer.reserve(1) as span:
                    for name, value in given.items():
                        span.planes[name][:] = value
                for _ in range(3):
                    source = reader.read(timeout=0)
                    copier.put(2, like=source)
                    with copier.reserve() as event:
                        event.copy_metadata(source)
            for _ in range(6):
                event = end.read(timeout=0)
                assert {name: getattr(event, name) for name in given} == given

    def test_numbers_of_numpy_are_numbers(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            writer.put(1, counter=np.int16(5), timestamp_ns=np.uint32(6), deadtime=np.float32(0.5))
            event = reader.read(timeout=0)
            assert (event.counter, event.timestamp_ns, event.deadtime) == (5, 6, 0.5)

    def test_counters_have_no_gaps_whoever_writes(self, ring):
        reader = ring.reader()
        counters = []

        def write(seed):
            choose = np.random.default_rng(seed)
            with ring.writer() as writer:
                for _ in range(300):
                    match choose.integers(4):
                        case 0:
                            writer.put(0)
                        case 1:
                            writer.reserve().void()
                        case 2:
                            writer.reserve(3).commit(int(choose.integers(4)))
                        case 3:
                            with writer.reserve(2) as span:
                                _ = span.planes

        def read():
            counters.extend(event.counter for event in reader)

        thread = threading.Thread(target=read)
        thread.start()
        run_threads(*[lambda seed=seed: write(seed) for seed in range(3)])
        ring.end()
        thread.join(10)
        assert sorted(counters) == list(range(len(counters)))

    def test_planes_of_ones_own(self):
        planes = {"quality": "f4", "hits": ("i2", (3,))}
        with (
            labdaq.Ring(dtype="i8", capacity=3, planes=planes) as ring,
            ring.reader() as reader,
            ring.writer() as writer,
        ):
            for number in range(10):
                with writer.reserve(1) as span:
                    span.data[:] = number
                    span.planes["quality"][:] = number / 2
                    span.planes["hits"][:] = number
                event = reader.read(timeout=0)
                assert (event.plane("quality"), event.plane("hits").tolist()) == (number / 2, [number] * 3)

    @pytest.mark.parametrize("name", ["data", ".flags", "counter"])
    def test_planes_of_the_ring_cannot_be_replaced(self, name):
        with pytest.raises(LayoutError):
            labdaq.Ring(dtype="i8", capacity=3, planes={name: "f4"})
