"""Reading sequences: strides, waiting, and without a guarantee."""

import itertools
import threading

import numpy as np
import pytest

import labdaq
from labdaq.errors import (
    SpanError,
    WaitTimeoutError,
)
from tests.ring.filling import fill, spans, write


@pytest.fixture
def ring():
    with labdaq.Ring("bytes") as ring:
        ring.resize(16, 80)
        yield ring


class TestStride:
    @pytest.fixture
    def numbers(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for first in range(0, 20, 5):
                with sequence.reserve(5) as span:
                    span.data[:] = range(first, first + 5)
        return ring

    @pytest.mark.parametrize("guarantee", [True, False])
    @pytest.mark.parametrize("begin", [0, 5, 19, 20, 30])
    def test_every_stride_and_begin(self, numbers, begin, guarantee):
        for gulp, stride in itertools.product([1, 3, 4, 7], [1, 2, 4, 9]):
            reader = numbers.read(guarantee=guarantee)
            (found,) = [[span.data.tolist() for span in sequence.read(gulp, stride, begin)] for sequence in reader]
            assert found == [list(range(i, min(i + gulp, 20))) for i in range(begin, 20, stride)]

    def test_overlapping_spans_are_kept_from_writers(self, ring):
        reader = ring.read()
        seen = []

        def read():
            for sequence in reader:
                seen.extend(span.data.tolist() for span in sequence.read(16, stride=3))

        thread = threading.Thread(target=read)
        thread.start()
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(600):
                with sequence.reserve(1) as span:
                    span.data[:] = number % 251
        thread.join(10)
        assert seen == [[n % 251 for n in range(i, min(i + 16, 600))] for i in range(0, 600, 3)]

    @pytest.mark.parametrize("wrong", [0, -1, 1.5])
    def test_strides_are_positive(self, numbers, wrong):
        for sequence in numbers.read():
            with pytest.raises(SpanError, match="stride"):
                sequence.read(4, stride=wrong)


class TestWaiting:
    def test_without_room_one_may_not_wait(self, ring):
        with ring.read(), ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            fill(sequence, range(5))
            for how in ({"nonblocking": True}, {"timeout": 0}, {"timeout": 0.02}, {"timeout": -1}):
                with pytest.raises(WaitTimeoutError, match="not being read"):
                    sequence.reserve(1, **how)
        assert spans(ring) == [[0, 1, 2, 3, 4]]

    def test_without_data_one_may_not_wait(self, ring):
        with ring.begin_writing() as writer:
            reader = ring.read()
            with pytest.raises(WaitTimeoutError):
                reader.next_sequence(timeout=0.02)
            with writer.begin_sequence():
                reading = reader.next_sequence(timeout=0)
                with pytest.raises(WaitTimeoutError):
                    next(reading.read(4, timeout=0))
            reader.close()

    def test_a_reader_of_all_makes_writers_wait(self, ring):
        reader = ring.read()
        seen = []

        def read():
            for sequence in reader:
                for span in sequence.read(7):
                    seen.append(span.data.copy())

        thread = threading.Thread(target=read)
        thread.start()
        data = np.random.default_rng(2).integers(0, 255, 16_000, np.uint8)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for first in range(0, len(data), 16):
                with sequence.reserve(16) as span:
                    span.data[:] = data[first : first + 16]
        thread.join(10)
        assert np.array_equal(np.concatenate(seen), data)

    def test_a_reader_that_never_can_be_served_is_told(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            ring.resize(64, 80)
            reader = ring.read()
            held = [sequence.reserve(16), sequence.reserve(16)]
            failed = []

            def blocked():
                sequence.reserve(64, timeout=60).void()

            def read():
                try:
                    next(reader.next_sequence().read(64, timeout=60))
                except SpanError as error:
                    failed.append(str(error))
                reader.close()
                held[0].commit()

            threads = [threading.Thread(target=target) for target in (read, blocked)]
            for thread in threads:
                thread.start()
            threads[0].join(40)
            assert failed  # long before its time was over
            threads[1].join(10)
        assert "deadlock" in failed[0]

    def test_spans_larger_than_the_ring_are_refused(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for wrong in (17, 81, 10**12):
                with pytest.raises(SpanError, match="never fit"):
                    sequence.reserve(wrong)
            for wrong in (0, -1, 1.5, True):
                with pytest.raises(SpanError, match="whole number"):
                    sequence.reserve(wrong)
        for reading in ring.read():
            with pytest.raises(SpanError, match="never fit"):
                reading.read(17)


class TestWithoutGuarantee:
    def test_a_reader_that_is_overtaken_is_told(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            fill(sequence, range(5))
            reader = ring.read(guarantee=False)
            reading = reader.next_sequence().read(16)
            assert next(reading).data[0] == 0
            fill(sequence, range(5, 20))
            span = next(reading)
            assert (int(span.data[0]), span.nframe_skipped, span.frame_offset) == (15, 14 * 16, 240)
            fill(sequence, [20])
            assert (span.data == 15).all()  # a copy of one's own
            assert span.nframe_overwritten == 0
            reader.close()

    def test_a_view_tells_how_much_of_it_is_gone(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            fill(sequence, range(5))
            reader = ring.read(guarantee=False, copy=False)
            span = next(reader.next_sequence().read(16))
            assert span.nframe_overwritten == 0
            fill(sequence, [5], gulp=3)
            assert span.nframe_overwritten == 3
            fill(sequence, range(6, 20))
            assert span.nframe_overwritten == 16
            reader.close()

    def test_with_a_guarantee_nothing_is_skipped_or_overwritten(self, ring):
        write(ring, 20)
        for sequence in ring.read():
            told = [(s.nframe_skipped, s.nframe_overwritten) for s in sequence.read(16)]
        assert told == [(240, 0)] + [(0, 0)] * 4

    def test_everything_is_accounted_for(self, ring):
        reader = ring.read(guarantee=False)
        seen, bad = [0], [0]

        def read():
            for sequence in reader:
                for span in sequence.read(5):
                    seen[0] += span.nframe + span.nframe_skipped + span.nframe_overwritten
                    bad[0] += bool((np.diff(span.data.astype(int)) % 251 != 1).any())

        thread = threading.Thread(target=read)
        thread.start()
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for first in range(0, 160_000, 16):
                with sequence.reserve(16) as span:
                    span.data[:] = np.arange(first, first + 16) % 251
            last = sequence.nframe
        thread.join(10)
        assert bad == [0]
        assert 0 <= last - seen[0] <= 80  # frames that were gone at the end come with no later span
