"""Rings of bytes and of samples, written in sequences and read span by span."""

import gc
import itertools
import json
import threading
import time

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


@pytest.fixture
def ring():
    with labdaq.Ring("bytes") as ring:
        ring.resize(16, 80)
        yield ring


def write(ring, count, gulp=16, name="", begin=0, **setup):
    """A sequence of spans which hold their number."""
    with ring.begin_writing() as writer, writer.begin_sequence(name, **setup) as sequence:
        fill(sequence, range(begin, begin + count), gulp)


def fill(sequence, numbers, gulp=16):
    for number in numbers:
        with sequence.reserve(gulp) as span:
            span.data[...] = number


def spans(ring, gulp=16, **how):
    """What every span of every sequence begins with."""
    return [[int(span.data.flat[0]) for span in sequence.read(gulp)] for sequence in ring.read(**how)]


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


class TestTensors:
    @pytest.mark.parametrize(
        ("dtype", "shape", "stored", "view_shape"),
        [
            ("ci4", (3,), "u1", (3,)),
            ("ci8", (2, 3), [("re", "i1"), ("im", "i1")], (2, 3)),
            ("uint2", (2, 8), "u1", (2, 2)),
            ("cf32", (), "c8", ()),
            (np.float32, (5,), "f4", (5,)),
            (">i2", 3, ">i2", (3,)),
        ],
    )
    def test_frames_have_their_dtype_and_shape(self, ring, dtype, shape, stored, view_shape):
        tensor = {"dtype": dtype, "shape": shape}
        nbytes = np.dtype(stored).itemsize * int(np.prod(view_shape))
        ring.resize(10 * nbytes, 31 * nbytes)
        data = np.random.default_rng(1).integers(0, 255, 100 * nbytes, np.uint8).view(stored).reshape(100, *view_shape)
        with ring.begin_writing() as writer, writer.begin_sequence(tensor=tensor) as sequence:
            for first in range(0, 100, 10):
                with sequence.reserve(10) as span:
                    assert (span.nframe, span.size, span.frame_offset) == (10, 10 * nbytes, first)
                    span.data[...] = data[first : first + 10]
        for how in (True, False):
            (found,) = [[(s.frame_offset, s.data.copy()) for s in q.read(10)] for q in ring.read(guarantee=how)]
            # 30.6 frames are left: the first which is whole begins a span
            assert [offset for offset, _ in found] == [69, 79, 89, 99]
            assert b"".join(frames.tobytes() for _, frames in found) == data[69:].tobytes()
        assert found[0][1].dtype == np.dtype(stored)

    def test_a_partly_overwritten_frame_is_passed_over(self):
        with labdaq.Ring() as ring:
            ring.resize(12, 17)
            tensor = {"dtype": "int32"}
            with ring.begin_writing() as writer, writer.begin_sequence(tensor=tensor) as sequence:
                for number in range(20):
                    with sequence.reserve(1) as span:
                        span.data[...] = number
            for how in (True, False):
                (found,) = [[(s.data.tolist(), s.nframe_skipped) for s in q.read(3)] for q in ring.read(guarantee=how)]
                assert found == [([16, 17, 18], 16), ([19], 0)]

    def test_the_description_is_there_for_readers(self, ring):
        tensor = {
            "dtype": "ci8",
            "shape": (2, 3),
            "labels": ["pol", "fine"],
            "scales": [None, (0, 1)],
            "units": [None, "Hz"],
        }
        with ring.begin_writing() as writer, writer.begin_sequence(tensor=tensor):
            pass
        for sequence in ring.read():
            assert sequence.tensor.labels == ("pol", "fine")
            assert sequence.tensor.units == (None, "Hz")
            assert sequence.tensor.frame_nbytes == 12

    @pytest.mark.parametrize(
        "tensor",
        [{}, {"dtype": "ci5"}, {"dtype": "f4", "shape": (0,)}, {"dtype": "O"}, {"dtype": "int8", "colour": 1},
         {"dtype": "uint2", "shape": (3,)}, {"dtype": "int8", "shape": (2,), "labels": ["a", "b"]}],
    )  # fmt: skip
    def test_what_is_no_tensor_begins_nothing(self, ring, tensor):
        with ring.begin_writing() as writer:
            with pytest.raises(LayoutError):
                writer.begin_sequence(tensor=tensor)
            writer.begin_sequence("fine").end()
        assert [sequence.name for sequence in ring.read()] == ["fine"]

    def test_a_frame_larger_than_the_ring_is_refused_by_reserve(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence(tensor={"dtype": "f8", "shape": (100,)}) as sequence:
            with pytest.raises(SpanError, match="never fit"):
                sequence.reserve(1)


class TestPlanes:
    def write(self, ring, count, **setup):
        planes = {"present": "u1", "gain": ("f4", (2,))}
        with ring.begin_writing() as writer, writer.begin_sequence(planes=planes, **setup) as sequence:
            for number in range(count):
                with sequence.reserve(2) as span:
                    span.data[...] = number % 100
                    span.planes["present"][:] = number % 100
                    span.planes["gain"][:] = number

    @pytest.mark.parametrize("guarantee", [True, False])
    @pytest.mark.parametrize("frame", [1, 3, 8])
    def test_planes_travel_with_their_frames(self, ring, frame, guarantee):
        self.write(ring, 200, tensor={"dtype": "uint8", "shape": (frame,)})
        for sequence in ring.read(guarantee=guarantee):
            found = 0
            for span in sequence.read(2):
                assert set(span.planes) == {"present", "gain"}
                assert span.planes["present"].shape == (span.nframe,)
                assert (span.planes["present"] == span.data[:, 0]).all()
                assert (span.planes["gain"][:, 1] % 100 == span.data[:, 0]).all()
                found += span.nframe
            assert found == 80 // frame

    def test_planes_in_a_ring_of_samples(self):
        with labdaq.Ring(dtype="i2", shape=(2,), capacity=11, metadata=False) as ring:
            ring.resize(2, 11)
            self.write(ring, 40)
            for sequence in ring.read():
                found = [(s.data[:, 0].tolist(), s.planes["gain"][:, 0].tolist()) for s in sequence.read(1)]
            assert found == [([n // 2], [n // 2]) for n in range(69, 80)]

    def test_frames_of_other_sizes_in_between_leave_rows_alone(self):
        with labdaq.Ring() as ring:
            ring.resize(4000, 16000)
            tensor = {"dtype": "uint8", "shape": (1000,)}
            with ring.begin_writing() as writer:
                with writer.begin_sequence("a", tensor=tensor, planes={"row": "u1"}) as sequence:
                    with sequence.reserve(4) as span:
                        span.planes["row"][:] = [1, 2, 3, 4]
                with writer.begin_sequence("b") as sequence:
                    sequence.reserve(4000).commit()
                    sequence.reserve(94).commit()
                with writer.begin_sequence("c", planes={"other": "u1"}) as sequence:
                    with sequence.reserve(3000) as span:
                        assert list(span.planes) == ["other"]
                        span.planes["other"][:] = 7
                with writer.begin_sequence("d", tensor=tensor, planes={"row": "u1"}) as sequence:
                    with sequence.reserve(4) as span:
                        span.planes["row"][:] = 9
            rows = {q.name: [s.planes["row"].tolist() for s in q.read(4)] for q in ring.read() if q.name in "ad"}
            assert rows == {"a": [[1, 2, 3, 4]], "d": [[9] * 4]}

    @pytest.mark.parametrize("name", ["data", ".flags", "", 3])
    def test_names_that_a_ring_uses_are_refused(self, ring, name):
        with ring.begin_writing() as writer, pytest.raises(LayoutError, match="another name"):
            writer.begin_sequence(planes={name: "u1"})

    def test_a_plane_keeps_its_type(self, ring):
        with ring.begin_writing() as writer:
            writer.begin_sequence(planes={"gain": "f4"}).end()
            with pytest.raises(LayoutError, match="gain"):
                writer.begin_sequence(planes={"gain": "f8"})

    def test_a_plane_that_is_not_there_is_named(self, ring):
        self.write(ring, 1)
        for sequence in ring.read():
            for span in sequence.read(2):
                with pytest.raises(NotFoundError, match="gain"):
                    _ = span.planes["gian"]
                assert not span.planes["gain"].flags.writeable


class TestRinglets:
    def test_lanes_are_parallel(self):
        with labdaq.Ring() as ring:
            ring.resize(10, 35, nringlet=3)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                for number in range(9):
                    with sequence.reserve(10) as span:
                        assert span.data.shape == span.data_view("u1").shape == (3, 10)
                        span.data_view(np.int16)[...] = np.arange(15).reshape(3, 5) + 100 * number
            whole = [np.arange(15, dtype="i2").reshape(3, 5) + np.int16(100 * number) for number in range(9)]
            for how in (True, False):
                (found,) = [[s.data.copy() for s in q.read(10)] for q in ring.read(guarantee=how)]
                assert [frames.shape for frames in found] == [(3, 10)] * 3 + [(3, 5)]
                assert np.array_equal(np.concatenate(found, axis=1), np.concatenate(whole, axis=1).view("u1")[:, -35:])

    def test_tensors_in_lanes(self):
        with labdaq.Ring() as ring:
            ring.resize(24, 48, nringlet=2)
            with ring.begin_writing() as writer:
                with writer.begin_sequence(tensor={"dtype": "int16", "shape": (4,)}) as sequence:
                    with sequence.reserve(3) as span:
                        assert span.data.shape == (2, 3, 4)
                        span.data[...] = np.arange(24).reshape(2, 3, 4)
            found = [span.data.copy() for sequence in ring.read() for span in sequence.read(3)]
            assert np.array_equal(found, [np.arange(24).reshape(2, 3, 4)])


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
                sequence.reserve(64, timeout=10).void()

            def read():
                try:
                    next(reader.next_sequence().read(64, timeout=10))
                except SpanError as error:
                    failed.append(str(error))
                reader.close()
                held[0].commit()

            threads = [threading.Thread(target=target) for target in (read, blocked)]
            start = time.monotonic()
            for thread in threads:
                thread.start()
            threads[0].join(10)
            assert time.monotonic() - start < 4
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


class TestViews:
    def test_bytes_as_any_dtype(self, ring):
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence, sequence.reserve(12) as span:
            span.data_view("<i4")[:] = [1, 2, 3]
            assert span.data_view("u1", (3, 4)).tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]]
            assert span.data_view("<i2", (-1, 2)).shape == (3, 2)
            for dtype, shape in (("i8", None), ("u1", (5, -1)), ("f4", 4)):
                with pytest.raises(LayoutError, match="12 bytes"):
                    span.data_view(dtype, shape)

    def test_readers_may_not_write(self, ring):
        write(ring, 1)
        for sequence in ring.read():
            for span in sequence.read(16):
                for array in (span.data, span.data_view("i4"), *span.parts):
                    with pytest.raises(ValueError, match="read-only"):
                        array[0] = 1

    def test_a_span_that_was_released_gives_nothing_more(self, ring):
        write(ring, 2)
        for sequence in ring.read():
            reading = sequence.read(16)
            first = next(reading)
            next(reading)
            with pytest.raises(ClosedError, match="over"):
                _ = first.data
            reading.close()

    @pytest.mark.parametrize("space", ["system", "shared"])
    def test_views_outlive_their_ring(self, space):
        ring = labdaq.Ring(space=space)
        ring.resize(4096, 8192)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            with sequence.reserve(4096) as span:
                view = span.data
                view[:] = 3
        ring.close()
        del ring, writer, sequence, span
        view[:] += 1
        assert view.sum() == 4 * 4096
