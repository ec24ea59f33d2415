"""Rings, arrays, and numbers of few bits, as Bifrost's own tests have them."""

import json
import threading

import numpy as np
import pytest

from labdaq.compat import bifrost
from labdaq.compat.bifrost.ring import EndOfDataStop, Ring
from labdaq.errors import LayoutError, SpanError


@pytest.fixture
def ring():
    made = Ring(name="here")
    yield made
    made.close()


def write(ring, sequences=1, spans=3, size=16):
    ring.resize(size, 64 * size)
    with ring.begin_writing() as writer:
        for number in range(sequences):
            with writer.begin_sequence(f"s{number}", 100 * number, json.dumps({"number": number})) as sequence:
                for i in range(spans):
                    with sequence.reserve(size) as span:
                        span.data[...] = 10 * number + i


class TestRing:
    def test_sequences_and_spans_in_bytes(self, ring):
        write(ring, 2)
        found = []
        for sequence in ring.read(whence="earliest"):
            assert isinstance(sequence.header, np.ndarray)
            assert sequence.header_size == len(sequence.header.tobytes())
            spans = [(s.offset, s.size, s.data_view("i16", -1).shape, int(s.data[0, 0])) for s in sequence.read(16)]
            found.append((sequence.name, sequence.time_tag, json.loads(sequence.header.tobytes())["number"], spans))
        assert found == [
            (b"s0", 0, 0, [(0, 16, (1, 8), 0), (16, 16, (1, 8), 1), (32, 16, (1, 8), 2)]),
            (b"s1", 100, 1, [(0, 16, (1, 8), 10), (16, 16, (1, 8), 11), (32, 16, (1, 8), 12)]),
        ]

    def test_what_was_not_said(self, ring):
        ring.resize(16)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            assert (sequence.name, sequence.time_tag, sequence.nringlet) == (b"", 18446744073709551615, 1)
            assert not ring.writing_ended()
        assert ring.writing_ended()
        assert (ring.name, ring.space, ring.core) == (b"here", "system", -1)

    def test_sequences_by_name_time_and_place(self, ring):
        write(ring, 3)
        assert ring.open_sequence("s1").time_tag == ring.open_sequence(b"s1").time_tag == 100
        assert ring.open_sequence_at(150).name == b"s1"
        assert ring.open_latest_sequence().name == b"s2"
        with ring.open_earliest_sequence() as sequence:
            sequence.increment()
            assert sequence.name == b"s1"
            with sequence.acquire(16, 16) as span:
                assert span.data.tolist() == [[11] * 16]
                assert span.size_overwritten == 0
            sequence.increment()
            with pytest.raises(EndOfDataStop):
                sequence.increment()

    def test_overlapping_spans(self, ring):
        write(ring)
        ring.resize(32)
        for sequence in ring.read():
            assert [s.offset for s in sequence.read(32, stride=16)][:2] == [0, 16]

    def test_capacity_is_a_power_of_two(self, ring):
        ring.resize(4096, 5 * 4096)
        assert ring.engine.capacity == 8 * 4096

    def test_short_commits(self, ring):
        ring.resize(16)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            with sequence.reserve(16) as span:
                span.commit(5)
            with pytest.raises(ZeroDivisionError), sequence.reserve(16):
                _ = 1 / 0
        assert [span.size for sequence in ring.read() for span in sequence.read(16)] == [5]

    def test_ringlets(self, ring):
        ring.resize(16, 64, nringlet=3)
        with ring.begin_writing() as writer:
            with pytest.raises(LayoutError, match="ringlets"):
                writer.begin_sequence(nringlet=4)
            with writer.begin_sequence(nringlet=3) as sequence, sequence.reserve(16) as span:
                span.data[...] = np.arange(3)[:, None]
                assert (span.nringlet, span.data.shape) == (3, (3, 16))
        for sequence in ring.read():
            for span in sequence.read(16):
                assert span.data[:, 0].tolist() == [0, 1, 2]

    def test_frames_of_a_capture_are_whole(self, ring):
        with ring.engine.begin_writing() as writer:
            ring.resize(64)
            with writer.begin_sequence(tensor={"dtype": "ci8", "shape": (4,)}) as sequence:
                with sequence.reserve(2) as span:
                    span.data["re"] = 1
        with ring.open_earliest_sequence() as sequence:
            with pytest.raises(SpanError, match="whole"):
                next(sequence.read(9))
            for span in sequence.read(16):
                assert span.data_view("ci8", (2, 4))["re"].tolist() == [[1] * 4] * 2

    def test_a_reader_in_another_thread_sees_all(self, ring):
        ring.resize(64, 256)
        found, is_reading = [], threading.Event()

        def read():
            for sequence in ring.read(guarantee=True):
                is_reading.set()
                found.extend(int(span.data[0, 0]) for span in sequence.read(64))

        thread = threading.Thread(target=read)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            thread.start()
            with sequence.reserve(64) as span:
                span.data[...] = 0
            assert is_reading.wait(20)
            for i in range(1, 100):
                with sequence.reserve(64) as span:
                    span.data[...] = i
        thread.join()
        assert found == list(range(100))


class TestArrays:
    def test_from_numbers_and_from_shapes(self):
        array = bifrost.ndarray(np.arange(4, dtype=np.complex64))
        assert (str(array.bf.dtype), array.bf.space, array.bf.native) == ("cf32", "system", True)
        made = bifrost.ndarray(shape=(2, 3), dtype="ci8")
        assert made.tolist() == [[(0, 0)] * 3] * 2
        assert isinstance(made.reshape(3, 2).transpose(1, 0).copy(), bifrost.ndarray)
        assert bifrost.zeros((2,), "ci4").dtype == [("re_im", "u1")]
        assert bifrost.empty((2,), "f64").dtype == np.float64
        assert bifrost.asarray(np.zeros(3)).bf.dtype == "f64"
        assert str(bifrost.ndarray([1 + 2j, 3], dtype="ci16").bf.dtype) == "ci16"

    def test_conversion_of_complex_integers(self):
        array = bifrost.ndarray([1 + 2j, -3], dtype="ci8")
        assert array.tolist() == [(1, 2), (-3, 0)]
        assert array.astype("cf32").tolist() == [1 + 2j, -3]
        assert array.astype("ci16").dtype == [("re", "i2"), ("im", "i2")]
        with pytest.raises(LayoutError, match="unpack"):
            bifrost.zeros((2,), "ci4").astype("ci8")

    @pytest.mark.parametrize("dtype", ["i4", "ci9", "x", object()])
    def test_types_that_there_are_not(self, dtype):
        with pytest.raises(LayoutError):
            bifrost.ndarray(shape=(2,), dtype=dtype)

    def test_other_memories(self):
        for make in (
            lambda: bifrost.ndarray([1], space="cuda"),
            lambda: bifrost.ndarray([1]).copy(space="cuda"),
            lambda: bifrost.ndarray([1], shape=(1,)),
        ):
            with pytest.raises(LayoutError):
                make()


class TestFewBits:
    @pytest.mark.parametrize("dtype", ["ci8", "ci16", "ci32"])
    def test_bifrosts_table(self, dtype):
        numbers = bifrost.ndarray(
            [[0.4 + 0.5j, 1.4 + 1.5j], [2.4 + 2.5j, 3.4 + 3.5j], [4.4 + 4.5j, 5.4 + 5.5j]], dtype="cf32"
        )
        out = bifrost.ndarray(shape=numbers.shape, dtype=dtype)
        assert bifrost.quantize(numbers, out) is out
        assert out.tolist() == [[(0, 0), (1, 2)], [(2, 2), (3, 4)], [(4, 4), (5, 6)]]

    def test_four_bits_are_rounded_and_clipped_and_come_back(self):
        numbers = np.array([1.6 - 1.6j, 130 - 130j, 3 + 1j, -2 + 5j], np.complex64)
        few = bifrost.quantize(numbers, bifrost.ndarray(shape=(4,), dtype="ci4"))
        for kind in ("cf32", "cf64"):
            assert bifrost.unpack(few, bifrost.ndarray(shape=(4,), dtype=kind)).tolist() == [
                2 - 2j,
                7 - 7j,
                3 + 1j,
                -2 + 5j,
            ]
        eight = bifrost.unpack(few, bifrost.ndarray(shape=(4,), dtype="ci8"), align_msb=True)
        assert eight.tolist() == [(32, -32), (112, -112), (48, 16), (-32, 80)]

    def test_real_numbers(self):
        assert bifrost.quantize(np.array([-3.0, 300]), bifrost.ndarray(shape=(2,), dtype="u8")).tolist() == [0, 255]

    def test_what_does_not_fit(self):
        with pytest.raises(LayoutError, match="shapes"):
            bifrost.quantize(np.zeros(3), bifrost.ndarray(shape=(3,), dtype="ci8"))
        with pytest.raises(LayoutError, match="ci4 into"):
            bifrost.unpack(np.zeros(3), bifrost.ndarray(shape=(3,), dtype="ci8"))
