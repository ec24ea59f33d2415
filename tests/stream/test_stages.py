"""Filters, chunks of a least size, pieces of one size, scale and offset: the same over every transport."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream

WAYS = [("inproc", "plaindata"), ("tcp", "plaindata"), ("ipc", "sharedmem")]


@pytest.fixture(params=WAYS, ids="-".join)
def way(request):
    protocol, mode = request.param
    return {"protocol": protocol, "transfermode": mode}


def test_filters_before_and_after(way):
    with OutputStream().configure(**way, dtype="f4") as out, InputStream().connect(out) as inp:
        out.pre_filters += [lambda data: data[::2], lambda data: data.astype("f4")]
        inp.post_filters.append(lambda data: data * 10)
        inp.set_buffer(8)
        assert out.send(np.arange(6.0)) == 3
        index, data = inp.recv(30)
        assert (index, data.tolist()) == (3, [0, 20, 40])
        assert inp[-3:].tolist() == [0, 20, 40]


def test_scale_and_offset(way):
    settings = {"dtype": "i2", "scale": 0.5, "offset": -1.0, "units": "mV"}
    with OutputStream().configure(**way, **settings) as out:
        with InputStream().connect(out) as inp, InputStream(raw=True).connect(out) as raw:
            out.send(np.array([2, 4], "i2"))
            data = inp.recv(30)[1]
            assert (data.dtype, data.tolist()) == (np.float64, [0.0, 1.0])
            data = raw.recv(30)[1]
            assert (data.dtype, data.tolist()) == (np.int16, [2, 4])


def test_a_least_number_of_samples(way):
    with OutputStream().configure(**way, dtype="i4", shape=(-1,), min_chunk=10) as out:
        with InputStream().connect(out) as inp:
            for number in range(5):
                out.send(np.full(3, number, "i4"))
            assert inp.recv(30)[0] == 12
            with pytest.raises(WaitTimeoutError):
                inp.recv(0.02)
            out.flush()
            assert inp.recv(30)[0] == 15
            out.send(np.zeros(3, "i4"), index=20)
            out.send(np.zeros(3, "i4"), index=30)  # not in one chunk with what is before the gap
            assert inp.recv(30)[0] == 20
            out.close()
            assert inp.recv(30)[0] == 30


def test_a_longest_delay(way):
    with OutputStream().configure(**way, dtype="i4", min_chunk=1000, max_delay=0.02) as out:
        with InputStream().connect(out) as inp:
            out.send(np.zeros(3, "i4"))
            out.send(np.zeros(4, "i4"))
            assert inp.recv(30)[0] == 7


def test_refused_samples_are_not_collected():
    settings = {"dtype": "i4", "min_chunk": 2, "window": 2, "protocol": "inproc"}
    with OutputStream().configure(**settings) as out, InputStream().connect(out) as inp:
        for _ in range(2):
            out.send(np.zeros(2, "i4"))
        out.send(np.ones(1, "i4"))
        with pytest.raises(WaitTimeoutError):
            out.send(np.full(1, 2, "i4"), timeout=0)
        assert inp.recv(30)[0] == 2
        assert not inp.poll(0.02) or inp.recv(30)
        assert out.send(np.full(1, 3, "i4"), timeout=30) == 6
        while (chunk := inp.recv(30))[0] < 6:
            pass
        assert chunk[1].tolist() == [1, 3]


def test_pieces_of_one_size(way):
    with OutputStream().configure(**way, dtype="i4") as out, InputStream(chunk_size=4).connect(out) as inp:
        for number in range(3):
            out.send(np.arange(3, dtype="i4") + 3 * number)
        out.send(np.arange(6, dtype="i4"), index=20)
        pieces = [(index, data.tolist()) for index, data in [inp.recv(30) for _ in range(4)]]
        assert pieces == [(4, [0, 1, 2, 3]), (8, [4, 5, 6, 7]), (9, [8]), (18, [0, 1, 2, 3])]
        out.close()
        assert inp.recv(30)[1].tolist() == [4, 5]
        with pytest.raises(EndOfDataError):
            inp.recv(30)


@pytest.mark.parametrize("protocol", ["inproc", "ipc", "tcp"])
@pytest.mark.parametrize("compression", ["zlib", "lz4", "zstd", "blosc-lz4", "blosc-zstd"])
def test_compression(compression, protocol):
    data = np.repeat(np.arange(100, dtype="f4"), 100).reshape(-1, 10)
    times = data[:, 0].astype("M8[s]")
    with OutputStream().configure(dtype="f4", compression=compression, protocol=protocol) as out:
        with InputStream().connect(out) as inp:
            out.send(data)
            np.testing.assert_array_equal(inp.recv(30)[1], data)
        out.configure(dtype="M8[s]", compression=compression, protocol=protocol)
        with inp.connect(out):
            out.send(times)
            np.testing.assert_array_equal(inp.recv(30)[1], times)


def test_bits():
    data = np.random.default_rng(1).random((13, 5)) > 0.5
    with OutputStream().configure(dtype=bool, compression="bits") as out, InputStream().connect(out) as inp:
        out.send(data)
        np.testing.assert_array_equal(inp.recv(30)[1], data)


def test_an_event_loop_is_not_held_up():
    async def main():
        with OutputStream().configure(protocol="inproc", dtype="i4") as out, InputStream().connect(out) as inp:
            for number in range(3):
                out.send(np.full(2, number, "i4"))
            assert inp.recv(30)[0] == 2  # in a running loop, as in a notebook
            out.close()
            return [index async for index, _ in inp]

    assert asyncio.run(main()) == [4, 6]


def test_nothing_of_the_process_is_changed():
    program = """
import logging, sys, threading
before = sys.excepthook, threading.excepthook, logging.getLogger().handlers[:], logging.getLogger().level
import labdaq.stream, numpy
with labdaq.stream.OutputStream().configure(dtype="i4") as out, labdaq.stream.InputStream().connect(out) as inp:
    out.send(numpy.arange(3, dtype="i4"))
    assert inp.recv(30)[0] == 3
assert before == (sys.excepthook, threading.excepthook, logging.getLogger().handlers, logging.getLogger().level)
assert not any("Qt" in name or "PySide" in name for name in sys.modules), "Qt"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_waiting_chunks_can_be_passed_over(way):
    with OutputStream().configure(**way, dtype="i4", shape=(2,)) as out, InputStream().connect(out) as inp:
        for number in range(5):
            out.send(np.full(2, number, "i4"))
        passed = 0
        while passed < 5:
            assert inp.poll(30)
            passed += inp.empty_queue()
        assert passed == 5
        out.send(np.full(2, 5, "i4"))
        assert inp.recv(30)[0] == 12


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"protocol": "udp"}, "datagrams get lost"),
        ({"transfermode": "sharedarray"}, "'plaindata', 'sharedmem'"),
        ({"dtype": object}, "cannot carry"),
        ({"dtype": "no"}, "none of NumPy's"),
        ({"shape": (0, 3)}, "time comes first"),
        ({"shape": 5}, "time first"),
        ({"sample_rate": 0}, "above 0"),
        ({"policy": "lose"}, "'block'"),
        ({"compression": "rar"}, "'zlib'"),
        ({"compression": "zlib", "transfermode": "sharedmem"}, "for the wire"),
        ({"compression": "bits"}, "packs booleans"),
        ({"dtype": "S3", "scale": 2.0}, "for numbers"),
        ({"gain": 3}, "annotations"),
        ({"window": 1}, "at least 2"),
        ({"interface": "0.0.0.0"}, "keys=StreamKeys"),
        ({"port": 70000}, "1 to 65535"),
        ({"fill": "x"}, "no value"),
    ],
)
def test_what_cannot_be_configured(settings, reason):
    with pytest.raises(LayoutError, match=reason):
        OutputStream().configure(**settings)


def test_what_was_said_first_holds():
    with pytest.raises(LayoutError, match="cannot be configured otherwise"):
        OutputStream(dtype="f4").configure(dtype="f8")
    with OutputStream(dtype="f4").configure(shape=(-1, 3)) as out:
        with pytest.raises(LayoutError, match="was expected"):
            InputStream(shape=(-1, 2)).connect(out)
        with InputStream(dtype="f4", shape=None).connect(out) as inp:
            assert inp.parameters.shape == (-1, 3)


def test_a_chunk_that_is_too_large():
    with OutputStream().configure(protocol="inproc", dtype="i1", max_chunk_nbytes=100) as out:
        out.send(np.zeros(100, "i1"))
        with pytest.raises(LayoutError, match="send smaller"):
            out.send(np.zeros(101, "i1"))
