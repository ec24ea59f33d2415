"""How memory is divided; and rings whose memory cannot be mapped twice, where spans wrap."""

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError
from labdaq.native.mapping import PAGE
from labdaq.ring.layout import Layout, checked_dtype, checked_plane_name, checked_shape
from labdaq.ring.spaces import SPACES

FRAMES = [("u1", ()), ("f8", (3, 5)), ([("a", "<f4", (2,)), ("b", ">i2"), ("c", "S7")], (4,)), ("i1", (4097,))]


@pytest.mark.parametrize(("dtype", "shape"), FRAMES)
@pytest.mark.parametrize("can_mirror", [True, False])
def test_a_layout_survives_as_text(dtype, shape, can_mirror):
    planes = {"counter": (np.dtype("<i8"), (), 100), ".flags": (np.dtype("u1"), (), 100)}
    layout = Layout.plan(100, 10, (np.dtype(dtype), shape), planes, can_mirror=can_mirror)
    read = Layout.from_text(layout.to_text())
    assert read == layout
    assert read.by_name["data"].dtype == np.dtype(dtype)
    assert list(read.by_name) == ["data", "counter", ".flags"]


@pytest.mark.parametrize(("dtype", "shape"), FRAMES)
@pytest.mark.parametrize("capacity", [1, 3, 1000])
def test_stretches_are_pages_that_do_not_overlap_and_hold_all_frames(dtype, shape, capacity):
    layout = Layout.plan(capacity, 1, (np.dtype(dtype), shape), {"plane": (np.dtype("f8"), (3,), capacity)}, nringlet=3)
    end = 0
    for plane in layout.planes:
        assert (plane.offset, plane.nbytes % PAGE) == (end, 0)
        assert plane.slots >= capacity
        assert plane.nbytes // plane.lanes >= plane.slots * plane.frame_nbytes
        assert not plane.is_mirrored or plane.slots * plane.frame_nbytes % PAGE == 0
        end += plane.nbytes
    assert layout.nbytes == end


def test_what_would_waste_much_memory_is_not_mirrored():
    nbytes = 3 * (1 << 20) + 1
    assert not Layout.plan(10, 1, (np.dtype("u1"), (nbytes,)), {}).planes[0].is_mirrored


@pytest.mark.parametrize("wrong", ["O", [("a", "O")], "S0", "V", "none such", "02f8", "(,)f4"])
def test_dtypes_without_plain_values_are_refused(wrong):
    with pytest.raises(LayoutError):
        checked_dtype(wrong)


@pytest.mark.parametrize("wrong", [0, -1, (2, 0), (1.5,)])
def test_shapes_are_positive(wrong):
    with pytest.raises(LayoutError, match="at least 1"):
        checked_shape(wrong)


def test_names_of_the_engine_are_not_for_users():
    assert checked_plane_name("present") == "present"
    for wrong in ("data", ".flags", "", None):
        with pytest.raises(LayoutError):
            checked_plane_name(wrong)


class TestWithoutMirror:
    """Everything that a wrap could break."""

    @pytest.fixture(autouse=True)
    def _plain_memory(self, monkeypatch):
        for space in SPACES.values():
            monkeypatch.setattr(space, "can_mirror", False)

    @pytest.mark.parametrize("nringlet", [1, 3])
    @pytest.mark.parametrize("guarantee", [True, False])
    def test_data_is_whole_where_a_span_wraps(self, nringlet, guarantee):
        shape = (nringlet, -1) if nringlet > 1 else (-1,)
        with labdaq.Ring() as ring:
            ring.resize(5, 10, nringlet)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                for number in range(9):
                    with sequence.reserve(4) as span:
                        span.data[...] = np.arange(4 * nringlet).reshape(shape) + number * 10
                        span.data[..., -1] += 1  # the same array again
            found, parts = [], []
            for reading in ring.read(guarantee=guarantee):
                for span in reading.read(5):
                    found.append(span.data.copy())
                    parts.append(len(span.parts))
            whole = np.concatenate([np.arange(4 * nringlet).reshape(shape) + n * 10 for n in range(9)], axis=-1)
            whole[..., 3::4] += 1
            assert np.array_equal(np.concatenate(found, axis=-1), whole[..., -10:])
            assert max(parts) == 2

    def test_parts_are_ring_memory(self):
        with labdaq.Ring() as ring:
            ring.resize(6, 10)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                for _ in range(2):
                    with sequence.reserve(6) as span:
                        for part in span.parts:
                            part[:] = range(1, len(part) + 1)
            assert [s.data.tolist() for q in ring.read() for s in q.read(6)] == [[3, 4, 5, 6, 1, 2], [3, 4, 1, 2]]

    def test_planes_and_tensors_wrap(self):
        with labdaq.Ring() as ring:
            ring.resize(3 * 12, 7 * 12)
            tensor = {"dtype": "float32", "shape": (3,)}
            with ring.begin_writing() as writer:
                with writer.begin_sequence(tensor=tensor, planes={"row": ("i2", (2,))}) as sequence:
                    for first in range(0, 60, 3):
                        with sequence.reserve(3) as span:
                            span.data[:, 1] = span.planes["row"][:, 0] = range(first, first + 3)
            found = [(s.data[:, 1].tolist(), s.planes["row"][:, 0].tolist()) for q in ring.read() for s in q.read(3)]
            assert found == [([53, 54, 55],) * 2, ([56, 57, 58],) * 2, ([59],) * 2]

    def test_batches_of_events_wrap(self):
        with labdaq.Ring(dtype="i8", capacity=12) as ring, ring.reader() as reader, ring.observer() as observer:
            with ring.writer() as writer:
                batches = reader.spans(5)
                for first in range(0, 50, 5):
                    with writer.reserve(5) as span:
                        span.data[:] = range(first, first + 5)
                        span.planes["counter"][:] = range(100 + first, 105 + first)
                    batch = next(batches)
                    assert batch.data.tolist() == list(range(first, first + 5))
                    assert batch.planes["counter"].tolist() == list(range(100 + first, 105 + first))
                    seen = [observer.read(timeout=0) for _ in range(5)]
                    assert [(int(e.data), e.counter) for e in seen] == [(n, n + 100) for n in range(first, first + 5)]
            batches.close()

    def test_a_voided_span_that_wraps_is_seen_by_nobody_nor_is_what_lay_under_it(self):
        with labdaq.Ring() as ring:
            ring.resize(4, 6)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                with sequence.reserve(4) as span:
                    span.data[:] = 1
                span = sequence.reserve(4)
                span.data[:] = 9
                span.void()
                with sequence.reserve(2) as span:
                    span.data[:] = 2
            assert [s.data.tolist() for q in ring.read() for s in q.read(4)] == [[1, 1, 2, 2]]

    def test_resizing_keeps_what_wrapped(self):
        with labdaq.Ring(space="shared") as ring:
            ring.resize(4, 10)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
                for number in range(9):
                    with sequence.reserve(4) as span:
                        span.data[:] = number
            ring.resize(5, 23)
            assert [s.data.tolist() for q in ring.read() for s in q.read(5)] == [[6, 6, 7, 7, 7], [7, 8, 8, 8, 8]]
