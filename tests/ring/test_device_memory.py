"""Rings for GPUs: who has to wait waits, on streams of their own, and what is missing is said.

The device is one that does nothing before somebody waits for it, so a wait that is missing shows as wrong data.
"""

import threading

import numpy as np
import pytest

import labdaq
from labdaq.errors import ClosedError, LabdaqError, LayoutError, MissingExtraError, ResourceError
from labdaq.native import cuda
from labdaq.ring.fences import Fences, Uses
from labdaq.ring.spaces import SPACES
from labdaq.testing import run_threads
from labdaq.testing.late_device import LateDevice, LateStream

pytestmark = pytest.mark.usefixtures("late")
SPACE = ["late", "late_host"]


def on(stream, work, *arguments):
    with stream:
        return work(*arguments)


def read_back(span):
    return span.data.get().tolist()


def fill(ring, stream, value, size=4):
    """A span that is written on a stream, and committed while nothing of that is done yet."""
    with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
        with stream, sequence.reserve(size) as span:
            span.data[...] = value


def test_readers_wait_for_the_stream_of_the_writer():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 16)
        writing, reading = LateStream(), LateStream()
        fill(ring, writing, 7)
        for sequence in ring.read():
            for span in sequence.read(4):
                assert on(reading, read_back, span) == [7] * 4


def test_writers_wait_for_the_streams_of_all_readers():
    """Two groups copy frames away, late; the writer comes round and must not be quicker."""
    streams, kept = [LateStream(), LateStream()], [cuda_array(4), cuda_array(4)]
    with labdaq.Ring(space="late", dtype="i4", shape=(4,), capacity=1) as ring:
        readers = [ring.reader() for _ in streams]
        with ring.writer() as writer:
            writer.put([1, 2, 3, 4])
            for reader, stream, copy in zip(readers, streams, kept, strict=True):
                with stream:
                    copy[...] = reader.read(timeout=0).data
                    reader.release()
            with LateStream() as writing, writer.reserve(timeout=0) as event:
                event.data[...] = 9
            writing.synchronize()
            assert [on(s, c.get).tolist() for s, c in zip(streams, kept, strict=True)] == [[1, 2, 3, 4]] * 2


def there(values):
    return SPACES["late"].device.to_device(np.asarray(values, "u1"))


def cuda_array(n):
    return SPACES["late"].device.allocate(4 * n).view("i4")


def test_a_view_taken_in_another_stream_counts_for_that_stream():
    with labdaq.Ring(space="late", dtype="i4", capacity=1) as ring:
        reader, side = ring.reader(), LateStream()
        with ring.writer() as writer:
            with writer.reserve() as event:
                on(side, lambda: event.data.__setitem__(..., 5))
        assert int(reader.read().data.get()) == 5


def test_a_span_over_the_wrap_has_two_parts_and_is_copied_back():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 6)
        with ring.read() as reader, ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            reading = None
            for number in range(5):
                with LateStream(), sequence.reserve(4) as span:
                    assert len(span.parts) == (2 if number % 3 == 1 else 1)
                    span.data[...] = there(np.arange(4) + 10 * number)
                reading = reading or reader.next_sequence()
                with LateStream(), reading.acquire(4 * number, 4, timeout=5) as span:
                    assert span.data.get().tolist() == [10 * number + i for i in range(4)]


def test_what_is_copied_back_waits_for_the_stream_that_wrote_it():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 6)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(2):
                with sequence.reserve(4) as span:  # the second one wraps
                    span.data[...] = 9
                    on(LateStream(), lambda: span.data.__setitem__(..., number))  # noqa: B023
        with ring.read() as reader, LateStream(), reader.next_sequence().acquire(4, 4) as span:
            assert read_back(span) == [1] * 4


def test_what_was_put_may_be_changed_at_once():
    with labdaq.Ring(space="late", dtype="i4", shape=(2,), capacity=2) as ring:
        record = np.array([1, 2], "i4")
        with ring.writer() as writer:
            writer.put(record)
            record[:] = 0
        with ring.reader() as reader:
            assert reader.read().data.get().tolist() == [1, 2]


def test_what_was_voided_does_not_write_over_what_comes_next():
    with labdaq.Ring(space="late", dtype="i4", capacity=1) as ring:
        slow = LateStream()
        with ring.writer() as writer:
            event = writer.reserve()
            on(slow, lambda: event.data.__setitem__(..., 1))
            event.void()
            with LateStream(), writer.reserve(timeout=1) as event:
                event.data[...] = 2
            slow.synchronize()
        with ring.reader() as reader:
            assert int(reader.read(timeout=0).data.get()) == 2


def test_what_a_writer_left_open_is_waited_for():
    with labdaq.Ring(space="late", dtype="i4", capacity=2) as ring:
        slow, writer = LateStream(), ring.writer()
        event = writer.reserve()
        on(slow, lambda: event.data.__setitem__(..., 1))
        del event, writer  # never closed
        assert ring.recover() == 1
        with ring.writer() as writer:
            for value in (3, 4):
                with LateStream() as quick, writer.reserve(timeout=1) as event:
                    event.data[...] = value
                quick.synchronize()
        slow.synchronize()
        with ring.reader() as reader:
            assert [int(reader.read(timeout=0).data.get()) for _ in range(2)] == [3, 4]


def test_resizing_takes_along_what_is_still_being_written():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 8)
        fill(ring, LateStream(), 3)
        ring.resize(8, 32)
        with ring.read() as reader, LateStream():
            assert next(reader.next_sequence().read(4)).data.get().tolist() == [3] * 4


@pytest.mark.parametrize("space", SPACE)
def test_observers_get_copies_for_the_processor(space):
    with labdaq.Ring(space=space, dtype="i4", shape=(2,), capacity=4) as ring, ring.observer() as observer:
        with LateStream(), ring.writer() as writer:
            with writer.reserve() as event:
                event.data[...] = 6
        seen = observer.read(timeout=0)
        assert type(seen.data) is np.ndarray
        assert seen.data.tolist() == [6, 6]
    assert seen.data.tolist() == [6, 6]


def test_an_observer_that_looks_at_a_slot_being_written_takes_no_wait_from_readers():
    with labdaq.Ring(space="late", dtype="i4", capacity=1) as ring, ring.observer(copy=False) as observer:
        reader = ring.reader()
        with ring.writer() as writer:
            writer.put(1)
            old = observer.read(timeout=0)
            reader.read(timeout=0)
            reader.release()
            with LateStream(), writer.reserve(timeout=1) as event:
                view = event.data
                with LateStream():
                    _ = old.data
                view[...] = 2
        assert on(LateStream(), lambda: int(reader.read(timeout=0).data.get())) == 2


def test_what_is_handed_over_is_at_no_moment_unknown():
    """Somebody comes for the slot just while the event of its last user is recorded."""
    seen = []

    def read():
        with LateStream():
            reading.begin(0, 1, writing=False, on_host=False)
            seen.append(int(memory.get()[0]))

    other = threading.Thread(target=read)

    class Device(LateDevice):
        def record(self, stream):
            other.start()
            other.join(0.1)  # it has to wait for the end of this
            return super().record(stream)

    fences = Fences(device := Device(), on_host=False)
    writing, reading = Uses(fences, 1), Uses(fences, 1)
    memory = device.allocate(1)
    with LateStream():
        writing.begin(0, 1, writing=True, on_host=False)
        memory[...] = 7
        writing.end(0, 1)
    other.join()
    assert seen == [7]


def test_what_is_valid_has_been_read():
    """A stream that reads only after the question would read what is written next."""
    with labdaq.Ring(space="late", dtype="i4", capacity=1) as ring, ring.observer(copy=False) as observer:
        kept, reading = cuda_array(1), LateStream()
        with LateStream() as writing, ring.writer() as writer:
            writer.put(1)
            with reading:
                event = observer.read(timeout=0)
                kept[...] = event.data
                assert event.valid()
            writer.put(2)
            writing.synchronize()
            assert not event.valid()
        assert on(reading, kept.get).tolist() == [1]


def test_frames_that_are_not_overwritten_have_been_read():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 4)
        kept, writing, reading = SPACES["late"].device.allocate(4), LateStream(), LateStream()
        fill(ring, writing, 1)
        with ring.read(guarantee=False, copy=False) as reader:
            with reading:
                spans = reader.next_sequence().read(4)
                span = next(spans)
                kept[...] = span.data
                assert span.nframe_overwritten == 0
            fill(ring, writing, 2)
            writing.synchronize()
            assert span.nframe_overwritten == 4
            spans.close()
        assert on(reading, kept.get).tolist() == [1] * 4


def test_ringlets_are_lanes_of_the_device():
    with labdaq.Ring(space="late") as ring:
        ring.resize(4, 8, nringlet=2)
        with ring.begin_writing() as writer, writer.begin_sequence() as sequence, sequence.reserve(4) as span:
            span.data[...] = there([[1], [2]])
        with ring.read() as reader, LateStream():
            assert next(reader.next_sequence().read(4)).data.get().tolist() == [[1] * 4, [2] * 4]


def test_parts_of_complex_integers_are_a_last_axis():
    tensor = {"dtype": "ci8", "shape": (3,)}
    with labdaq.Ring(space="late") as ring:
        ring.resize(12, 24)
        with ring.begin_writing() as writer, writer.begin_sequence(tensor=tensor) as sequence:
            with sequence.reserve(2) as span:
                assert (span.data.shape, span.data.dtype) == ((2, 3, 2), np.int8)
                assert span.data_view(np.int16).shape == (6,)


# ---------------------------------------------------------------------------------------- copies


def produced(ring, count):
    """Events with metadata of their own."""
    with ring.writer() as writer:
        for number in range(count):
            writer.put(np.full(3, number, "i4"), counter=10 + number, timestamp_ns=number, deadtime=0.5)
    ring.end()


@pytest.mark.parametrize(
    "spaces", [("system", "late"), ("late_host", "late"), ("late", "late_host"), ("late", "system")]
)
def test_copies_take_everything_along_and_nobody_waits_in_vain(spaces):
    one, other = (labdaq.Ring(space=space, dtype="i4", shape=(3,), capacity=5) for space in spaces)
    with one, other:
        source, reader, seen = one.group("copy"), other.reader(), []

        def look():
            seen.extend((e.counter, e.timestamp_ns, e.deadtime, *host(e.data).tolist()) for e in reader)

        run_threads(lambda: produced(one, 40), lambda: labdaq.copy(one, other, gulp=3, group=source.name), look)
    assert seen == [(10 + n, n, 0.5, n, n, n) for n in range(40)]


def host(array):
    return array.get() if hasattr(array, "get") else array


@pytest.mark.parametrize("spaces", [("system", "late"), ("late", "late_host"), ("late_host", "system")])
def test_ringlets_are_copied_lane_by_lane(spaces):
    with labdaq.Ring(space=spaces[0]) as one, labdaq.Ring(space=spaces[1]) as other:
        one.resize(4, 8, nringlet=2)
        with one.begin_writing() as writer, writer.begin_sequence() as sequence:
            for number in range(2):
                with sequence.reserve(3) as span:
                    values = np.array([[number], [10 + number]], "u1")
                    span.data[...] = there(values) if spaces[0] == "late" else values
        assert labdaq.copy(one, other) == 6
        with other.read() as reader:
            found = [host(span.data).tolist() for span in reader.next_sequence().read(3)]
        assert found == [[[number] * 3, [10 + number] * 3] for number in range(2)]


@pytest.mark.parametrize("spaces", [("late_host", "late"), ("late", "late_host"), ("system", "system")])
def test_copies_of_sequences_keep_their_setup(spaces):
    with labdaq.Ring(space=spaces[0]) as one, labdaq.Ring(space=spaces[1]) as other:
        one.resize(8, 24)
        other.resize(8, 20)  # wraps elsewhere
        with one.read() as reader:  # holds the frames until they are copied
            with one.begin_writing() as writer:
                with writer.begin_sequence("a", 5, {"gain": 2}, tensor={"dtype": "int16"}, planes={"ok": "u1"}) as out:
                    for number in range(5):
                        with out.reserve(2) as span:
                            span.data[...] = number
                            span.planes["ok"][...] = number
            assert labdaq.copy(one, other, gulp=6) == 20
            del reader
        for sequence in other.read():
            assert (sequence.name, sequence.time_tag, sequence.header["gain"]) == ("a", 5, 2)
            found = [(host(s.data).tolist(), s.planes["ok"].tolist()) for s in sequence.read(1)]
        assert found == [([n], [n]) for n in range(5) for _ in range(2)]


def test_only_like_goes_to_like():
    with labdaq.Ring(dtype="i4", capacity=2) as one, labdaq.Ring(dtype="f4", capacity=2) as other:
        with pytest.raises(LayoutError, match=r"int32 .* float32"):
            labdaq.copy(one, other)


@pytest.mark.parametrize("is_over", [False, True])
def test_sequences_of_a_dtype_are_refused_and_not_lost(is_over):
    with labdaq.Ring(dtype="i4", capacity=4) as one, labdaq.Ring(dtype="i4", capacity=4) as other:
        with one.begin_writing() as writer, writer.begin_sequence("a", header={"gain": 2}) as out:
            with out.reserve(3) as span:
                span.data[...] = 1
            if is_over:
                writer.close()
            with pytest.raises(LayoutError, match="in sequences, such as 'a'"):
                labdaq.copy(one, other)


def test_events_behind_sequences_are_copied():
    with labdaq.Ring(dtype="i4", capacity=2) as one, labdaq.Ring(dtype="i4", capacity=2) as other:
        with one.begin_writing() as writer, writer.begin_sequence() as out, out.reserve(2) as span:
            span.data[...] = 1
        with one.writer() as writer:  # over the frames of the sequence
            writer.put(5)
            writer.put(6)
        one.end()
        assert labdaq.copy(one, other) == 2


@pytest.mark.parametrize("spans", [(8, 8), (32, 8), (8, 32)])
def test_by_default_no_more_is_copied_at_once_than_fits(spans):
    with labdaq.Ring() as one, labdaq.Ring() as other:
        one.resize(spans[0], 4096)
        other.resize(spans[1], 4096)
        fill(one, LateStream(), 3, size=8)
        assert labdaq.copy(one, other) == 8


# ------------------------------------------------------------------------------------- what is not


def test_records_have_no_place_on_a_device():
    with pytest.raises(LayoutError, match="plain numbers"):
        labdaq.Ring(space="late", dtype=[("re", "i1"), ("im", "i1")], capacity=2)


def test_such_a_ring_stays_in_its_process():
    with labdaq.Ring(space="late", dtype="i4", capacity=2) as ring, pytest.raises(LayoutError, match="shared"):
        ring.__reduce__()
    with pytest.raises(ClosedError):
        ring.reader()


def test_without_cupy_or_driver_it_is_said_what_to_install():
    """With a GPU there is nothing to say."""
    try:
        labdaq.Ring(space="cuda", dtype="f4", capacity=2).close()
    except LabdaqError as error:
        assert isinstance(error, MissingExtraError | ResourceError)  # noqa: PT017
        assert "CuPy" in str(error)  # noqa: PT017


def test_without_cupy_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[cuda\]"):
        cuda.CupyDevice()
