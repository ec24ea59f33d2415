"""Rings of bytes and of samples, written in sequences and read span by span."""

import gc
import json
import threading

import numpy as np
import pytest

import labdaq
from labdaq.errors import (
    BusyError,
    ClosedError,
    EndOfDataError,
    LayoutError,
    NotFoundError,
    SpanError,
    WaitTimeoutError,
)
from tests.ring.filling import fill, spans, write


@pytest.fixture
def ring():
    with labdaq.Ring("bytes") as ring:
        ring.resize(16, 80)
        yield ring


def test_the_document_runs_as_it_stands():
    tag = 1619206567011656448
    header = {"time_tag": tag, "metadata": "here", "more_metadata": "there"}
    written, read = [], []
    random = np.random.default_rng(0)
    ring = labdaq.Ring(name="a_ring", space="system")
    ring.resize(4096, 5 * 4096)
    with ring.begin_writing() as writer:
        with writer.begin_sequence(time_tag=tag, header=header) as sequence:
            for _ in range(20):
                with sequence.reserve(4096) as span:
                    data = span.data_view(np.int8)
                    data[...] = random.integers(0, 127, 4096)
                    written.append(data.copy())
    for sequence in ring.read(guarantee=True):
        assert json.loads(sequence.header.tobytes()) == dict(sequence.header) == header
        assert sequence.time_tag == tag
        for span in sequence.read(4096):
            if span.size < 4096:
                continue
            data = span.data_view(np.int8)
            assert data.shape == (4096,)
            read.append(data.copy())
    assert np.array_equal(read, written[-5:])
    ring.close()


@pytest.mark.parametrize("space", ["system", "shared"])
@pytest.mark.parametrize("capacity", [16, 17, 79, 4096, 4097, 12289])
def test_a_ring_holds_exactly_its_capacity(space, capacity):
    with labdaq.Ring(space=space) as ring:
        ring.resize(1, capacity)
        assert ring.capacity == capacity
        with ring.read(), ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            ring.resize(capacity, capacity)
            sequence.reserve(capacity).commit()
            with pytest.raises(WaitTimeoutError):
                sequence.reserve(1, timeout=0)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            sequence.reserve(3 * capacity // 4).commit()
            data = np.arange(capacity) % 251
            for _ in range(3):
                with sequence.reserve(capacity) as span:
                    span.data[:] = data
        assert [s.data.tolist() for q in ring.read("latest") for s in q.read(capacity)] == [data.tolist()]


def test_total_is_four_spans_unless_it_is_given(ring):
    with labdaq.Ring() as other:
        assert other.capacity == 0
        other.resize(100)
        assert (other.contiguous, other.capacity) == (100, 400)
    assert ring.nringlet == 1


def test_a_ring_only_grows(ring):
    ring.resize(4)
    assert (ring.contiguous, ring.capacity) == (16, 80)
    ring.resize(32)
    assert (ring.contiguous, ring.capacity) == (32, 128)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_sizes_are_whole_numbers(ring, wrong):
    with pytest.raises(LayoutError, match="whole number"):
        ring.resize(wrong)


def test_a_ring_without_memory_says_what_to_do():
    with labdaq.Ring() as ring:
        with ring.begin_writing() as writer, pytest.raises(SpanError, match="resize"):
            writer.begin_sequence()
        assert [list(sequence.read(4)) for sequence in ring.read()] == []
    with labdaq.Ring() as ring, ring.begin_writing() as writer:
        ring.resize(4, 16)
        with writer.begin_sequence() as sequence:
            fill(sequence, [1], gulp=4)
    with labdaq.Ring(dtype="f4") as ring, pytest.raises(SpanError, match="resize"):
        ring.writer()


def test_a_reader_may_come_before_memory_and_data():
    with labdaq.Ring() as ring:
        reader = ring.read()
        ring.resize(4, 16)
        write(ring, 3, gulp=4)
        assert [[int(span.data[0]) for span in sequence.read(4)] for sequence in reader] == [[0, 1, 2]]


def test_a_late_reader_gets_what_is_left_in_order(ring):
    write(ring, 20)
    assert spans(ring) == [[15, 16, 17, 18, 19]]
    assert spans(ring) == [[15, 16, 17, 18, 19]]
    assert spans(ring, guarantee=False) == [[15, 16, 17, 18, 19]]


def test_spans_never_cross_the_border_of_sequences(ring):
    with ring.begin_writing() as writer:
        for number, length in enumerate([7, 16, 1, 20]):
            with writer.begin_sequence(str(number)) as sequence:
                for _ in range(length):
                    with sequence.reserve(1) as span:
                        span.data[...] = number
    for how in (True, False):
        found = [(q.name, [s.data.tolist() for s in q.read(8)]) for q in ring.read(guarantee=how)]
        lengths = {"0": [7], "1": [8, 8], "2": [1], "3": [8, 8, 4]}
        assert found == [(name, [[int(name)] * n for n in sizes]) for name, sizes in lengths.items()]


def test_empty_sequences_are_seen_too(ring):
    with ring.begin_writing() as writer:
        for name in "abc":
            writer.begin_sequence(name).end()
    assert [(q.name, q.nframe, list(q.read(4))) for q in ring.read()] == [("a", 0, []), ("b", 0, []), ("c", 0, [])]


def test_reading_ends_when_writing_ends_and_the_ring_can_be_written_again(ring):
    reader = ring.read()
    seen = []
    thread = threading.Thread(target=lambda: seen.extend([int(s.data[0]) for s in q.read(16)] for q in reader))
    thread.start()
    write(ring, 3)
    thread.join(5)
    assert seen == [[0, 1, 2]]
    write(ring, 2, begin=3, name="again")
    assert spans(ring) == [[0, 1, 2], [3, 4]]
    assert [q.name for q in ring.read("latest")] == ["again"]


def test_readers_wait_for_the_next_sequence_of_the_same_writer(ring):
    seen = []
    reader = ring.read()
    thread = threading.Thread(target=lambda: seen.extend(q.name for q in reader))
    thread.start()
    with ring.begin_writing() as writer:
        for name in "abc":
            with writer.begin_sequence(name) as sequence:
                fill(sequence, range(20))  # four times the ring: sequences that are passed over hold nobody up
    thread.join(5)
    assert seen == ["a", "b", "c"]


class TestHeaders:
    @pytest.mark.parametrize(
        ("given", "raw"),
        [
            ({"a": [1, 2.5, None]}, b'{"a": [1, 2.5, null]}'),
            ('{"Å": "µ"}', '{"Å": "µ"}'.encode()),
            ('{"Å":  1}'.encode(), '{"Å":  1}'.encode()),
            (bytearray(b"{}"), b"{}"),
            (None, b"{}"),
        ],
    )
    def test_headers_travel_as_they_are(self, ring, given, raw):
        write(ring, 1, header=given)
        for sequence in ring.read():
            assert sequence.header.tobytes() == raw
            assert dict(sequence.header) == json.loads(raw)
            with pytest.raises(TypeError):
                sequence.header["new"] = 1

    @pytest.mark.parametrize("wrong", ["no json", b"\xff\xfe", "[1]", "3", {"a": object()}, {1, 2}, 5, [123, 125], 0])
    def test_what_is_no_json_object_begins_nothing(self, ring, wrong):
        with ring.begin_writing() as writer, pytest.raises(LayoutError, match="header"):
            writer.begin_sequence(header=wrong)
        assert list(ring.read()) == []

    def test_a_header_too_large_for_the_ring_is_refused(self, ring):
        with ring.begin_writing() as writer, pytest.raises(LayoutError, match="header"):
            writer.begin_sequence(header={"text": "x" * (1 << 20)})

    def test_large_headers_push_old_sequences_out(self, ring):
        with ring.begin_writing() as writer:
            for number in range(20):
                with writer.begin_sequence(str(number), header={"text": "x" * 200_000, "number": number}) as sequence:
                    fill(sequence, [number])
        found = [(q.name, q.header["number"], [int(s.data[0]) for s in q.read(16)]) for q in ring.read()]
        assert found == [(str(n), n, [n]) for n in range(20)][-len(found) :]
        assert len(found) >= 2


class TestOpening:
    @pytest.fixture
    def several(self, ring):
        with ring.begin_writing() as writer:
            for name, tag in (("a", 10), ("b", 20), ("a", 30)):
                with writer.begin_sequence(name, tag) as sequence:
                    fill(sequence, [tag])
        return ring

    @pytest.mark.parametrize("name", ["b", b"b"])
    def test_by_name(self, several, name):
        with several.open_sequence(name) as sequence:
            assert (sequence.name, [int(span.data[0]) for span in sequence.read(16)]) == ("b", [20])

    def test_the_newest_of_a_name(self, several):
        with several.open_sequence("a") as sequence:
            assert sequence.time_tag == 30

    @pytest.mark.parametrize(("tag", "found"), [(10, 10), (19, 10), (20, 20), (1 << 62, 30)])
    @pytest.mark.parametrize("guarantee", [True, False])
    def test_at_a_time_tag(self, several, tag, found, guarantee):
        with several.open_sequence_at(tag, guarantee) as sequence:
            assert [int(span.data[0]) for span in sequence.read(16)] == [found]
        assert next(iter(several.read(whence=tag))).time_tag == found

    def test_earliest_and_latest(self, several):
        with several.open_earliest_sequence() as first, several.open_latest_sequence() as last:
            assert (first.time_tag, last.time_tag) == (10, 30)

    def test_what_is_not_there_is_listed(self, several):
        with pytest.raises(NotFoundError, match=r"no sequence 'c'.*\['a', 'b', 'a'\]"):
            several.open_sequence("c")
        with pytest.raises(NotFoundError, match=r"time tag 9.*\[10, 20, 30\]"):
            several.open_sequence_at(9)
        with pytest.raises(SpanError, match="newest"):
            several.read("newest")

    def test_nothing_that_failed_to_open_holds_writers(self, several):
        for attempt in (lambda: several.open_sequence("c"), lambda: several.open_sequence_at(9)):
            with pytest.raises(NotFoundError):
                attempt()
        assert several.statistics().groups == ()

    def test_an_ended_ring_without_sequences_has_none_to_open(self, ring):
        ring.end()
        with pytest.raises(NotFoundError, match="no sequence"):
            ring.open_earliest_sequence()
        assert ring.statistics().groups == ()

    @pytest.mark.parametrize("tag", [0, 1 << 62, (1 << 63) - 1, -(1 << 63)])
    def test_time_tags_have_64_bits(self, ring, tag):
        write(ring, 1, time_tag=tag)
        assert [sequence.time_tag for sequence in ring.read()] == [tag]

    @pytest.mark.parametrize("tag", [1 << 63, 1.5, "now", None])
    def test_other_time_tags_are_refused(self, ring, tag):
        with ring.begin_writing() as writer, pytest.raises(LayoutError, match="time tag"):
            writer.begin_sequence(time_tag=tag)

    def test_one_span_from_anywhere(self, ring):
        write(ring, 5)
        with ring.open_earliest_sequence() as sequence:
            with sequence.acquire(20, 10) as span:
                assert (span.frame_offset, span.data.tolist()) == (20, [1] * 10)
            with sequence.acquire(30, 4) as span:
                assert span.data.tolist() == [1, 1, 2, 2]
            with pytest.raises(EndOfDataError, match="80 frames"):
                sequence.acquire(80, 1)

    def test_a_reader_that_looks_at_one_sequence_lets_writers_go_when_closed(self, several):
        with several.open_sequence("b") as sequence:
            assert len(several.statistics().groups) == 1
        assert several.statistics().groups == ()
        with pytest.raises(ClosedError):
            next(sequence.read(16))


class TestWhoMay:
    def test_only_one_writes(self, ring):
        with ring.begin_writing() as writer:
            with pytest.raises(BusyError, match="sequence writer 'MainThread' in this process"):
                ring.begin_writing()
            with writer.begin_sequence("a"), pytest.raises(BusyError, match="'a'"):
                writer.begin_sequence("b")
        ring.begin_writing().close()

    def test_a_writer_that_was_forgotten_frees_the_ring_and_truncates(self, ring):
        writer = ring.begin_writing()
        sequence = writer.begin_sequence("a")
        fill(sequence, [1])
        sequence.reserve(16)
        del writer, sequence
        gc.collect()  # they hold each other
        with ring.begin_writing():
            pass
        for reading in ring.read():
            assert reading.truncated
            assert [span.data.tolist() for span in reading.read(16)] == [[1] * 16]
        assert ring.statistics().truncated == 1

    def test_events_and_sequences_do_not_mix(self):
        with labdaq.Ring(dtype="f4", capacity=8) as ring:
            with ring.begin_writing(), pytest.raises(BusyError, match="shares it with nobody"):
                ring.writer()
            with ring.writer(), pytest.raises(BusyError, match="written by"):
                ring.begin_writing()

    def test_a_ring_of_bytes_has_no_events(self, ring):
        for attempt in (ring.writer, ring.reader, ring.observer):
            with pytest.raises(LayoutError, match="bytes"):
                attempt()

    def test_nothing_works_in_a_closed_ring(self):
        ring = labdaq.Ring("gone")
        ring.resize(4, 16)
        write(ring, 3, gulp=4)
        reader, other = ring.read(), ring.read(guarantee=False)
        reading = reader.next_sequence()
        writer = ring.begin_writing()
        sequence = writer.begin_sequence()
        span = sequence.reserve(4)
        ring.close()
        ring.close()
        calls = (
            ring.read, ring.begin_writing, ring.end, ring.statistics, lambda: ring.resize(8), lambda: ring.contiguous,
            reader.next_sequence, other.next_sequence, lambda: next(reading.read(4)), writer.begin_sequence,
            lambda: sequence.reserve(4), span.commit,
        )  # fmt: skip
        for call in calls:
            with pytest.raises(ClosedError):
                call()
        assert "closed" in repr(ring)
