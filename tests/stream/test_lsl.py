"""Lab Streaming Layer, in both directions."""

import os
import time

import numpy as np
import pytest

from labdaq.errors import LayoutError, NotFoundError
from labdaq.stream import InputStream, OutputStream
from labdaq.stream.lsl import LslInlet, LslOutlet, carried_dtype


@pytest.fixture(scope="module", autouse=True)
def lsl(tmp_path_factory):
    """LSL that looks for nobody outside this machine, and finds no other tests."""
    place = tmp_path_factory.mktemp("lsl") / "lsl.cfg"
    session = f"labdaq-{os.getpid()}"
    peers = f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {session}\n"
    place.write_text(f"[multicast]\nResolveScope = machine\n{peers}[log]\nlevel = -3\n")
    os.environ["LSLAPICFG"] = str(place)
    return pytest.importorskip("pylsl")


def opened(node, **settings):
    node.configure(**settings)
    node.open_outputs(protocol="inproc")
    node.initialize()
    return node


def test_out_and_in_again():
    data = np.random.default_rng(1).integers(-100, 100, (300, 4)).astype("i2")
    settings = {"protocol": "inproc", "dtype": "i2", "shape": (-1, 4), "sample_rate": 100.0}
    settings |= {"units": "uV", "channels": ("a", "b", "c", "d")}
    with OutputStream().configure(**settings) as out, LslOutlet() as outlet, LslInlet() as inlet:
        outlet.input.connect(out)
        opened(outlet, name="both ways", kind="EEG", source_id="labdaq test")
        opened(inlet, source_id="labdaq test", timeout=20)
        parameters = inlet.output.parameters
        assert (parameters.dtype, parameters.shape, parameters.sample_rate) == (np.int16, (-1, 4), 100.0)
        assert (parameters.units, parameters.channels, parameters.streamtype) == ("uV", ("a", "b", "c", "d"), "EEG")
        with InputStream().connect(inlet.output) as inp:
            outlet.start()
            inlet.start()
            assert outlet.wait_for_consumers(20)
            begin_ns = time.time_ns()
            out.send(data[:100], timestamp_ns=begin_ns)
            out.send(data[100:200], timestamp_ns=begin_ns + 10**9)
            out.send(data[200:], 400, timestamp_ns=begin_ns + 3 * 10**9)  # a second is missing
            parts, end = [], 0
            while end < 400:
                end, part = inp.recv(30)
                parts.append((end, part, inp.time_of(end)))
            np.testing.assert_array_equal(np.concatenate([part for _, part, _ in parts]), data)
            assert inp.statistics().missed_samples == 100
            assert abs(parts[-1][2] - begin_ns - 3 * 10**9) < 20_000_000


def test_from_a_foreign_outlet(lsl):
    outlet = lsl.StreamOutlet(lsl.StreamInfo("foreign", "Gaze", 2, 0.0, "double64", "foreign test"))
    with LslInlet() as inlet:
        opened(inlet, name="foreign", timeout=20)
        with InputStream().connect(inlet.output) as inp:
            inlet.start()
            assert outlet.wait_for_consumers(20)
            outlet.push_sample([1.0, 2.0])
            outlet.push_sample([3.0, 4.0])
            values = []
            while len(values) < 2:
                values += inp.recv(30)[1].tolist()
            assert values == [[1.0, 2.0], [3.0, 4.0]]
            assert abs(inp.time_of(2) - time.time_ns()) < 10 * 10**9


def test_to_a_foreign_inlet(lsl):
    with OutputStream().configure(protocol="inproc", dtype="u1", shape=(-1, 2, 2), sample_rate=10.0) as out:
        with LslOutlet() as outlet:
            outlet.input.connect(out)
            opened(outlet, name="ours", source_id="our test")
            (found,) = lsl.resolve_byprop("source_id", "our test", timeout=20)
            inlet = lsl.StreamInlet(found)
            inlet.open_stream(timeout=20)
            outlet.start()
            stamp_s = lsl.local_clock()
            out.send(np.arange(12, dtype="u1").reshape(3, 2, 2))
            samples, times = [], []
            while len(times) < 3:
                more, when = inlet.pull_chunk(timeout=1.0)
                samples += np.asarray(more).tolist()
                times += list(when)
            assert samples == np.arange(12).reshape(3, 4).tolist()
            np.testing.assert_allclose(np.diff(times), 0.1, atol=1e-6)
            assert abs(times[-1] - stamp_s) < 1.0
            inlet.close_stream()


def test_what_lsl_does_not_have():
    for dtype in ("u8", "c8", "M8[s]", "S3"):
        with pytest.raises(LayoutError, match="LSL cannot carry"):
            carried_dtype(np.dtype(dtype))
    with LslInlet() as inlet:
        with pytest.raises(LayoutError, match="one of them"):
            inlet.configure()
        with pytest.raises(NotFoundError, match="no LSL stream"):
            inlet.configure(name="nobody", timeout=0.2)
