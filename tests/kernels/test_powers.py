"""From voltages to powers and Stokes parameters, and means of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import coherences, integrate, power, stokes
from labdaq.kernels.integrate import integrate_reference
from labdaq.kernels.power import power_reference

RELATIVE_ERROR = {"f4": 2e-7, "c8": 2e-7, "f8": 3e-16, "c16": 3e-16, "i2": 1e-6}


def numbers(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    values = 100 * (rng.normal(size=shape) + (1j * rng.normal(size=shape) if "c" in dtype else 0))
    return values.astype(dtype)


@given(st.sampled_from(list(RELATIVE_ERROR)), st.sampled_from([(0,), (7,), (3, 4, 2)]), st.booleans())
def test_power_is_its_definition(dtype, shape, is_strided):
    voltages = numbers(shape, dtype, 1)
    voltages = voltages[::2].T if is_strided else voltages
    found, expected = power(voltages), power_reference(voltages.astype("c16" if "c" in dtype else "f8"))
    assert found.shape == voltages.shape
    assert found.dtype == (np.float32 if dtype in ("f4", "c8", "i2") else np.float64)
    assert np.abs(found - expected).max(initial=0) <= RELATIVE_ERROR[dtype] * expected.max(initial=0)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (1, 0, [1, 1, 0, 0]),  # linear along X
        (0, 1, [1, -1, 0, 0]),
        (1, 1, [2, 0, 2, 0]),  # linear at 45 degrees
        (1, -1, [2, 0, -2, 0]),
        (1, 1j, [2, 0, 0, 2]),  # circular, Y a quarter of a period ahead
        (1, -1j, [2, 0, 0, -2]),
    ],
)
def test_stokes_parameters_of_pure_waves(x, y, expected):
    phases = np.exp(2j * np.pi * np.arange(8) / 8)
    waves = np.stack([x * phases, y * phases], axis=-1)
    assert np.allclose(stokes(waves), expected)


@given(st.integers(0, 50))
def test_polarised_power_is_all_power_of_a_pure_wave(seed):
    i, q, u, v = np.moveaxis(stokes(numbers((9, 2), "c16", seed)), -1, 0)
    assert np.allclose(i**2, q**2 + u**2 + v**2)


def test_products_of_polarisations():
    pair = np.array([[1 + 2j, 3 - 1j]], np.complex64)
    crossed = (1 + 2j) * (3 + 1j)
    assert coherences(pair).tolist() == [[5, 10, crossed.real, crossed.imag]]
    assert coherences(pair).dtype == np.float32


@given(st.sampled_from(["f4", "f8", "c8", "i2"]), st.integers(0, 30), st.integers(1, 7), st.sampled_from([None, 1, 2]))
def test_means_are_their_definition(dtype, frames, count, weighted):
    data = numbers((frames, 3, 2), dtype, frames)
    weights = None
    if weighted:
        weights = np.random.default_rng(count).integers(0, 2, data.shape[:weighted])
    found, expected = integrate(data, count, weights), integrate_reference(data, count, weights)
    assert found.shape == (frames // count, 3, 2)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-5, equal_nan=True)


def test_many_small_numbers_are_not_lost():
    ones = np.full((1 << 20, 1), 0.1, np.float32)
    assert abs(float(integrate(ones, 1 << 20)[0, 0]) / float(np.float32(0.1)) - 1) < 1e-7


def test_the_scatter_of_means_is_that_of_theory():
    """Of 1000 means of 100 powers of complex noise, each scatters by a tenth; that is known to 2.2 %."""
    means = integrate(power(numbers(100_000, "c16", 5)), 100)
    assert abs(means.std() / means.mean() * 10 - 1) < 0.1


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (power, (np.array(["a"]),)),
        (coherences, (np.ones((2, 3)),)),
        (stokes, (1.0,)),
        (integrate, (1.0, 2)),
        (integrate, ([1.0], 0)),
        (integrate, ([1.0, 2.0], 2, [1.0])),
    ],
)
def test_what_does_not_fit_is_refused(call, arguments):
    with pytest.raises(LayoutError):
        call(*arguments)
