"""Nodes in other processes: controlled by a few verbs, noticed when they die, gone when we are."""

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import (
    BusyError,
    ClosedError,
    DataError,
    EndOfDataError,
    LayoutError,
    NotFoundError,
    StateError,
    WaitTimeoutError,
)
from labdaq.stream import InputStream, OutputStream, StreamKeys, spawn
from labdaq.stream.verbs import Verb, from_json, pack, read, to_json
from tests.stream.nodes_elsewhere import Counting, Doubling, Stubborn, prepared
from tests.stream.victims import until


def test_the_whole_life_of_a_node():
    with spawn(Counting, 5) as node, InputStream() as inp:
        assert (node.name, node.state, list(node.outputs), node.is_alive) == ("counting", "made", ["numbers"], True)
        with pytest.raises(StateError, match=r"initialize\(\) it first"):
            node.start()
        node.configure(step=10)
        with pytest.raises(ClosedError, match="configure"):
            _ = node.output.address
        node.output.configure(protocol="tcp", units="V")
        node.initialize()
        inp.connect(node.output.address)
        for _ in range(2):
            node.start()
            assert node.state == "running"
            assert inp.recv(30)[1].tolist() == [5, 15, 25]
            node.stop()
        statistics = node.statistics()
        assert (statistics.state, statistics.pid) == ("initialized", node.pid)
        assert (statistics.outputs["numbers"].sent, statistics.outputs["numbers"].samples) == (2, 6)
        assert statistics.cpu_s > 0
        assert inp.parameters.units == "V"
        node.close()
        assert node.statistics().outputs["numbers"].readers[0].offered == 2
        assert "ended" in repr(node)
        with pytest.raises(ClosedError, match="spawn another"):
            node.start()
    assert not psutil.pid_exists(node.pid)


def test_a_node_of_a_class_that_nobody_can_import_between_two_streams_of_this_process():
    class Local(Doubling):
        pass

    with OutputStream().configure(protocol="ipc", dtype="f4") as out, spawn(Local) as node, InputStream() as inp:
        node.configure()
        with OutputStream().configure(protocol="inproc") as inside, pytest.raises(LayoutError, match="this process"):
            node.input.connect(inside)
        node.input.connect(out)
        node.output.configure(protocol="ipc", dtype=np.float32, shape=(-1,))
        node.initialize()
        inp.connect(node.output.address)
        node.start()
        out.send(np.arange(3, dtype="f4"))
        assert inp.recv(30)[1].tolist() == [0, 2, 4]
        assert node.statistics().inputs["in"].samples == 3
        out.send(np.float32([-1]))
        until(lambda: node.statistics().inputs["in"].samples == 4)
        with pytest.raises(StateError, match="ValueError: negative"):
            node.close()
        assert not node.is_alive


def test_what_goes_wrong_there_is_raised_here():
    with spawn(Counting, fails="start") as node:
        with pytest.raises(LayoutError, match="other machines"):
            node.output.configure(interface="0.0.0.0")
        with pytest.raises(LayoutError, match="no such parameter"):
            node.output.configure(colour="red")
        with pytest.raises(NotFoundError, match="0 inputs"):
            _ = node.input
        with pytest.raises(LayoutError, match="cannot be a setting"):
            node.configure(function=print)
        prepared(node)
        with pytest.raises(StateError, match="ValueError: no voltage"):
            node.start()
        assert node.state == "initialized"
        os.kill(node.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(ClosedError, match="killed by signal 9"):
                node.statistics()


def test_what_is_no_node():
    with pytest.raises(StateError, match="no such detector"):
        spawn(Counting, fails="made")
    with pytest.raises(LayoutError, match="is no worker"):
        spawn("os")
    with pytest.raises(LayoutError, match="cannot go"):
        spawn(Counting, sys._getframe())


def test_a_stopped_process_holds_nobody_and_one_that_nobody_keeps_ends():
    node = spawn(Counting, timeout=0.2)
    pid = node.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WaitTimeoutError, match="does not answer"):
        node.configure()
    with pytest.raises(BusyError, match="still at"):
        node.configure()
    os.kill(pid, signal.SIGCONT)
    until(partial(_is_configured, node))
    del node
    gc.collect()
    assert not psutil.pid_exists(pid)


def _is_configured(node):
    try:
        return node.statistics().state == "configured"
    except (BusyError, WaitTimeoutError):
        return False


def test_one_that_does_not_stop_is_killed(monkeypatch):
    monkeypatch.setattr("labdaq.stream.controls._GRACE_S", 0.3)
    with prepared(spawn(Stubborn)) as node:
        node.start()
    assert not psutil.pid_exists(node.pid)


_PARENT = """
import time
from labdaq.stream import spawn
from tests.stream.nodes_elsewhere import Stubborn, prepared
node = prepared(spawn(Stubborn))
node.start()
print(node.pid, flush=True)
time.sleep(100)
"""


def test_it_ends_with_us():
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        child.wait(10)  # it takes two seconds on a machine that has time


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([np.dtype("f4"), np.dtype("M8[ms]"), np.dtype([("t", "u8"), ("v", "i4")])]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5).filter(lambda key: not key.startswith("=")), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values)
def test_settings_arrive_as_they_were(value):
    assert from_json(read(io.BytesIO(pack({"x": to_json(value)})))["x"]) == value


@given(st.binary(max_size=200))
def test_garbage_is_no_message(garbage):
    for data in (garbage, len(garbage).to_bytes(4, "big") + garbage):
        with contextlib.suppress(DataError, EndOfDataError):  # and nothing else
            from_json(read(io.BytesIO(data)))


def test_sizes_and_keys():
    keys = StreamKeys.new()
    assert from_json(to_json(keys)) == keys
    with pytest.raises(LayoutError, match="fewer settings"):
        pack({"text": "x" * 100_000})
    with pytest.raises(DataError, match="are allowed"):
        read(io.BytesIO(b"\xff\xff\xff\xff"))
    with pytest.raises(DataError):
        from_json({"=keys": ["short", "keys"]})
    with pytest.raises(DataError):
        from_json({"=dtype": "O"})
    deep = []
    for _ in range(50):
        deep = [deep]
    with pytest.raises(LayoutError, match="without end"):
        to_json(deep)
    assert len(Verb) == 8
