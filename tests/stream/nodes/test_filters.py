"""Filters and spectra of streams are those of the whole signal."""

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.stream import InputStream, OutputStream, SosFilter, Spectrogram

signal = pytest.importorskip("scipy.signal")
RATE_HZ = 1000.0


def sent_through(node, samples, cuts, settings, *, jump=None):
    """What a node makes of samples that are sent in pieces; after ``jump`` of them ten are missing."""
    found = []
    shape = (-1, *samples.shape[1:])
    with OutputStream().configure(protocol="inproc", dtype="f4", shape=shape, sample_rate=RATE_HZ) as out, node:
        node.input.connect(out)
        node.configure(**settings)
        node.open_outputs(protocol="inproc")
        node.initialize()
        with InputStream().connect(node.output) as inp:
            node.start()
            begin = shift = 0
            for end in [*cuts, len(samples)]:
                shift = 10 if begin == jump else shift
                out.send(samples[begin:end], index=end + shift, timestamp_ns=10**18 + (end + shift) * 10**6)
                begin = end
            out.drain(30)
            node.stop()
            while inp.poll():
                found.append((*inp.recv(30), inp.last.timestamp_ns))
    return found


@pytest.fixture
def noise():
    return np.random.default_rng(5).normal(size=(1000, 3)).astype("f4")


CUTS = [1, 2, 3, 100, 101, 350, 750]


def test_a_filter_knows_no_borders(noise):
    sos = signal.butter(4, [20, 200], "bandpass", fs=RATE_HZ, output="sos")
    chunks = sent_through(SosFilter(), noise, CUTS, {"sos": sos})
    assert [index for index, _, _ in chunks] == [*CUTS, 1000]
    filtered = np.concatenate([data for _, data, _ in chunks])
    np.testing.assert_array_equal(filtered, signal.sosfilt(sos, noise.astype(float), axis=0))
    assert chunks[-1][2] == 10**18 + 10**9


def test_a_filter_begins_anew_after_a_gap(noise):
    sos = signal.butter(2, 0.1, output="sos")
    node = SosFilter()
    chunks = sent_through(node, noise, CUTS, {"sos": sos}, jump=350)
    assert [index for index, _, _ in chunks[-2:]] == [760, 1010]
    after = np.concatenate([data for _, data, _ in chunks[-2:]])
    np.testing.assert_array_equal(after, signal.sosfilt(sos, noise[350:].astype(float), axis=0))
    assert node.resets == 1


@pytest.mark.parametrize("sos", [np.ones(6), np.ones((2, 5)), [[1, 0, 0, 2, 0, 0]]])
def test_what_is_no_filter(sos):
    with SosFilter() as node, pytest.raises(LayoutError):
        node.configure(sos=sos)


@pytest.mark.parametrize(("length", "hop"), [(64, None), (63, 10), (32, 50)])
def test_spectra_are_those_of_scipy(noise, length, hop):
    node = Spectrogram()
    chunks = sent_through(node, noise, CUTS, {"length": length, "hop": hop})
    step = hop or length // 2
    spectra = np.concatenate([data for _, data, _ in chunks])
    _, _, expected = (
        signal.spectrogram(noise.astype(float), RATE_HZ, ("hann"), length, length - step, detrend=False, axis=0)
        if step <= length
        else (0, 0, None)
    )
    if expected is None:
        parts = [noise[m * step : m * step + length].astype(float) for m in range((1000 - length) // step + 1)]
        expected = np.stack([signal.periodogram(p, RATE_HZ, "hann", detrend=False, axis=0)[1] for p in parts], -1)
    np.testing.assert_allclose(spectra, np.moveaxis(expected, -1, 0).swapaxes(1, 2), rtol=1e-9, atol=1e-18)
    index, _, stamp = chunks[-1]
    assert index == len(spectra)
    assert stamp == 10**18 + ((index - 1) * step + length) * 10**6


def test_stretches_with_missing_samples_are_left_out(noise):
    chunks = sent_through(Spectrogram(), noise[:, 0], CUTS, {"length": 64, "hop": 32}, jump=350)
    indices = [index for index, _, _ in chunks]
    rows = sum(len(data) for _, data, _ in chunks)
    # without the gap there would be 30; stretches 9 (288 to 352) to 11 (from 352) touch samples 350 to 359
    assert indices[-1] == 30
    assert indices[-1] - rows == 3


def test_no_stretches():
    with Spectrogram() as node, pytest.raises(LayoutError):
        node.configure(length=1)
