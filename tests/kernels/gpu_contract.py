"""What kernels for GPUs promise: the numbers of the NumPy reference. Run as C without one, too.

`device` is a fixture of those who subclass this.
"""

import sys

import numpy as np
import pytest

from labdaq import kernels
from labdaq.errors import LayoutError
from labdaq.kernels.beams import form_beams_reference
from labdaq.kernels.channelise import channelise_reference
from labdaq.kernels.correlate import correlate_reference
from labdaq.kernels.dedispersion import dedisperse_reference
from labdaq.kernels.integrate import integrate_reference
from labdaq.kernels.power import power_reference
from labdaq.kernels.quantise import quantise_reference
from labdaq.kernels.unpack import unpack_reference


def numbers(shape, dtype, seed=1):
    rng = np.random.default_rng(seed)
    return (20 * (rng.normal(size=shape) + (1j * rng.normal(size=shape) if "c" in dtype else 0))).astype(dtype)


def error(found, expected):
    """The largest, relative to the largest number."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)


class GpuKernelTests:
    @pytest.mark.parametrize("dtype", ["ci4", "i4", "u2", "i1", "ci1", "ci8", "u8", "i16", "ci32"])
    @pytest.mark.parametrize("order", [None, "little", "big"])
    def test_unpack(self, device, dtype, order):
        data = np.random.default_rng(2).integers(0, 256, (3, 16), np.uint8)
        native = "big" if int(dtype.lstrip("ciu")) < 8 else sys.byteorder
        expected = unpack_reference(data, dtype, order=order or native)
        found = device.to_host(kernels.unpack(device.to_device(data), dtype, order=order))
        assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())

    @pytest.mark.parametrize("dtype", ["ci8", "ci4", "i4", "u2", "i1", "i16", "u8"])
    @pytest.mark.parametrize("given", ["f4", "f8"])
    def test_quantise(self, device, dtype, given):
        values = numbers((3, 16), "c8" if "c" in dtype else given)
        values[0, 0] = np.nan
        expected, found = quantise_reference(values, dtype, 0.4), kernels.quantise(device.to_device(values), dtype, 0.4)
        data = device.to_host(found.data)
        if expected.data.dtype.names:
            assert data.shape == (*expected.data.shape, 2)
            data = data.view(expected.data.dtype)[..., 0]
        assert data.tolist() == expected.data.tolist()
        assert int(device.to_host(found.clipped)) == expected.clipped > 0

    @pytest.mark.parametrize(("dtype", "allowed"), [("c8", 3e-7), ("c16", 1e-15), ("f4", 3e-7), ("i1", 0)])
    def test_power(self, device, dtype, allowed):
        voltages = numbers((5, 3), dtype)
        found = device.to_host(kernels.power(device.to_device(voltages)))
        assert found.dtype == kernels.power(voltages).dtype
        assert error(found, power_reference(voltages)) <= allowed

    @pytest.mark.parametrize("name", ["coherences", "stokes"])
    def test_products_of_polarisations(self, device, name):
        voltages = numbers((4, 3, 2), "c8")
        found = device.to_host(getattr(kernels, name)(device.to_device(voltages)))
        assert error(found, getattr(kernels, name)(voltages.astype("c16"))) <= 3e-7

    @pytest.mark.parametrize(("dtype", "allowed"), [("f4", 1e-7), ("c8", 1e-7), ("f8", 1e-15), ("i1", 1e-15)])
    @pytest.mark.parametrize("weights", [None, (7,), (7, 2)])
    def test_integrate(self, device, dtype, allowed, weights):
        frames = numbers((7, 2, 5), dtype)
        given = None if weights is None else np.random.default_rng(3).integers(0, 2, weights)
        found = device.to_host(kernels.integrate(device.to_device(frames), 3, given))
        expected = integrate_reference(frames, 3, given)
        assert found.dtype == kernels.integrate(frames, 3, given).dtype
        assert (np.isnan(found) == np.isnan(expected)).all()
        assert error(np.nan_to_num(found), np.nan_to_num(expected)) <= allowed

    @pytest.mark.parametrize(("dtype", "allowed"), [("c8", 1e-6), ("f4", 1e-6), ("c16", 1e-14), ("i1", 1e-6)])
    @pytest.mark.parametrize(("length", "taps", "inner"), [(8, 4, ()), (6, 1, (2,)), (5, 3, (2, 2)), (64, 9, ())])
    def test_channelise(self, device, dtype, allowed, length, taps, inner):
        samples, window = numbers((203, *inner), dtype), kernels.pfb_window(length, taps)
        found = device.to_host(kernels.channelise(device.to_device(samples), length, window))
        expected = channelise_reference(samples, length, window)
        assert found.dtype == kernels.channelise(samples, length, window).dtype
        assert error(found, expected) <= allowed

    def test_channelise_gulp_by_gulp(self, device):
        samples, window = numbers(203, "c8"), kernels.pfb_window(8, 3)
        bank = kernels.Channeliser(8, window)
        found = [device.to_host(bank(device.to_device(part))) for part in np.split(samples, [5, 30, 31, 150])]
        assert error(np.concatenate(found), channelise_reference(samples, 8, window)) <= 1e-6

    @pytest.mark.parametrize(("dtype", "allowed"), [("c8", 1e-6), ("c16", 1e-14), ("i1", 1e-6)])
    def test_beams(self, device, dtype, allowed):
        voltages, weights = numbers((5, 3, 4), dtype), numbers((2, 3, 4), "c16", 2)
        found = device.to_host(kernels.form_beams(device.to_device(voltages), weights))
        assert error(found, form_beams_reference(voltages, weights)) <= allowed

    @pytest.mark.parametrize(("dtype", "allowed"), [("c8", 2e-6), ("c16", 1e-14), ("i1", 2e-6)])
    def test_visibilities(self, device, dtype, allowed):
        voltages = numbers((7, 3, 4), dtype)
        found = device.to_host(kernels.correlate(device.to_device(voltages), 3))
        assert error(found, correlate_reference(voltages, 3)) <= allowed

    @pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
    @pytest.mark.parametrize("dm", [30.0, [0.0, 10.0, 55.0]])
    def test_dedisperse(self, device, dtype, dm):
        powers, frequencies = np.abs(numbers((60, 5), "f8")).astype(dtype), np.linspace(1000, 1400, 5)
        found = device.to_host(kernels.dedisperse(device.to_device(powers), frequencies, dm, 0.01))
        assert error(found, dedisperse_reference(powers, frequencies, dm, 0.01)) <= 1e-15

    @pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
    def test_pulse_heights(self, device, dtype):
        waveforms = numbers((6, 40), dtype)
        expected = kernels.analyse_pulses(waveforms, (10, 30), (0, 8), polarity=-1)
        found = kernels.analyse_pulses(device.to_device(waveforms), (10, 30), (0, 8), polarity=-1)
        for name in kernels.PULSE.names:
            assert error(device.to_host(found[name]), expected[name]) <= 1e-14

    def test_histograms_count_the_same(self, device):
        x, y = numbers(300, "f8", 4), numbers(300, "f8", 5)
        x[:5], y[3:9] = [np.nan, -30, 30, np.inf, 0.0], np.nan
        edges = np.linspace(-30, 30, 13), np.array([-20, 0, 1, 25.0])
        for dimensions in (1, 2):
            here, there = kernels.Histogram(*edges[:dimensions]), kernels.Histogram(*edges[:dimensions])
            for _ in range(2):
                here.fill(*(x, y)[:dimensions])
                there.fill(*map(device.to_device, (x, y)[:dimensions]))
            assert (there.with_flow.tolist(), there.missing) == (here.with_flow.tolist(), here.missing)

    def test_what_does_not_fit_is_refused_there_too(self, device):
        there = device.to_device(np.zeros((4, 3), "c8"))
        for call in (
            lambda: kernels.stokes(there),
            lambda: kernels.quantise(there, "i8"),
            lambda: kernels.quantise(there, "ci2"),
            lambda: kernels.unpack(device.to_device(np.zeros(3, "u1")), "ci8"),
            lambda: kernels.Histogram([0, 1]).fill(there, there),
        ):
            with pytest.raises(LayoutError):
                call()
