"""Writing sequences: commits, whole and in part."""

import numpy as np
import pytest

import labdaq
from labdaq.errors import (
    ClosedError,
    SpanError,
)
from tests.ring.filling import fill, spans


@pytest.fixture
def ring():
    with labdaq.Ring("bytes") as ring:
        ring.resize(16, 80)
        yield ring


class TestCommit:
    def test_what_is_not_committed_is_given_back(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(30):
                span = sequence.reserve(16)
                span.data[:3] = number
                span.commit(3)
            assert sequence.nframe == 90
        (found,) = [[s.data.tolist() for s in q.read(3)] for q in ring.read()]
        assert found[0] == [3, 3, 4]
        assert np.concatenate(found).tolist() == np.repeat(np.arange(30), 3)[-80:].tolist()
        assert ring.statistics().voided == 0

    def test_what_lies_before_later_claims_is_voided(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            first, second = sequence.reserve(8), sequence.reserve(8)
            first.data[:] = second.data[:] = 5
            second.commit()
            first.commit(3)
        for guarantee in (True, False):
            for reading in ring.read(guarantee=guarantee):
                found = [(s.data.tolist(), s.nframe_voided) for s in reading.read(8)]
            assert found == [([5] * 3 + [0] * 5, 5), ([5] * 8, 0)]
        assert ring.statistics().voided == 5

    def test_several_spans_may_be_given_back_in_any_order(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            first, second, third = (sequence.reserve(8) for _ in range(3))
            third.void()
            second.commit(0)
            first.data[:2] = 1
            first.commit(2)
            fill(sequence, [2], gulp=4)
        assert [s.data.tolist() for q in ring.read() for s in q.read(16)] == [[1, 1, 2, 2, 2, 2]]
        assert ring.statistics().voided == 0

    def test_many_spans_given_back_use_nothing_up(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for _ in range(1000):
                sequence.reserve(16).void()
            fill(sequence, [1])
        assert spans(ring) == [[1]]

    def test_a_span_left_by_an_exception_is_seen_by_nobody(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            with pytest.raises(ZeroDivisionError), sequence.reserve(16) as span:
                span.data[:] = 1 / 0
            fill(sequence, [7])
        assert spans(ring) == [[7]]

    @pytest.mark.parametrize("wrong", [17, -1, 1.5])
    def test_only_what_was_reserved_can_be_committed(self, ring, wrong):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            span = sequence.reserve(16)
            with pytest.raises(SpanError, match="16 frames"):
                span.commit(wrong)
            span.commit()

    def test_a_span_is_over_once_it_is_committed(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            span = sequence.reserve(16)
            span.commit()
            for action in (span.commit, span.void, lambda: span.data, lambda: span.planes, lambda: span.parts):
                with pytest.raises(ClosedError, match="over"):
                    action()

    def test_what_is_open_when_the_sequence_ends_is_seen_by_nobody(self, ring):
        with ring.begin_writing() as writer:
            sequence = writer.begin_sequence("a")
            fill(sequence, [1])
            left = sequence.reserve(16)
            sequence.end()
            with writer.begin_sequence("b") as following:
                span = following.reserve(16)
                with pytest.raises(ClosedError, match="taken away"):
                    left.commit()
                assert ring.statistics().frames_reserved == 16
                span.data[:] = 2
                span.commit()
        assert spans(ring) == [[1], [2]]

    def test_more_holes_than_can_be_remembered_are_refused(self):
        with labdaq.Ring() as ring:
            ring.resize(2, 8192)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                with pytest.raises(SpanError, match="1024"):  # noqa: PT012 - sooner or later
                    for _ in range(2000):
                        first, second = sequence.reserve(2), sequence.reserve(2)
                        second.commit()
                        first.commit(1)
                first.commit()
