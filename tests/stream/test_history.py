"""Samples by their absolute numbers, compared with an array that holds everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import LayoutError, StateError
from labdaq.stream import History, InputStream, OutputStream

PIECES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=12)


@settings(max_examples=40)
@given(size=st.integers(1, 20), pieces=PIECES, start=st.integers(-25, 25), stop=st.integers(-25, 25))
def test_like_an_array_that_holds_everything(size, pieces, start, stop):
    history = History(size, np.dtype("f8"), (2,))
    whole = np.full((size, 2), np.nan)
    end = 0
    for rows, gap in pieces:
        data = np.arange(rows * 2.0).reshape(rows, 2) + end
        end += gap + rows
        history.append(end, data)
        whole = np.concatenate([whole, np.full((gap, 2), np.nan), data])
    assert (history.index, history.first_index) == (end, end - size)
    kept = whole[-size:]
    np.testing.assert_array_equal(history[:], kept)
    np.testing.assert_array_equal(history[::-1], kept[::-1])
    np.testing.assert_array_equal(history[:, 1], kept[:, 1])
    first, last = sorted((start, stop))
    if end - size <= first and last <= end:
        np.testing.assert_array_equal(history.get(first, last), whole[first + size : last + size])
    else:
        with pytest.raises(IndexError, match="samples"):
            history.get(first, last)


def test_views_never_change():
    history = History(10, np.dtype("i4"), ())
    views = []
    for number in range(40):
        history.append((number + 1) * 3, np.full(3, number, "i4"))
        views.append(history[-3:])
    assert [view.tolist() for view in views] == [[number] * 3 for number in range(40)]
    with pytest.raises(ValueError, match="read-only"):
        views[0][0] = 1


def test_single_samples_and_numbers_out_of_reach():
    history = History(4, np.dtype("i4"), (2,))
    history.append(6, np.arange(12, dtype="i4").reshape(6, 2))
    assert history[-1].tolist() == [10, 11]
    assert history[5, 0] == 10
    assert history[2:6:2, 1].tolist() == [5, 9]
    assert history[5:3:-1, 0].tolist() == [10, 8]
    for key in (1, 6, slice(1, 3), slice(4, 7)):
        with pytest.raises(IndexError):
            history[key]


def test_very_far_jumps_cost_nothing():
    history = History(4, np.dtype("f4"), ())
    history.append(2, np.ones(2, "f4"))
    history.append(1 << 61, np.ones(2, "f4"))
    assert np.isnan(history[-4:-2]).all()
    history.append(4, np.zeros(2, "f4"))  # the sender counts anew
    assert history.index == 4


@pytest.mark.parametrize(("dtype", "fill", "shown"), [("i2", None, 0), ("i2", -1, -1), ("M8[s]", None, "NaT")])
def test_what_stands_for_missing_samples(dtype, fill, shown):
    with OutputStream().configure(protocol="inproc", dtype=dtype, fill=fill) as out:
        with InputStream().connect(out) as inp:
            with pytest.raises(StateError, match="set_buffer"):
                inp[-1]
            inp.set_buffer(10)
            with pytest.raises(IndexError, match="nothing was received"):
                inp[-1]
            out.send(np.ones(2, "i8").astype(dtype))
            assert inp.recv(30)[0] == 2
            assert str(inp[-3]) == str(shown)
            assert inp.get_array_slice(2, 2).tolist() == inp.get_data(0, 2, copy=True).tolist()
            inp.reset_buffer_index()
            assert str(inp[-1]) == str(shown)
            with pytest.raises(LayoutError):
                inp.set_buffer(0)
