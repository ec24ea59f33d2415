"""Spectra are those of scipy."""

import numpy as np
import pytest
from scipy.signal import welch

from labdaq.errors import LayoutError
from labdaq.widgets.power import frequencies, power_density


@pytest.mark.parametrize(("samples", "length"), [(1000, 256), (1001, 255), (256, 256), (4250, 1024)])
def test_it_is_welchs(samples, length):
    noise = np.random.default_rng(2).normal(3, 1, (2, samples))
    f, density = welch(noise, 1e6, nperseg=length)
    np.testing.assert_allclose(power_density(noise, 1e6, length), density, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(frequencies(1e6, length), f)


@pytest.mark.parametrize("length", [1, 0, 101])
def test_stretches_have_to_fit(length):
    with pytest.raises(LayoutError, match="2 to 100"):
        power_density(np.zeros((1, 100)), 1.0, length)
