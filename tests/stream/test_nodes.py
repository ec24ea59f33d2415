"""Nodes: their life cycle, and the tools that are nodes."""

from typing import ClassVar

import numpy as np
import pytest

from labdaq.errors import LayoutError, NotFoundError, StateError
from labdaq.stream import (
    ChannelSplitter,
    ChunkResizer,
    InputStream,
    Node,
    OutputStream,
    StreamConverter,
    ThreadPollInput,
)
from tests.stream.victims import until


class Steps(Node):
    _input_specs: ClassVar = {"in": {"dtype": "f4"}}
    _output_specs: ClassVar = {"out": {"dtype": "f4"}}

    def __init__(self):
        super().__init__()
        self.calls = []

    def _configure(self, **settings):
        self.calls.append(settings)

    def _start(self):
        self.calls.append("start")

    def _stop(self):
        self.calls.append("stop")

    def _close(self):
        self.calls.append("close")


def test_the_order_of_a_life():
    with OutputStream().configure(protocol="inproc", dtype="f4") as out, Steps() as node:
        for early in (node.initialize, node.start, node.stop):
            with pytest.raises(StateError, match="not possible now"):
                early()
        node.configure(rate=3)
        with pytest.raises(StateError, match="connect input 'in'"):
            node.initialize()
        node.input.connect(out)
        with pytest.raises(StateError, match="configure output 'out'"):
            node.initialize()
        node.output.configure(protocol="inproc")
        node.initialize()
        for _ in range(2):
            node.start()
            for wrong in (node.start, node.configure, node.close, node.initialize):
                with pytest.raises(StateError):
                    wrong()
            node.stop()
        node.close()
        node.close()
        with pytest.raises(StateError, match="was closed"):
            node.start()
        assert node.calls == [{"rate": 3}, "start", "stop", "start", "stop", "close"]
        assert (node.closed, node.configured, node.running) == (True, False, False)


def test_streams_must_be_as_declared():
    with OutputStream().configure(protocol="inproc", dtype="f8") as out, Steps() as node:
        with pytest.raises(LayoutError, match="was expected"):
            node.input.connect(out)
        with pytest.raises(LayoutError, match="cannot be configured otherwise"):
            node.output.configure(dtype="f8")
    with ChannelSplitter() as node, pytest.raises(NotFoundError, match="0 outputs"):
        _ = node.output


def through(node, out, settings, **output):
    """A node between an output and inputs."""
    node.input.connect(out)
    node.configure(**settings)
    for one in node.outputs.values():
        one.configure(protocol="inproc", **output)
    node.initialize()
    return [InputStream().connect(one) for one in node.outputs.values()]


def test_a_converter_keeps_the_numbers():
    with OutputStream().configure(protocol="inproc", dtype="i2") as out, StreamConverter() as node:
        (inp,) = through(node, out, {"dtype": "f4"}, dtype="f4", transfermode="sharedmem")
        with inp:
            node.start()
            out.send(np.arange(3, dtype="i2"))
            out.send(np.arange(2, dtype="i2"), index=10)
            assert [inp.recv(30)[0] for _ in range(2)] == [3, 10]
            assert inp.missed_before == 5


def test_a_splitter():
    data = np.arange(12, dtype="f4").reshape(3, 4)
    with OutputStream().configure(protocol="inproc", dtype="f4", shape=(-1, 4)) as out, ChannelSplitter() as node:
        node.input.connect(out)
        with pytest.raises(LayoutError, match="the stream has 4"):
            node.configure(channels={"a": [4]})
        inputs = through(node, out, {"channels": {"a": [0, 2], "b": [3]}}, dtype="f4")
        node.start()
        out.send(data)
        for inp, numbers in zip(inputs, ([0, 2], [3]), strict=True):
            np.testing.assert_array_equal(inp.recv(30)[1], data[:, numbers])
            inp.close()


def test_a_resizer():
    with OutputStream().configure(protocol="inproc", dtype="f4") as out, ChunkResizer() as node:
        (inp,) = through(node, out, {"chunk_size": 33}, dtype="f4")
        with inp:
            node.start()
            for _ in range(10):
                out.send(np.zeros(20, "f4"))
            chunks = [inp.recv(30) for _ in range(6)]
            assert [(index, len(data)) for index, data in chunks] == [(33 * n, 33) for n in range(1, 7)]


def test_positions_beyond_32_bits_and_errors_of_the_function():
    seen = []

    def keep(index, data):
        seen.append(index)
        if len(seen) == 2:
            raise ZeroDivisionError

    with OutputStream().configure(protocol="inproc") as out, InputStream().connect(out) as inp:
        poll = ThreadPollInput(inp, keep)
        poll.start()
        with pytest.raises(StateError, match="runs already"):
            poll.start()
        out.send(np.zeros(1, "f4"), index=1 << 40)
        out.send(np.zeros(1, "f4"))
        until(lambda: len(seen) == 2)
        with pytest.raises(ZeroDivisionError):
            poll.stop()
        assert seen == [1 << 40, (1 << 40) + 1]
