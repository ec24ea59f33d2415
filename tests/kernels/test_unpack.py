"""Numbers of few-bit integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import unpack
from labdaq.kernels.unpack import unpack_reference

TYPES = [f"{c}{kind}{bits}" for c in ("", "c") for kind in "iu" for bits in (1, 2, 4, 8, 16, 32)]


@given(st.sampled_from(TYPES), st.binary(min_size=16, max_size=16), st.sampled_from(["big", "little"]))
def test_it_is_its_definition(dtype, data, order):
    raw = np.frombuffer(data, np.uint8).reshape(2, 8)
    found = unpack(raw, dtype, order=order)
    assert np.array_equal(found, unpack_reference(raw, dtype, order=order))
    assert np.iscomplexobj(found) == dtype.startswith("c")


@given(st.sampled_from([1, 2, 4]), st.binary(min_size=1, max_size=9), st.booleans())
def test_it_is_what_shifts_and_masks_say(bits, data, is_little):
    found = unpack(np.frombuffer(data, np.uint8), f"u{bits}", order="little" if is_little else "big")
    expected = []
    for byte in data:
        fields = [(byte >> (bits * i)) & ((1 << bits) - 1) for i in range(8 // bits)]
        expected += fields if is_little else fields[::-1]
    assert found.tolist() == expected


def test_four_bits_of_bifrosts_test():
    raw = np.array([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA], np.uint8)
    assert unpack(raw, "ci4").tolist() == [1, 3 + 2j, 5 + 4j, 7 + 6j, -7 - 8j, -5 - 6j]
    assert unpack(raw, "ci4", order="little").tolist() == [1j, 2 + 3j, 4 + 5j, 6 + 7j, -8 - 7j, -6 - 5j]


def test_records_of_real_and_imaginary_parts():
    values = np.array([[(1, -2), (3, -4)]], [("re", "i1"), ("im", "i1")])
    assert unpack(values, "ci8").tolist() == [[1 - 2j, 3 - 4j]]


@pytest.mark.parametrize(
    ("data", "dtype", "order"), [([1], "f4", "big"), ([1], "ci8", "big"), ([1], "i4", "up"), (1, "i4", "big")]
)
def test_what_does_not_fit_is_refused(data, dtype, order):
    with pytest.raises(LayoutError):
        unpack(np.array(data, np.uint8), dtype, order=order)
