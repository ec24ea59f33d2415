"""Recordings: all samples, and where they belong."""

import numpy as np
import pytest

from labdaq.errors import DataError, NotFoundError, ResourceError, StateError
from labdaq.files.xdf import read_xdf
from labdaq.stream import OutputStream, RawRecorder, export_xdf, open_recording
from tests.stream.victims import process, until


def test_gaps_lives_and_times_are_marked(tmp_path):
    settings = {"protocol": "inproc", "dtype": "i2", "sample_rate": 1000.0, "scale": 0.5, "units": "mV"}
    with OutputStream().configure(**settings) as out, OutputStream().configure(protocol="inproc", dtype="?") as lines:
        with RawRecorder() as node:
            node.configure(folder=tmp_path / "run", streams={"signals": out, "lines": lines})
            node.initialize()
            node.start()
            lines.send(np.array([[True, False]]))
            out.send(np.arange(4, dtype="i2"), timestamp_ns=10**18)
            out.send(np.arange(4, 6, dtype="i2"))
            out.send(np.arange(9, 12, dtype="i2"), index=12)
            out.drain(30)
            out.restart()
            out.send(np.arange(20, 23, dtype="i2"))
            out.drain(30)
            lines.drain(30)
    recording = open_recording(tmp_path / "run" / "signals.raw")
    assert recording.data.tolist() == [0, 1, 2, 3, 4, 5, 9, 10, 11, 20, 21, 22]
    assert [(one.row, one.rows, one.index) for one in recording.segments] == [(0, 6, 0), (6, 3, 9), (9, 3, 0)]
    assert recording.missing == 3
    assert recording.filled().tolist() == [20, 21, 22]
    first = recording.segments[0].session
    assert recording.filled(first).tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0, 9, 10, 11]
    assert recording.times[0] == (0, 10**18 - 4_000_000)
    assert (recording.parameters.units, recording.parameters.scale) == ("mV", 0.5)
    assert abs(recording.clock_offsets[0].offset_ns) <= recording.clock_offsets[0].uncertainty_ns
    assert recording.is_complete
    assert open_recording(tmp_path / "run" / "lines").data.tolist() == [[True, False]]
    with pytest.raises(NotFoundError):
        recording.filled(1)


def record_for_ever(folder, name):
    """Record until somebody ends it."""
    with RawRecorder() as node:
        node.configure(folder=folder, streams={"signals": name})
        node.initialize()
        node.start()
        until(lambda: False)


def test_what_a_killed_recorder_leaves(tmp_path):
    with OutputStream().configure(dtype="i4", shape=(1000,)) as out:
        with process(record_for_ever, tmp_path, out.address) as child:
            out.wait_for_readers(1, 60)
            for number in range(50):
                out.send(np.full(1000, number, "i4"), timeout=30)
            out.drain(30)
            until(lambda: (tmp_path / "signals.raw").stat().st_size >= 100_000)
            child.kill()
            child.join()
    recording = open_recording(tmp_path / "signals.raw")
    assert not recording.is_complete
    assert len(recording.data) == recording.segments[0].rows > 20_000
    np.testing.assert_array_equal(recording.data, np.arange(len(recording.data)) // 1000)


def test_what_is_damaged(tmp_path):
    with pytest.raises(NotFoundError):
        open_recording(tmp_path / "none.raw")
    (tmp_path / "a.raw").write_bytes(b"1234")
    for text in ("", "no line\n", '{"format": "another"}\n', '{"format": "labdaq raw stream 1"}\n'):
        (tmp_path / "a.jsonl").write_text(text)
        with pytest.raises(DataError):
            open_recording(tmp_path / "a.raw")


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "signals.raw").write_bytes(b"precious")
    with OutputStream().configure(protocol="inproc") as out, RawRecorder() as node:
        with pytest.raises(StateError):
            node.configure(folder=tmp_path, streams={"../x": out})
        node.configure(folder=tmp_path, streams={"signals": out})
        with pytest.raises(ResourceError, match="exists"):
            node.initialize()
    assert (tmp_path / "signals.raw").read_bytes() == b"precious"


def test_a_recording_as_xdf(tmp_path):
    settings = {"dtype": "u2", "shape": (-1, 2), "sample_rate": 100.0, "channels": ("a", "b"), "units": "mV"}
    with OutputStream().configure(protocol="inproc", **settings) as out, RawRecorder() as node:
        node.configure(folder=tmp_path, streams={"signals": out})
        node.initialize()
        node.start()
        out.send(np.arange(8, dtype="u2").reshape(4, 2), timestamp_ns=10**18)
        out.send(np.arange(8, dtype="u2").reshape(4, 2), 108, timestamp_ns=10**18 + 104 * 10**7)
        out.drain(30)
    export_xdf(tmp_path / "run.xdf", {"signals": open_recording(tmp_path / "signals")})
    (stream,) = read_xdf(tmp_path / "run.xdf")
    assert (stream.channels, stream.units, stream.data.dtype) == (("a", "b"), "mV", np.dtype("i4"))
    assert stream.data[4:].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    expected = 1e9 + np.array([-4, -3, -2, -1, 100, 101, 102, 103]) / 100
    np.testing.assert_allclose(stream.times_s - 1e9, expected - 1e9, atol=1e-6)
    assert abs(stream.clock_offsets[0][1]) < 1.0
