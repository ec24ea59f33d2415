"""Rings of events: many write, groups share or see all, and nothing is lost, doubled or mixed."""

import contextlib
import signal
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import BusyError, ClosedError, EndOfDataError, LayoutError, SpanError, WaitTimeoutError
from labdaq.testing import run_threads


@pytest.fixture
def ring():
    with labdaq.Ring("numbers", dtype="i8", capacity=8) as ring:
        yield ring


def put(ring, values, **how):
    with ring.writer() as writer:
        for value in values:
            writer.put(value, **how)


def values(events):
    return [int(event.data) for event in events]


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


class TestGroups:
    def test_members_share_and_every_group_sees_all(self, ring):
        shares = {name: [[], []] for name in "ab"}

        def consume(name, number):
            shares[name][number].extend(values(readers[name, number]))

        readers = {(name, number): ring.reader(name) for name in "ab" for number in range(2)}

        def produce(number):
            put(ring, range(number * 1000, number * 1000 + 1000))

        consumers = [threading.Thread(target=consume, args=key) for key in readers]
        for thread in consumers:
            thread.start()
        run_threads(*[lambda n=n: produce(n) for n in range(3)])
        ring.end()
        for thread in consumers:
            thread.join(10)
        for name in "ab":
            assert sorted(shares[name][0] + shares[name][1]) == list(range(3000))
            for share in shares[name]:
                for number in range(3):
                    mine = [value for value in share if value // 1000 == number]
                    assert mine == sorted(mine)

    def test_a_declared_group_holds_writers_before_anyone_reads(self, ring):
        group = ring.group("filter")
        assert "filter" in repr(group)
        put(ring, range(8))
        with pytest.raises(WaitTimeoutError, match="'filter' is 8 frames behind"):
            put(ring, [8], timeout=0)
        ring.end()
        assert values(group.reader()) == list(range(8))
        assert values(ring.reader("filter")) == []

    def test_a_declared_group_stays_when_its_readers_go(self, ring):
        ring.group("filter")
        put(ring, range(4))
        with ring.reader("filter") as reader:
            assert int(reader.read(timeout=0).data) == 0
            reader.release()
        put(ring, range(4, 9))
        ring.end()
        assert values(ring.reader("filter")) == list(range(1, 9))

    def test_a_declared_group_ends_when_it_is_closed(self, ring):
        group = ring.group("filter")
        put(ring, range(8))
        with ring.reader("filter") as reader:
            group.close()
            with pytest.raises(WaitTimeoutError):
                put(ring, [9], timeout=0)
            assert int(reader.read().data) == 0
        put(ring, range(20), timeout=0)

    def test_declaring_a_group_that_reads_already_keeps_it(self, ring):
        with ring.reader("filter"):
            ring.group("filter")
        assert [(group.name, group.declared, group.members) for group in ring.statistics().groups] == [
            ("filter", True, 0)
        ]

    def test_an_undeclared_group_begins_at_the_oldest_frame_and_ends_with_its_last(self, ring):
        put(ring, range(10))
        first = ring.reader("late")
        second = ring.reader("late")
        assert (first.missed, second.missed) == (2, 2)
        assert [int(first.read().data), int(second.read().data)] == [2, 3]
        first.close()  # what it had at hand counts as read
        assert int(second.read().data) == 4
        assert ring.statistics().groups[0].members == 1
        second.close()
        assert ring.statistics().groups == ()
        put(ring, range(20), timeout=0)

    def test_readers_without_a_group_see_everything_each(self, ring):
        first, second = ring.reader(), ring.reader()
        put(ring, range(5))
        ring.end()
        assert values(first) == values(second) == list(range(5))

    def test_no_more_groups_than_there_are_places(self, ring):
        readers = [ring.reader() for _ in range(32)]
        with pytest.raises(BusyError, match="32 reader groups"):
            ring.reader()
        for reader in readers:
            reader.close()
        ring.reader().close()

    def test_no_more_users_than_there_are_places(self, ring):
        observers = [ring.observer() for _ in range(255)]  # the ring itself takes one
        with pytest.raises(BusyError, match="256"):
            ring.observer()
        with pytest.raises(BusyError):
            ring.reader("not made")
        assert ring.statistics().groups == ()
        for observer in observers:
            observer.close()

    def test_a_slow_member_makes_others_wait_not_fail(self):
        with labdaq.Ring(dtype="i8", capacity=1000) as ring, ring.reader("g") as slow, ring.reader("g") as fast:
            put(ring, range(600))
            assert int(slow.read().data) == 0
            assert [int(fast.read(timeout=0).data) for _ in range(254)] == list(range(1, 255))
            with pytest.raises(WaitTimeoutError):
                fast.read(timeout=0.02)
            slow.release()
            assert int(fast.read(timeout=0).data) == 255


class TestReading:
    def test_break_closes(self, ring):
        put(ring, range(5))
        reader = ring.reader("g")
        for event in reader:
            if int(event.data) == 2:
                break
        assert ring.statistics().groups == ()
        with pytest.raises(ClosedError, match="closed"):
            reader.read(timeout=0)

    def test_a_closed_reader_reads_nothing_even_where_there_is_something(self, ring):
        ring.group("g")
        put(ring, range(5))
        reader = ring.reader("g")
        reader.close()
        with pytest.raises(ClosedError):
            reader.read(timeout=0)
        ring.end()
        assert values(ring.reader("g")) == list(range(5))

    def test_what_an_exception_leaves_open_is_delivered_again(self, ring):
        ring.group("g")
        put(ring, range(5))
        with pytest.raises(ZeroDivisionError), ring.reader("g") as reader:  # noqa: PT012 - so is a filter that fails
            reader.read()
            _ = 1 // int(reader.read().data - 1)
        ring.end()
        assert [(int(event.data), event.redelivered) for event in ring.reader("g")] == [
            (1, True), (2, False), (3, False), (4, False),
        ]  # fmt: skip
        assert ring.statistics().redelivered == 1

    def test_a_batch_left_in_the_middle_is_delivered_again(self, ring):
        ring.group("g")
        put(ring, range(6))
        other = ring.reader("g")
        with pytest.raises(ZeroDivisionError), ring.reader("g") as reader:  # noqa: PT012 - so is a filter that fails
            reader.read()
            batches = reader.spans(3)
            next(batches)
            assert int(other.read(timeout=0).data) == 4
            raise ZeroDivisionError
        del batches
        assert [int(other.read(timeout=0).data) for _ in range(4)] == [1, 2, 3, 5]
        other.close()

    def test_data_after_the_release_is_refused(self, ring):
        put(ring, range(3))
        with ring.reader() as reader:
            first = reader.read()
            second = reader.read()
            with pytest.raises(ClosedError, match="copy what you want to keep"):
                _ = first.data
            assert int(second.data) == 1
            reader.release()
            for look in (lambda: second.data, lambda: second.counter, lambda: second.plane("counter")):
                with pytest.raises(ClosedError):
                    look()
            assert "released" in repr(second)
            batch = next(reader.spans(1))
        with pytest.raises(ClosedError):
            _ = batch.data

    def test_readers_may_not_write(self, ring):
        put(ring, [1])
        with ring.reader() as reader, pytest.raises(ValueError, match="read-only"):
            reader.read().data[...] = 2

    @pytest.mark.parametrize("timeout", [0, 0.02, -1, 1e-9])
    def test_time_outs(self, ring, timeout):
        with ring.reader() as reader, ring.observer() as observer:
            batches = ring.reader("batches").spans(2, timeout=timeout)
            waits = [lambda read=read: read(timeout) for read in (reader.read, observer.read, observer.latest)]
            for wait in (*waits, lambda: next(batches)):
                start = time.monotonic()
                with pytest.raises(WaitTimeoutError):
                    wait()
                assert time.monotonic() - start < 0.5

    def test_end_and_begin_again(self, ring):
        with ring.reader() as reader, ring.observer() as observer:
            put(ring, [1])
            ring.end()
            ring.end()
            assert ring.statistics().state == "ended"
            assert int(reader.read().data) == int(observer.read().data) == 1
            for read in (reader.read, observer.read):
                with pytest.raises(EndOfDataError, match="ended"):
                    read()
            put(ring, [2])
            assert ring.statistics().state == "open"
            assert int(reader.read(timeout=0).data) == int(observer.read(timeout=0).data) == 2

    def test_the_last_writer_leaving_does_not_end_the_ring(self, ring):
        with ring.reader() as reader:
            put(ring, [1])
            reader.read()
            with pytest.raises(WaitTimeoutError):
                reader.read(timeout=0.01)

    def test_a_writer_in_an_ended_ring_is_told(self, ring):
        with ring.writer() as writer:
            ring.end()
            with pytest.raises(ClosedError, match="ended"):
                writer.put(1)

    def test_ending_wakes_everyone_at_once(self, ring):
        ring.group("full")
        put(ring, range(8))
        done = []

        def blocked(name, wait):
            with pytest.raises((ClosedError, EndOfDataError)):
                wait()
            done.append(name)

        writer, reader, observer = ring.writer(), ring.reader(), ring.observer(latest=True)
        for _ in range(8):
            reader.read()
        reader.release()
        waits = {"writer": lambda: writer.put(8), "reader": reader.read, "observer": observer.read}
        threads = [threading.Thread(target=blocked, args=item) for item in waits.items()]
        for thread in threads:
            thread.start()
        await_waiting(ring, 1)
        ring.end()
        for thread in threads:
            thread.join(5)
        assert sorted(done) == sorted(waits)

    def test_closing_the_ring_wakes_everyone(self):
        ring = labdaq.Ring(dtype="i8", capacity=8)
        reader = ring.reader()
        done = threading.Event()

        def read():
            with pytest.raises(ClosedError):
                reader.read()
            done.set()

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.02)
        ring.close()
        assert done.wait(5)
        thread.join()

    def test_nothing_works_in_a_closed_ring(self):
        ring = labdaq.Ring(dtype="i8", capacity=8)
        put(ring, range(4))
        reader, observer, writer, group = ring.reader(), ring.observer(), ring.writer(), ring.group("g")
        ring.close()
        calls = (
            reader.read, observer.read, observer.latest, lambda: writer.put(1), writer.reserve, ring.reader,
            ring.writer, ring.observer, lambda: ring.group("h"), ring.end, ring.statistics, group.reader,
        )  # fmt: skip
        for call in calls:
            with pytest.raises(ClosedError):
                call()

    def test_batches_wait_for_the_least(self, ring):
        with ring.reader() as reader, ring.writer() as writer:
            batches = reader.spans(6, least=4, timeout=0)
            for value in range(3):
                writer.put(value)
            with pytest.raises(WaitTimeoutError, match="4 events"):
                next(batches)
        with ring.reader() as reader:
            batches = reader.spans(6, least=4)
            put(ring, range(3, 8))
            assert next(batches).data.tolist() == list(range(6))
            ring.end()
            assert next(batches).data.tolist() == [6, 7]
            with pytest.raises(StopIteration):
                next(batches)

    def test_an_event_knows_its_sequence(self):
        with labdaq.Ring(dtype="i8", capacity=20) as ring, ring.reader() as reader:
            put(ring, [0])
            with ring.begin_writing() as writer:
                for name in "ab":
                    with writer.begin_sequence(name) as sequence, sequence.reserve(2) as span:
                        span.data[:] = 1
            found = [reader.sequence_of(event) for event in reader]
        assert [setup and setup.name for setup in found] == [None, "a", "a", "b", "b"]


def await_waiting(ring, count):
    """Wait until so many writers sleep."""
    deadline = time.monotonic() + 5
    while sum(one.waits > 0 or one.frames == 0 for one in ring.statistics().writers) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


class TestNames:
    def test_a_name_used_again_replaces_an_idle_ring(self):
        first = labdaq.Ring("again", dtype="i8", capacity=4)
        first.group("declared")
        put(first, range(3))
        second = labdaq.Ring("again", dtype="f4", capacity=9)
        assert first.closed
        assert not second.closed
        second.close()

    @pytest.mark.parametrize("use", ["reader", "writer"])
    def test_a_ring_in_use_is_not_replaced(self, use):
        with labdaq.Ring("again", dtype="i8", capacity=4) as ring:
            user = getattr(ring, use)(label="me")
            with pytest.raises(BusyError, match=f"{use} 'me' in this process"):
                labdaq.Ring("again", dtype="i8", capacity=4)
            user.close()
            labdaq.Ring("again", dtype="i8", capacity=4).close()

    def test_a_user_that_was_forgotten_does_not_count(self):
        ring = labdaq.Ring("again", dtype="i8", capacity=4)
        reader = ring.reader()
        del reader
        labdaq.Ring("again", dtype="i8", capacity=4).close()
        assert ring.closed

    def test_rings_without_a_name_are_all_different(self):
        with labdaq.Ring(dtype="i8", capacity=4) as one, labdaq.Ring(dtype="i8", capacity=4) as other:
            assert one.name != other.name

    @pytest.mark.parametrize(
        "wrong",
        [{"space": "moon"}, {"dtype": "O"}, {"dtype": "S"}, {"shape": (2,)}, {"dtype": "f4", "shape": (0,)},
         {"dtype": "f4", "capacity": 0}, {"dtype": "f4", "capacity": -3}, {"dtype": "f4", "planes": {"a": "f4"}},
         {"dtype": "no such"}, {"planes": {"a": "f4"}, "capacity": 5}],
    )  # fmt: skip
    def test_what_is_no_ring_is_refused(self, wrong):
        with pytest.raises(LayoutError):
            labdaq.Ring(**wrong)


class TestThreads:
    def test_a_writer_used_by_two_threads_never_mixes_data(self):
        with labdaq.Ring(dtype="i8", shape=(50,), capacity=16) as ring:
            reader, writer = ring.reader(), ring.writer()
            written = [0, 0]

            def write(number):
                for value in range(number, 3000, 2):
                    with contextlib.suppress(BusyError):
                        writer.put(np.full(50, value), timeout=5)
                        written[number] += 1

            seen = []
            consumer = threading.Thread(target=lambda: seen.extend(event.data.copy() for event in reader))
            consumer.start()
            run_threads(lambda: write(0), lambda: write(1))
            writer.close()
            ring.end()
            consumer.join(10)
            assert len(seen) == sum(written)
            assert len({int(data[0]) for data in seen}) == len(seen)
            assert all((data == data[0]).all() for data in seen)

    def test_a_blocked_writer_is_busy_for_others(self, ring):
        ring.group("full")
        put(ring, range(8))
        writer = ring.writer()

        def block():
            with pytest.raises(ClosedError):
                writer.put(9)

        thread = threading.Thread(target=block)
        thread.start()
        with pytest.raises(BusyError, match="another thread"):  # noqa: PT012 - as soon as the other one sleeps
            for _ in range(1000):
                with pytest.raises(WaitTimeoutError):
                    writer.put(1, timeout=0)
                time.sleep(0.001)
        ring.end()
        thread.join(5)
        writer.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to threads")
class TestInterrupts:
    """Ctrl-C is a signal to the main thread."""

    def interrupted_after(self, wait):
        sent = []

        def send():
            time.sleep(0.05)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=send)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        thread.join()
        return time.monotonic() - sent[0]

    @pytest.mark.parametrize("what", ["reserve", "put", "read", "spans", "observer", "iterate"])
    def test_blocked_calls_return_at_once(self, ring, what):
        ring.group("full")
        put(ring, range(8))
        with ring.reader() as reader, ring.writer() as writer, ring.observer(latest=True) as observer:
            for _ in range(8):
                reader.read()
            waits = {
                "reserve": writer.reserve, "put": lambda: writer.put(1), "read": reader.read,
                "spans": lambda: next(reader.spans(2)), "observer": observer.read, "iterate": lambda: list(reader),
            }  # fmt: skip
            assert self.interrupted_after(waits[what]) < 0.1
            assert ring.statistics().frames_reserved == 0

    def test_blocked_reading_of_sequences_returns_at_once(self):
        with labdaq.Ring() as ring:
            ring.resize(4, 16)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence, ring.read() as reader:
                reading = reader.next_sequence()
                assert self.interrupted_after(lambda: next(reading.read(4))) < 0.1
                assert self.interrupted_after(reader.next_sequence) < 0.1
                for _ in range(4):
                    sequence.reserve(4).commit()
                assert self.interrupted_after(lambda: sequence.reserve(4)) < 0.1

    def test_interrupting_a_wait_at_any_moment_leaves_everything_usable(self):
        """A stop-watch interrupts both ends of a running ring again and again."""
        with labdaq.Ring(dtype="i8", capacity=8) as ring, ring.reader() as reader, ring.writer() as writer:
            old = signal.signal(signal.SIGALRM, signal.default_int_handler)
            seen, interrupts = [], 0
            try:
                for number in range(200):
                    try:
                        signal.setitimer(signal.ITIMER_REAL, 1e-4 + 3e-6 * number)
                        while True:
                            writer.put(1, timeout=1)
                            seen.append(int(reader.read(timeout=1).data))
                    except KeyboardInterrupt:
                        interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, old)
            assert interrupts == 200
            assert set(seen) == {1}
