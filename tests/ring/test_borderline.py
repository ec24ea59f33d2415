"""Cases that went wrong once: each is an interleaving or a state that is easy to overlook."""

import os
import pickle
import subprocess
import sys
import threading

import pytest

from labdaq import Ring
from labdaq.errors import ClosedError, LayoutError, SpanError
from labdaq.ring.sequencer import advance, freeze, record_address
from labdaq.testing import run_threads


def test_frames_under_a_span_that_was_given_back_are_gone() -> None:
    with Ring() as ring:
        ring.resize(4096, 8192)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for value in (0, 1):
                with sequence.reserve(4096) as span:
                    span.data[...] = value
            span = sequence.reserve(4096)
            span.data[...] = 99
            span.void()
        for guarantee in (True, False):
            found = [int(s.data[0]) for reading in ring.read(guarantee=guarantee) for s in reading.read(4096)]
            assert found == [1]


def test_a_writer_killed_between_finishing_and_advancing_is_advanced_for() -> None:
    program = (
        "import labdaq\n"
        "from labdaq.testing import dies_at\n"
        "with labdaq.Ring(space='shared', dtype='i8', capacity=4) as ring:\n"
        "    group = ring.group('all')\n"
        "    def victim():\n"
        "        from labdaq.native.faults import arm\n"
        "        writer = ring.writer(); event = writer.reserve(); event.data[...] = 5\n"
        "        arm(1); event.commit()\n"
        "    assert dies_at(10_000, victim)\n"
        "    with group.reader() as reader:\n"
        "        assert int(reader.read(timeout=5).data) == 5\n"
    )
    environment = {**os.environ, "LABDAQ_FAULTS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_committing_short_over_voided_slots_loses_nothing() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            first, second = sequence.reserve(2), sequence.reserve(2)
            first.void()
            second.data[...] = 8
            second.commit()
            span = sequence.reserve(3)
            span.data[...] = 9
            span.commit(2)
        with ring.reader() as reader:
            assert [(event.index, int(event.data)) for event in reader] == [(2, 8), (3, 8), (4, 9), (5, 9)]


def test_voided_frames_of_a_typed_ring_are_zeros_to_readers_of_sequences() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            first, second = sequence.reserve(2), sequence.reserve(2)
            first.data[...], second.data[...] = 7, 8
            first.void()
            second.commit()
        for reading in ring.read():
            assert [(s.data.tolist(), s.nframe_voided) for s in reading.read(4)] == [([0, 0, 8, 8], 2)]


def test_events_written_in_sequences_have_counters_and_times() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for value in range(3):
                with sequence.reserve(1) as span:
                    span.data[...] = value
        with ring.reader() as reader:
            assert [(event.counter, event.timestamp_ns > 0) for event in reader] == [(0, True), (1, True), (2, True)]


def test_slow_writers_are_no_deadlock() -> None:
    with Ring(dtype="i4", capacity=2) as ring, ring.reader() as reader:
        let_go = threading.Event()

        def slow() -> None:
            with ring.writer() as writer, writer.reserve() as event:
                event.data[...] = 1
                assert let_go.wait(10)

        def third() -> None:
            with ring.writer() as writer:
                writer.put(2)

        def read() -> None:
            timer = threading.Timer(1.2, let_go.set)
            timer.start()
            assert [int(reader.read(timeout=10).data) for _ in range(3)] == [1, 1, 2]
            timer.join()

        run_threads(slow, slow, third, read)


def test_a_reader_that_could_not_be_made_holds_nobody() -> None:
    with Ring(dtype="i4") as ring:
        with pytest.raises(SpanError):
            ring.reader()
        ring.resize(4)
        with ring.writer() as writer:
            for value in range(20):
                writer.put(value, timeout=0)


def test_long_group_names_are_refused() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        for name in ("x" * 64, "a\0b"):
            with pytest.raises(LayoutError, match="bytes"):
                ring.group(name)


def test_two_attachments_in_a_process_share_one_lock() -> None:
    with Ring(space="shared", dtype="i4", capacity=4) as ring:
        with pickle.loads(pickle.dumps(ring)) as other:
            entered = threading.Event()

            def enter() -> None:
                with other._core.control.locked():
                    entered.set()

            thread = threading.Thread(target=enter)
            with ring._core.control.locked():
                thread.start()
                assert not entered.wait(0.2)
            thread.join()
            assert entered.is_set()


def test_attaching_to_a_ring_whose_last_user_left_is_an_error() -> None:
    ring = Ring(space="shared", dtype="i4", capacity=4)
    ticket = pickle.dumps(ring)
    ring.close()
    with pytest.raises(ClosedError, match="gone"):
        pickle.loads(ticket)


def test_a_freeze_changes_the_record_for_good() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        control = ring._core.control
        word = control.at(record_address(control.writers, 256, 256))
        freeze(control.writers, 256)
        control.unfreeze(control.writers)
        assert control.at(record_address(control.writers, 256, 256)) != word
        assert advance(control.writers, 256) == 0


def test_claims_of_the_dead_do_not_keep_a_ring_from_growing() -> None:
    with Ring(dtype="i4", capacity=4) as ring:
        with ring.writer() as writer:
            writer.put(1)
        reader = ring.reader()
        reader.read(timeout=0)
        reader.__exit__(KeyError, KeyError(), None)  # as an exception leaves the block: the event goes back
        ring.resize(8, 8, timeout=1)
        assert ring.capacity == 8
