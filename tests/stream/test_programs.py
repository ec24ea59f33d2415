"""Programs of the documentation of pyacq, with only the import changed; and a cell that is interrupted."""

import _thread
import threading
import time

import numpy as np
import pytest

import labdaq.stream as pyacq
from labdaq.errors import EndOfDataError
from tests.stream.victims import process


def test_from_one_thread_to_another():
    data = np.array([[1, 2], [3, 4], [5, 6]])

    # Create and configure the output stream (sender)
    out = pyacq.OutputStream()
    out.configure(dtype=data.dtype)

    # Create the input stream (receiver) and connect it to
    # the output stream
    inp = pyacq.InputStream()
    inp.connect(out)

    # Start a background thread that just receives and prints
    # data from the input stream
    received = []

    def receiver():
        while True:
            try:
                received.append(inp.recv())
            except EndOfDataError:
                return

    thread = threading.Thread(target=receiver, daemon=True)
    thread.start()

    # Send data through the stream
    out.send(data)
    out.close()
    thread.join(30)
    ((index, chunk),) = received
    assert index == 3
    np.testing.assert_array_equal(chunk, data)
    inp.close()


class Noise(pyacq.Node):
    """A random noise generator, declared as nodes are."""

    _output_specs = {"signals": {"streamtype": "analogsignal", "dtype": "float32", "shape": (-1, 16)}}  # noqa: RUF012

    def _start(self):
        self.output.send(np.random.default_rng(1).normal(size=(100, 16)).astype("float32"))


def test_a_graph_of_nodes():
    device, viewer, recorder = Noise(), pyacq.InputStream(), pyacq.InputStream()
    with device, viewer, recorder:
        device.configure()
        device.output.configure(protocol="tcp", interface="127.0.0.1", transfermode="plaindata")
        device.initialize()
        viewer.connect(device.output)
        recorder.connect(device.output)
        device.start()
        for inp in (viewer, recorder):
            index, data = inp.recv(30)
            assert (index, data.shape, data.dtype) == (100, (100, 16), np.float32)


def send_noise(name):
    """A sender in another process, found by its name."""
    with pyacq.OutputStream().configure(name=name, dtype=float, shape=(-1,)) as out:
        out.wait_for_readers(1, 60)
        out.send(np.arange(3.0))
        out.drain(60)


def test_between_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("LABDAQ_RUNTIME", str(tmp_path / "run"))
    with process(send_noise, "noise"):
        deadline = time.monotonic() + 30
        while "noise" not in pyacq.streams() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pyacq.InputStream().connect("noise") as inp:
            index, data = inp.recv(30)
            assert (index, data.tolist()) == (3, [0.0, 1.0, 2.0])


@pytest.mark.parametrize("mode", ["plaindata", "sharedmem"])
def test_a_waiting_cell_can_be_interrupted(mode):
    with pyacq.OutputStream().configure(transfermode=mode, dtype="i4", shape=(2,)) as out:
        with pyacq.InputStream().connect(out) as inp:
            timer = threading.Timer(0.1, _thread.interrupt_main)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                inp.recv()
            timer.join()
            out.send(np.arange(2, dtype="i4"))
            assert inp.recv(30)[0] == 2
