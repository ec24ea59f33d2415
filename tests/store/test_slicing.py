"""Indices and slices mean what they mean for a list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import IndexNotYetThereError, IndexWontBeThereError, LayoutError
from labdaq.store.engine import Extent
from labdaq.store.slicing import one_index, span_of

ENDS = (None, *range(-8, 9), -(10**30), 10**30)


@pytest.mark.parametrize("length", range(7))
def test_every_slice_of_what_is_sealed(length):
    points, extent = list(range(length)), Extent(0, length, True)
    for start in ENDS:
        for stop in ENDS:
            for step in (None, *range(-7, 0), *range(1, 8), 10**30, -(10**30)):
                wanted = slice(start, stop, step)
                assert list(span_of(wanted, extent)) == points[wanted]


@pytest.mark.parametrize("length", range(7))
def test_every_slice_of_what_is_being_written(length):
    points, extent = list(range(length)), Extent(0, length, False)
    for start in ENDS:
        for stop in ENDS:
            for step in (None, -2, -1, 1, 2, 3):
                wanted = slice(start, stop, step)
                if any(end is not None and end < 0 for end in (start, stop)):
                    with pytest.raises(IndexNotYetThereError):
                        span_of(wanted, extent)
                else:
                    assert list(span_of(wanted, extent)) == points[wanted]


@given(st.integers(-20, 20), st.integers(0, 12), st.booleans(), st.sampled_from([int, np.int8, np.int64, np.array]))
def test_every_index(index, length, is_sealed, kind):
    extent = Extent(0, length, is_sealed)
    if is_sealed and -length <= index < length:
        assert one_index(kind(index), extent) == range(length)[index]
    elif 0 <= index < length:
        assert one_index(kind(index), extent) == index
    else:
        with pytest.raises(IndexWontBeThereError if is_sealed else IndexNotYetThereError):
            one_index(kind(index), extent)


def test_unsigned_indices():
    assert one_index(np.uint8(3), Extent(0, 10, False)) == 3
    assert span_of(slice(np.uint64(3), np.int16(5), np.int8(-1)), Extent(0, 10, False)) == range(3, 5, -1)


@pytest.mark.parametrize("wrong", [True, np.True_, 1.0, np.float64(1), "1", None, (0,), [0], np.arange(2)])
def test_what_is_no_index(wrong):
    with pytest.raises(LayoutError, match="index"):
        one_index(wrong, Extent(0, 10, True))


@pytest.mark.parametrize("wrong", [slice(None, None, 0), slice(1.0, None), slice(None, "a"), slice(None, None, True)])
def test_what_is_no_slice(wrong):
    with pytest.raises(LayoutError):
        span_of(wrong, Extent(0, 10, True))
