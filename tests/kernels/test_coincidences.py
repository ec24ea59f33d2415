"""Coincidences and signatures: against their definitions, and worked examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import group_peaks, group_peaks_into, match_signatures, parse_signatures
from labdaq.kernels.coincidences import group_peaks_reference

ROWS = st.lists(st.lists(st.integers(0, 100), max_size=8).map(sorted), min_size=1, max_size=4)


@given(ROWS, st.integers(1, 40))
def test_groups_equal_the_definition(positions, window):
    assert group_peaks(positions, window).tolist() == group_peaks_reference(positions, window)


@given(ROWS, st.integers(1, 40))
def test_each_peak_is_in_one_group_and_near_its_beginning(positions, window):
    groups = group_peaks(positions, window)
    for channel, row in enumerate(positions):
        assert [number for number in groups[:, channel] if number >= 0] == list(range(len(row)))
    for group in groups:
        times = [positions[channel][number] for channel, number in enumerate(group) if number >= 0]
        assert max(times) - min(times) < window


def test_the_window_is_open():
    assert group_peaks([[10], [29]], 20).tolist() == [[0, 0]]
    assert group_peaks([[10], [30]], 20).tolist() == [[0, -1], [-1, 0]]


def test_positions_may_be_times():
    assert group_peaks([[0.5, 3.25], [0.75]], 0.5).tolist() == [[0, 0], [1, -1]]


def test_groups_beyond_the_rows_are_counted():
    groups = np.zeros((1, 1), np.int64)
    assert group_peaks_into(np.array([[1, 50, 99]]), np.array([3]), 5.0, groups, np.zeros(1, np.int64)) == 3
    assert groups.tolist() == [[0]]


@pytest.mark.parametrize(("positions", "window"), [([[2, 1]], 5), ([[[1]]], 5), ([[1]], 0), ([[1]], np.nan)])
def test_what_cannot_be_grouped(positions, window):
    with pytest.raises(LayoutError, match="positions must be rows"):
        group_peaks(positions, window)


LETTERS = {"+": lambda n: n >= 0, "-": lambda n: n < 0, "0": lambda _: True}
WORDS = st.tuples(*[st.text("+-0", min_size=3, max_size=3)] * 2)


@given(
    st.lists(WORDS, min_size=1, max_size=4),
    st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=2, max_size=4),
)
def test_first_signature_that_fits(signatures, groups):
    fits = [
        all(
            LETTERS[letter](n)
            for word, row in zip(one, groups, strict=False)
            for letter, n in zip(word, row, strict=True)
        )
        for one in signatures
    ]
    expected = fits.index(True) if any(fits) else -1
    assert match_signatures(np.array(groups), len(groups), parse_signatures(signatures)) == expected


def test_too_few_groups_fit_nothing():
    assert match_signatures(np.zeros((2, 1), np.int64), 1, parse_signatures([("0", "0")])) == -1


@pytest.mark.parametrize(
    "signatures", [[], [()], [("",)], [("++", "+")], [("+", "+"), ("+",)], [("+x",)], [("+",), ("++",)]]
)
def test_signatures_that_are_none(signatures):
    with pytest.raises(LayoutError, match="signatures have letters"):
        parse_signatures(signatures)
