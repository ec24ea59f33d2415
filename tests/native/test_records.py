"""Functions of records, called with addresses."""

import numpy as np
import pytest
from numba import int64

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.native.records import Caller, caller_of

PULSE = np.dtype([("height", "f4"), ("time", "i8")], align=True)


def called(function, data, out):
    data, out = np.asarray(data), np.asarray(out)
    call = caller_of(jit(cache=False)(function), (data.dtype, data.shape), (out.dtype, out.shape))
    return call(data.ctypes.data, out.ctypes.data), out


def test_arrays_become_records():
    def highest(data, out):
        for channel in range(data.shape[0]):
            out[channel].height = data[channel].max()
            out[channel].time = data[channel].argmax()
        return data.shape[0]

    n, out = called(highest, np.arange(6, dtype="i2").reshape(2, 3), np.zeros(3, PULSE))
    assert n == 2
    assert out.tolist() == [(2.0, 2), (5.0, 2), (0.0, 0)]


def test_a_single_record_is_a_value():
    def height(data, out):
        out[0] = data.height
        return 1

    assert called(height, np.array((2.5, 7), PULSE), np.zeros(1))[1].tolist() == [2.5]


def test_what_the_function_raises_comes_through_a_pointer():
    def refuses(data, out):
        if data[0] > 1:
            raise ValueError("too much")
        return 0

    call = caller_of(jit(cache=False)(refuses), (np.dtype("f8"), (1,)), (np.dtype("f8"), (1,)))

    @jit(cache=False)
    def twice(function, address):
        return function(address, address) + function(address + 8, address)

    twice.compile((Caller, int64))
    twice.disable_compile()
    data = np.array([0.0, 0.5, 2.0])
    assert twice(call, data.ctypes.data) == 0
    with pytest.raises(ValueError, match="too much"):
        twice(call, data.ctypes.data + 8)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda data, out: print(open), "open"),
        (lambda data, out: data.fill(0.0), r"read-only.*data\.fill"),
        (lambda data, out: len(data.nothing), "nothing"),
    ],
)
def test_what_cannot_be_compiled_says_why_in_a_line(function, told):
    with pytest.raises(LayoutError, match=told) as refused:
        called(function, np.zeros(4), np.zeros(1))
    assert "float64 of shape (4,)" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_its_input_cannot_be_changed():
    def spoils(data, out):
        data[0] = 1.0
        return 0

    with pytest.raises(LayoutError, match=r"(?i)read-?only|cannot|setitem"):
        called(spoils, np.zeros(4), np.zeros(1))
