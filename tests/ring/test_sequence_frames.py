"""Frames of sequences: tensors, planes, ringlets, and views of them."""

import numpy as np
import pytest

import labdaq
from labdaq.errors import (
    ClosedError,
    LayoutError,
    NotFoundError,
    SpanError,
)
from tests.ring.filling import write


@pytest.fixture
def ring():
    with labdaq.Ring("bytes") as ring:
        ring.resize(16, 80)
        yield ring


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
