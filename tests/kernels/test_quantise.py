"""Few-bit integers of numbers: rounding, clipping, packing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import quantise, unpack
from labdaq.kernels.quantise import quantise_reference

TYPES = [f"{c}{kind}{bits}" for c in ("", "c") for kind in "iu" for bits in (1, 2, 4, 8, 16, 32)]


def numbers(dtype, shape, seed, spread):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, spread, shape)
    return values + 1j * rng.normal(0, spread, shape) if dtype.startswith("c") else values


@given(
    st.sampled_from(TYPES), st.integers(0, 100), st.sampled_from([0.5, 3.0, 300.0, 1e6]), st.sampled_from([1.0, 0.3])
)
def test_it_is_its_definition(dtype, seed, spread, scale):
    values = numbers(dtype, (3, 16), seed, spread)
    found, expected = quantise(values, dtype, scale), quantise_reference(values, dtype, scale)
    assert np.array_equal(found.data, expected.data)
    assert found.clipped == expected.clipped


@given(st.sampled_from(TYPES), st.integers(0, 100))
def test_what_is_quantised_is_unpacked_again(dtype, seed):
    bits, is_signed = int(dtype.strip("ciu")), "i" in dtype
    largest = min(2 ** (bits - is_signed) - 1, 2**20)
    rng = np.random.default_rng(seed)

    def some():
        if bits == 1 and is_signed:
            return rng.choice([-1.0, 1.0], (2, 8))
        return rng.integers(-largest if is_signed else 0, largest + 1, (2, 8)) + 0.0

    whole = some() + 1j * some() if dtype.startswith("c") else some()
    assert np.array_equal(unpack(quantise(whole, dtype).data, dtype), whole)


@pytest.mark.parametrize("dtype", ["ci8", "ci16", "ci32"])
def test_halves_go_to_the_even_neighbour(dtype):
    values = np.array([0.4 + 0.5j, 1.4 + 1.5j, 2.4 + 2.5j, 3.4 + 3.5j, 4.4 + 4.5j, -0.5 - 1.5j], np.complex64)
    found = quantise(values, dtype).data
    assert found["re"].tolist() == [0, 1, 2, 3, 4, 0]
    assert found["im"].tolist() == [0, 2, 2, 4, 4, -2]


def test_what_is_too_large_is_clipped_and_counted():
    found = quantise([130.0, -130.0, 300.0, 7.4, 7.6, np.nan, np.inf, -np.inf], "i4")
    assert unpack(found.data, "i4").tolist() == [7, -7, 7, 7, 7, 0, 7, -7]
    assert found.clipped == 7


def test_without_sign_nothing_is_below_0():
    found = quantise([-3.0, 0.6, 2.5, 20.0], "u4")
    assert unpack(found.data, "u4").tolist() == [0, 1, 2, 15]
    assert found.clipped == 2
    assert quantise([4294967295.0, 1e10], "u32").data.tolist() == [4294967295, 4294967295]


def test_the_real_part_is_in_the_high_nibble():
    assert quantise([3 + 1j, -2 + 5j], "ci4").data.tolist() == [0x31, 0xE5]


@pytest.mark.parametrize(("values", "dtype"), [([1j], "i8"), ([1.0], "i4"), ([1.0], "u9"), (["a"], "i8"), (1.0, "i8")])
def test_what_does_not_fit_is_refused(values, dtype):
    with pytest.raises(LayoutError):
        quantise(np.array(values), dtype)
