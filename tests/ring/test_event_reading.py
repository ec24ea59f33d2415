"""Reading events: in groups and alone, one by one and in batches."""

import threading
import time

import pytest

import labdaq
from labdaq.errors import BusyError, ClosedError, EndOfDataError, WaitTimeoutError
from labdaq.testing import run_threads
from tests.ring.putting import await_waiting, put, values


@pytest.fixture
def ring():
    with labdaq.Ring("numbers", dtype="i8", capacity=8) as ring:
        yield ring


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
