"""Frame numbers go far: over 2**52, where records keep only the lower bits, and up to the horizon."""

import pytest

import labdaq
from labdaq.errors import SpanError
from labdaq.ring import words as w

FIRST = [(1 << 52) - 5, (1 << 53) - 5, (1 << 61) - 5]


@pytest.mark.parametrize("first", FIRST)
def test_events_pass_the_border(first):
    with labdaq.Ring(dtype="i8", capacity=7, _first_frame=first) as ring:
        observer, reader = ring.observer(), ring.reader()
        with ring.writer() as writer:
            for number in range(100):
                held = writer.reserve(2)
                with writer.reserve() as event:
                    event.data[...] = number
                held.commit(number % 2)
                batch = [reader.read(timeout=0) for _ in range(number % 2 + 1)]
                assert (batch[-1].index, int(batch[-1].data)) == (first + 3 * number + 2, number)
                while (seen := observer.read(timeout=0)).index < batch[-1].index:
                    pass
                assert int(seen.data) == number
        reader.release()
        statistics = ring.statistics()
        assert (statistics.frames_written, statistics.voided, statistics.frames_read) == (150, 150, 300)
        assert reader.missed == 0


@pytest.mark.parametrize("first", FIRST)
def test_sequences_pass_the_border(first):
    with labdaq.Ring(_first_frame=first) as ring:
        ring.resize(4, 17)
        with ring.begin_writing() as writer:
            for name in "ab":
                with writer.begin_sequence(name, planes={"row": "i4"}) as sequence:
                    for number in range(5):
                        with sequence.reserve(3) as span:
                            span.data[:] = span.planes["row"][:] = number
                            assert span.frame_offset == 3 * number
        ring.resize(5, 19)
        found = [[(s.data.tolist(), s.planes["row"].tolist()) for s in q.read(3)] for q in ring.read()]
        assert found == [[([4] * 2, [4] * 2)], [([n] * 3, [n] * 3) for n in range(5)]]


def test_a_late_group_joins_behind_the_border():
    first = (1 << 52) - 5
    with labdaq.Ring(dtype="i8", capacity=4, _first_frame=first) as ring:
        with ring.writer() as writer:
            for number in range(20):
                writer.put(number)
        ring.end()
        assert [(event.index - first, int(event.data)) for event in ring.reader()] == [(n, n) for n in range(16, 20)]


def test_at_the_horizon_writing_ends_and_reading_does_not():
    with labdaq.Ring(dtype="i8", capacity=4, _first_frame=w.HORIZON - 3) as ring, ring.reader() as reader:
        with ring.writer() as writer:
            writer.put(0)
            with pytest.raises(SpanError, match="make a new ring"):
                writer.reserve(3)
            writer.put(1)
            writer.put(2)
            with pytest.raises(SpanError, match=str(w.HORIZON)):
                writer.put(3)
        ring.end()
        assert [int(event.data) for event in reader] == [0, 1, 2]


def test_the_last_sequence_ends_at_the_horizon():
    with labdaq.Ring(_first_frame=w.HORIZON - 8) as ring:
        ring.resize(4, 16)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(2):
                with sequence.reserve(4) as span:
                    span.data[:] = number
            with pytest.raises(SpanError, match="make a new ring"):
                sequence.reserve(1)
        assert [[span.data.tolist() for span in sequence.read(4)] for sequence in ring.read()] == [[[0] * 4, [1] * 4]]
