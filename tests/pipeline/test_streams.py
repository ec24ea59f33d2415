"""Streams as sources and sinks of pipelines; recorded in scans, and scans followed as streams."""

import contextlib
import threading

import numpy as np
import pytest

from labdaq import DataStore, InputStream, OutputStream
from labdaq.errors import EndOfDataError, LayoutError, NotFoundError, StateError
from labdaq.pipeline import Pipeline, RunState, follow_scan, publish, record_stream, subscribe
from labdaq.ring import Ring
from labdaq.store import NumericStreamEncoder
from tests.pipeline.making import Seen, values

SAMPLES = {"protocol": "inproc", "dtype": "f8", "shape": (-1, 4), "sample_rate": 1e6, "units": "mV"}


def rows(first, count):
    return np.repeat(np.arange(first, first + count, dtype=float)[:, None], 4, axis=1)


def test_samples_become_events_and_gaps_are_lost_by_the_device():
    with OutputStream().configure(**SAMPLES) as out, InputStream().connect(out) as inp:
        with Pipeline("stream", store=None) as daq:
            raw, seen = daq.ring("raw", "f8", (4,), 16), Seen()
            daq.source(inp, raw, name="signals")
            daq.sink(seen, raw)
            assert raw.header == {"unit": "mV", "sample_interval_ns": 1000.0}
            out.send(rows(0, 30), timestamp_ns=1_000_000)
            out.send(rows(50, 10), 60)
            out.close()
            result = daq.run()
    assert result.ledger.is_closed
    assert seen.counters == [*range(30), *range(50, 60)]
    assert seen.values == seen.counters
    assert result.ledger["signals"].device_losses["samples missed by the stream"] == 20


def test_pieces_become_events_and_times_follow():
    stamps = []
    with OutputStream().configure(**SAMPLES) as out, InputStream().connect(out) as inp:
        with Pipeline("stream", store=None) as daq:
            raw = daq.ring("raw", "f8", (8, 4), 16)
            daq.source(inp, raw, name="signals")
            daq.sink(lambda event: stamps.append((event.counter, event.timestamp_ns, event.data[:, 0].tolist())), raw)
            out.send(rows(0, 20), timestamp_ns=1_000_000)
            out.send(rows(30, 8), 38, timestamp_ns=2_000_000)
            out.close()
            result = daq.run()
    assert [(counter, data) for counter, _stamp, data in stamps] == [(n, list(range(n, n + 8))) for n in (0, 8, 30)]
    assert stamps[1][1] - stamps[0][1] == 8000
    losses = {"samples missed by the stream": 10, "samples before a gap": 4}
    assert result.ledger["signals"].device_losses == losses


def test_a_sender_that_begins_anew_goes_on_with_the_numbers():
    with Pipeline("stream", store=None) as daq, OutputStream() as out, InputStream() as inp:
        inp.connect(out.configure(**{**SAMPLES, "protocol": "tcp"}))
        port = int(out.address.rpartition(":")[2])
        source = daq.source(inp, daq.ring("raw", "f8", (4,), 64))
        source.open()
        out.send(rows(0, 5))
        assert counters_of(source) == list(range(5))
        out.configure(**{**SAMPLES, "protocol": "tcp"}, port=port)
        thread = threading.Thread(target=lambda: (out.wait_for_readers(1, 30), out.send(rows(0, 3))))
        thread.start()
        assert counters_of(source) == [5, 6, 7]
        thread.join()


def counters_of(source):
    """Of the next events of a source."""
    batch, count = Batch(10), 0
    while not count:
        with contextlib.suppress(EndOfDataError):  # said until the sender is there again
            count = source.acquire_batch(batch)
    return batch.planes["counter"][:count].tolist()


class Batch:
    """Room for events."""

    def __init__(self, count):
        self.data = np.zeros((count, 4))
        self.planes = {"counter": np.zeros(count, "i8"), "timestamp_ns": np.zeros(count, "i8")}

    def __len__(self):
        return len(self.data)


def test_what_a_stream_carries_must_fit():
    with OutputStream().configure(**SAMPLES) as out, InputStream() as inp, Pipeline("stream", store=None) as daq:
        raw, other = daq.ring("raw", "f4", (4,), 16), daq.ring("other", "f8", (5,), 16)
        with pytest.raises(StateError, match="connect"):
            daq.source(inp, raw)
        inp.connect(out)
        for ring in (raw, other):
            with pytest.raises(LayoutError, match="declare it so"):
                daq.source(inp, ring)
            with pytest.raises(LayoutError, match="configure the stream so"):
                daq.sink(out, ring)


def test_events_go_out_as_samples():
    with OutputStream() as out, Pipeline("stream", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 16)
        daq.source(values(50), raw)
        daq.sink(out, raw)
        with InputStream().connect(out) as inp:
            result = daq.run()
            received = []
            while len(received) < 50:
                received += inp.recv(30)[1][:, 0].tolist()
            assert received == list(range(50))
            assert out.is_open
        assert (result.state, result.ledger.is_closed) == (RunState.ENDED, True)


@pytest.mark.parametrize("dtype", ["f4", [("time", "M8[us]"), ("value", "i4", (2,))]])
def test_a_recorded_stream_comes_back_as_it_was(dtype):
    with DataStore("memory://") as store:
        scan = store.create_scan({"name": "eeg", "number": 1, "data_policy": "none"})
        sent = np.zeros((7, 2), dtype)
        if sent.dtype.names:
            sent["value"] = np.arange(28).reshape(7, 2, 2)
        else:
            sent[:] = np.arange(14).reshape(7, 2)
        parameters = {"dtype": dtype, "shape": (-1, 2), "units": "uV", "sample_rate": 250.0}
        out = OutputStream().configure(protocol="inproc", **parameters)
        with out, InputStream().connect(out) as inp, record_stream(inp, scan, "eeg") as recording:
            scan.prepare()
            scan.start()
            out.send(sent[:3], timestamp_ns=1000)
            out.send(sent[3:], 17, timestamp_ns=2000)
            out.close()
            assert recording.wait(30) == 7
            assert recording.missed == 10
        scan.stop()
        scan.close()
        with follow_scan(scan, "eeg", protocol="inproc") as sender, InputStream().connect(sender.address) as inp:
            assert (inp.parameters.units, inp.parameters.sample_rate) == ("uV", 250.0)
            chunks = [(*inp.recv(30), inp.last.timestamp_ns, inp.missed_before) for _ in range(2)]
            with pytest.raises(EndOfDataError):
                inp.recv(30)
            assert sender.wait(30) == 7
        assert [(index, stamp, missed) for index, _data, stamp, missed in chunks] == [(3, 1000, 0), (17, 2000, 10)]
        np.testing.assert_array_equal(np.concatenate([data for _i, data, _s, _m in chunks]), sent)
        with pytest.raises(NotFoundError, match=r"eeg\.chunks"):
            follow_scan(scan, "emg")


def test_a_scan_is_followed_while_it_grows():
    with DataStore("memory://") as store:
        scan = store.create_scan({"name": "scan", "number": 1, "data_policy": "none"})
        heights = scan.create_stream("heights", NumericStreamEncoder("i4", (2,)))
        scan.prepare()
        scan.start()
        with follow_scan(scan, "heights", protocol="inproc") as sender, InputStream().connect(sender.address) as inp:
            heights.send(np.arange(6, dtype="i4").reshape(3, 2))
            assert inp.recv(30)[0] == 3
            heights.send(np.arange(2, dtype="i4"))
            assert (inp.recv(30)[1] == [[0, 1]]).all()
            scan.stop()
            with pytest.raises(EndOfDataError):
                inp.recv(30)
        scan.close()


def test_rings_of_pipelines_are_published_and_subscribed_to():
    with Pipeline("stream", store=None) as daq, Ring("there", dtype="f8", shape=(4,), capacity=64) as there:
        raw = daq.ring("raw", "f8", (4,), 64)
        go = threading.Event()
        daq.source(lambda: (record for record in values(20)() if go.wait(30)), raw)
        daq.drain(raw)
        with pytest.raises(StateError, match="first run"):
            publish(raw)
        daq.start()
        group = there.group("all")
        with publish(raw, protocol="inproc") as sender, subscribe(sender.address, there) as subscriber:
            go.set()
            daq.wait()
            sender.wait(30)
            sender.close()
            subscriber.wait(30)
        assert [float(event.data[0]) for event in group.reader()] == list(range(20))
