"""Rings that are recorded: every frame with its metadata, whatever the ring holds and whoever is slow."""

import json
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError, NotFoundError, ResourceError, StateError, WaitTimeoutError
from labdaq.native import faults
from labdaq.store import DataStore, kept_sequences, record

IDENTITY = {"name": "recorded", "number": 1, "data_policy": "none"}


@pytest.fixture(params=["memory", "embedded"])
def store(request, tmp_path):
    with DataStore("memory://" if request.param == "memory" else tmp_path / "lab") as store:
        yield store


@pytest.fixture
def scan(store):
    return store.create_scan(IDENTITY)


def wait_until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1e-3)


class TestEvents:
    def test_every_frame_with_its_metadata(self, scan, store):
        dtype = [("chA", "f4"), ("chB", "i2", (2,))]
        with labdaq.Ring("wf", dtype=dtype, shape=(5,), capacity=8, planes={"gate": "u1"}) as ring:
            with ring.writer() as writer:
                recording = scan.record(ring)
                scan.prepare()
                scan.start()
                for i in range(100):
                    event = np.zeros(5, dtype)
                    event["chA"], event["chB"] = i, -i
                    writer.put(event, counter=1000 + i, timestamp_ns=10 * i, deadtime=0.25)
                ring.end()
            assert recording.wait(timeout=20) == 100
        scan.stop()
        scan.close()
        streams = store.load_scan(scan.key).streams
        assert set(streams) == {
            f"wf.{n}" for n in ("chA", "chB", "index", "gate", "counter", "timestamp_ns", "deadtime")
        }
        assert np.array_equal(streams["wf.chA"][:], np.repeat(np.arange(100.0, dtype="f4"), 5).reshape(100, 5))
        assert streams["wf.chB"].shape == (5, 2)
        assert streams["wf.chB"][7].tolist() == [[-7, -7]] * 5
        assert streams["wf.counter"][:].tolist() == list(range(1000, 1100))
        assert streams["wf.timestamp_ns"][-1] == 990
        assert streams["wf.deadtime"][0] == 0.25
        assert streams["wf.index"][:].tolist() == list(range(100))

    def test_plain_frames_have_one_stream(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=4, metadata=False) as ring, ring.writer() as writer:
            recording = record(ring, scan, "numbers")
            writer.put(5)
            assert recording.stop() == 1
        assert {name: stream[:].tolist() for name, stream in scan.streams.items()} == {
            "numbers": [5],
            "numbers.index": [0],
        }

    def test_stop_keeps_what_is_in_the_ring(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=64) as ring, ring.writer() as writer:
            recording = record(ring, scan)
            for i in range(50):
                writer.put(i)
            assert recording.stop() == 50
            assert scan.streams["n"][:].tolist() == list(range(50))
            for i in range(200):  # nobody holds the writer any more
                writer.put(i, timeout=1)

    def test_writers_wait_for_it(self, scan):
        """A store that is slow costs time, and no frame."""

        def slow(_name):
            time.sleep(2e-4)

        faults.fail_files(slow)
        try:
            with labdaq.Ring("n", dtype="i8", capacity=2) as ring, ring.writer() as writer:
                recording = record(ring, scan)
                for i in range(100):
                    writer.put(i)
                ring.end()
                assert recording.wait(20) == 100
        finally:
            faults.fail_files(None)
        assert scan.streams["n.index"][:].tolist() == list(range(100))

    def test_without_a_guarantee_all_is_accounted_for(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=4) as ring, ring.writer() as writer:
            recording = record(ring, scan, guarantee=False)
            for i in range(2000):
                writer.put(i)
            ring.end()
            kept = recording.wait(20)
        assert kept + recording.nskipped == 2000
        assert scan.streams["n"][:].tolist() == scan.streams["n.index"][:].tolist()

    def test_what_was_gone_before_is_told(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=4) as ring, ring.writer() as writer:
            for i in range(10):
                writer.put(i)
            recording = record(ring, scan)
            assert recording.stop() == 4
            assert recording.nskipped == 6

    def test_a_name_for_two_things_is_refused(self, scan):
        with labdaq.Ring("n", dtype=[("index", "i8")], capacity=4) as ring, pytest.raises(LayoutError, match="index"):
            record(ring, scan)

    def test_an_error_ends_it_and_is_told(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=4) as ring, ring.writer() as writer:
            recording = record(ring, scan)
            writer.put(1)
            wait_until(lambda: recording.nframe == 1)
            scan.close()  # seals the streams
            writer.put(2)
            with pytest.raises(StateError, match="seal"):
                recording.wait(20)
            with pytest.raises(StateError):
                recording.stop()
            for i in range(20):  # and lets go of the ring
                writer.put(i, timeout=5)

    @pytest.mark.parametrize("guarantee", [True, False])
    def test_it_stops_while_the_ring_goes_on(self, scan, guarantee):
        go_on = threading.Event()
        with labdaq.Ring("n", dtype="i8", capacity=16) as ring:

            def write():
                with ring.writer() as writer:
                    while not go_on.wait(1e-4):
                        writer.put(1, timeout=5)

            thread = threading.Thread(target=write)
            recording = record(ring, scan, guarantee=guarantee)
            thread.start()
            wait_until(lambda: recording.nframe > 100)
            assert recording.stop(timeout=10) > 100
            go_on.set()
            thread.join()

    def test_batches_are_bounded_by_their_bytes(self, scan):
        with labdaq.Ring("n", dtype="f4", shape=(4000,), capacity=256) as ring, record(ring, scan) as recording:
            assert recording._batch == 2**20 // 16_000

    def test_waiting_has_an_end(self, scan):
        with labdaq.Ring("n", dtype="i8", capacity=4) as ring, record(ring, scan) as recording:
            with pytest.raises(WaitTimeoutError, match="still being recorded"):
                recording.wait(0.01)
            assert "on" in repr(recording)
        assert "ended" in repr(recording)


class TestSequences:
    def test_bytes_headers_and_frames(self, scan, store):
        with labdaq.Ring("adc") as ring:
            ring.resize(64, 640)
            recording = scan.record(ring)
            scan.prepare()
            with ring.begin_writing() as writer:
                for number in range(3):
                    tensor = {"dtype": "f4", "shape": [2]} if number else None
                    with writer.begin_sequence(
                        f"s{number}", time_tag=number, header={"gain": number}, tensor=tensor
                    ) as sequence:
                        for i in range(7):
                            with sequence.reserve(1) as span:
                                span.data[...] = i
            assert recording.stop() == 7 + 2 * 7 * 8
        kept = list(kept_sequences(store.load_scan(scan.key), "adc"))
        assert [(k.name, k.time_tag, k.header["gain"], k.truncated) for k in kept] == [
            (f"s{i}", i, i, False) for i in range(3)
        ]
        assert kept[0].data.tolist() == list(range(7))
        assert kept[2].data.dtype == np.float32
        assert kept[2].data.tolist() == [[i, i] for i in range(7)]

    def test_bytes_are_kept_before_a_gulp_is_full(self, scan):
        with labdaq.Ring("adc") as ring:
            ring.resize(1024, 8192)
            recording = record(ring, scan)
            with ring.begin_writing() as writer, writer.begin_sequence("open") as sequence:
                with sequence.reserve(5) as span:
                    span.data[...] = [1, 2, 3, 4, 5]
                wait_until(lambda: recording.nframe == 5)
                assert scan.streams["adc"][:].tolist() == [1, 2, 3, 4, 5]
                assert recording.stop() == 5
        (kept,) = kept_sequences(scan, "adc")
        assert kept.data.tolist() == [1, 2, 3, 4, 5]

    def test_a_stream_of_any_length_in_any_pieces(self, scan):
        rng = np.random.default_rng(3)
        sent = rng.integers(0, 256, 100_000, np.uint8)
        with labdaq.Ring("adc") as ring:
            ring.resize(4096, 16384)
            recording = record(ring, scan)

            def write():
                with ring.begin_writing() as writer, writer.begin_sequence("long") as sequence:
                    at = 0
                    while at < len(sent):
                        piece = sent[at : at + int(rng.integers(1, 4097))]
                        with sequence.reserve(len(piece)) as span:
                            span.data[...] = piece
                        at += len(piece)

            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            assert recording.stop() == len(sent)
        assert np.array_equal(scan.streams["adc"][:], sent)
        assert json.loads(json.dumps(scan.streams["adc.sequences"][0]))["end"] == len(sent)

    def test_it_stops_while_a_sequence_goes_on(self, scan):
        go_on = threading.Event()
        with labdaq.Ring("adc") as ring:
            ring.resize(64, 256)

            def write():
                with ring.begin_writing() as writer, writer.begin_sequence("endless") as sequence:
                    while not go_on.wait(1e-4):
                        with sequence.reserve(64, timeout=5) as span:
                            span.data[...] = 1

            recording = record(ring, scan)
            thread = threading.Thread(target=write)
            thread.start()
            wait_until(lambda: recording.nframe > 1000)
            kept = recording.stop(timeout=10)
            go_on.set()
            thread.join()
        assert scan.streams["adc"][:].tolist() == [1] * kept
        assert scan.streams["adc.sequences"][0]["end"] == kept
        (sequence,) = kept_sequences(scan, "adc")
        assert sequence.truncated  # it went on

    def test_without_a_guarantee_it_says_where_frames_are_missing(self, scan):
        numbers = np.arange(5000, dtype="u4")
        with labdaq.Ring("adc") as ring:
            ring.resize(64, 256)
            recording = record(ring, scan, guarantee=False)
            with ring.begin_writing() as writer, writer.begin_sequence("fast", tensor={"dtype": "u32"}) as sequence:
                for piece in np.split(numbers, 625):  # nobody waits for the recording
                    with sequence.reserve(8) as span:
                        span.data[...] = piece.reshape(span.data.shape)
            kept = recording.stop()
        assert kept + recording.nskipped == numbers.nbytes
        (sequence,) = kept_sequences(scan, "adc")
        assert not sequence.truncated
        assert sum(count for _index, count in sequence.gaps) == 5000 - len(sequence.data)
        expected, at = [], 0
        for index, count in (*sequence.gaps, (len(sequence.data), 0)):
            expected += list(range(at, at + index - len(expected)))
            at = (expected[-1] + 1 if expected else 0) + count
        assert sequence.data.reshape(-1).tolist() == expected

    def test_other_streams_are_no_sequences(self, scan):
        with pytest.raises(NotFoundError, match="no sequences"):
            list(kept_sequences(scan, "adc"))


def test_a_full_disk_is_an_error_and_what_was_kept_stays(tmp_path):
    with DataStore(tmp_path / "lab") as store:
        scan = store.create_scan(IDENTITY)
        with labdaq.Ring("n", dtype="i8", capacity=4) as ring, ring.writer() as writer:
            recording = record(ring, scan)
            writer.put(1)
            wait_until(lambda: recording.nframe == 1)

            def full(name):
                if name == "write":
                    raise OSError(28, "No space left on device")

            faults.fail_files(full)
            try:
                writer.put(2)
                with pytest.raises(ResourceError, match="No space"):
                    recording.wait(20)
            finally:
                faults.fail_files(None)
        assert scan.streams["n"][:].tolist() == [1]
        scan.close()
