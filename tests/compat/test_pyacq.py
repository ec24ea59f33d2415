"""The lines of pyacq's documentation of streams, with only the import changed."""

import contextlib
import io
import re
import threading

import numpy as np
import pytest

import labdaq.compat.pyacq as pyacq
from labdaq.errors import EndOfDataError, NotFoundError


def test_a_simple_example():
    data = np.array([[1, 2], [3, 4], [5, 6]])
    printed = io.StringIO()

    # Create and configure the output stream (sender)
    out = pyacq.OutputStream()
    out.configure(dtype=data.dtype)

    # Create the input stream (receiver) and connect it to
    # the output stream
    inp = pyacq.InputStream()
    inp.connect(out)

    # Start a background thread that just receives and prints
    # data from the input stream
    def receiver():
        with contextlib.suppress(EndOfDataError):
            while True:
                d = inp.recv()
                print(f"Received: {d!r}", file=printed)

    thread = threading.Thread(target=receiver, daemon=True)
    thread.start()

    # Send data through the stream
    out.send(data)
    out.close()
    thread.join(30)
    inp.close()
    assert re.sub(r"\s+", " ", printed.getvalue()) == "Received: (3, array([[1, 2], [3, 4], [5, 6]])) "


class Device(pyacq.Node):
    """A node with one output, as its documentation declares them."""

    _output_specs = {"signals": {"streamtype": "analogsignal", "dtype": "float32", "shape": (-1, 16)}}  # noqa: RUF012

    def _start(self):
        self.output.send(np.ones((10, 16), "float32"))


class Receiving(pyacq.Node):
    """A node with one input."""

    _input_specs = {"signals": {}}  # noqa: RUF012


def test_a_device_a_viewer_and_a_recorder():
    device, viewer, recorder = Device(), Receiving(), Receiving()
    with device, viewer, recorder:
        device.configure()
        device.output.configure(protocol="tcp", interface="127.0.0.1", transfermode="plaindata")
        viewer.input.connect(device.output)
        recorder.input.connect(device.output)
        device.initialize()
        device.start()
        for node in (viewer, recorder):
            assert node.input.recv(30)[0] == 10


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("s = pyacq.RPCServer()", "InputStream().connect("),
        ("pyacq.RPCServer.run_lazy()", "leave this line out"),
        ("p = pyacq.ProcessSpawner()", "node = labdaq.spawn("),
        ("rpyacq = pyacq.ProcessSpawner.client._import('pyacq')", "node = labdaq.spawn("),
        ("c = pyacq.RPCClient('tcp://127.0.0.1:5000')", "node = labdaq.spawn("),
        ("man = pyacq.create_manager()", "node = labdaq.spawn("),
    ],
)
def test_what_is_not_there_shows_the_line_to_write_instead(line, instead):
    with pytest.raises(NotFoundError, match=re.escape(instead)):
        exec(line, {"pyacq": pyacq})


def test_every_name_is_there():
    assert all(getattr(pyacq, name) is not None for name in pyacq.__all__)
