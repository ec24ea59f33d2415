"""Histograms: equal to NumPy's in range, complete outside of it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.errors import LayoutError
from labdaq.kernels import Histogram

REGULAR = st.builds(
    lambda low, width, bins: np.linspace(low, low + width, bins + 1),
    st.floats(-100, 100),
    st.floats(0.1, 1000),
    st.integers(1, 60),
)
IRREGULAR = st.lists(st.floats(-100, 100), min_size=2, max_size=20, unique=True).map(sorted).map(np.array)
EDGES = st.one_of(REGULAR, IRREGULAR)


def values_for(edges):
    """Anything, and what is on an edge or next to it."""
    at_edges = st.sampled_from([*edges, *np.nextafter(edges, -np.inf), *np.nextafter(edges, np.inf)])
    return arrays("f8", st.integers(0, 50), elements=st.one_of(st.floats(width=64), at_edges))


@given(st.data())
def test_equal_to_numpy_and_complete(data):
    edges = data.draw(EDGES)
    values = data.draw(values_for(edges))
    histogram = Histogram(edges)
    histogram.fill(values)
    is_number = ~np.isnan(values)
    np.testing.assert_array_equal(histogram.counts, np.histogram(values[is_number], edges)[0])
    assert histogram.with_flow[0] == (values < edges[0]).sum()
    assert histogram.with_flow[-1] == (values > edges[-1]).sum()
    assert histogram.missing == (~is_number).sum()
    assert histogram.entries == len(values)


@given(st.data())
def test_two_dimensions_equal_to_numpy(data):
    edges = data.draw(EDGES), data.draw(EDGES)
    x, y = data.draw(values_for(edges[0])), data.draw(values_for(edges[1]))
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    histogram = Histogram(*edges)
    histogram.fill(x, y)
    is_number = ~(np.isnan(x) | np.isnan(y))
    expected = [
        np.histogram(y[is_number & (x >= low) & ((x < high) | ((x == high) & (high == edges[0][-1])))], edges[1])[0]
        for low, high in zip(edges[0], edges[0][1:], strict=False)
    ]
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.missing == n - is_number.sum()
    assert histogram.entries == n


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f4", "bool"])
def test_any_numbers(dtype):
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    histogram = Histogram([0, 1, 2])
    histogram.fill(values)
    assert histogram.counts.tolist() == [2, 3]


def test_many_values_of_equally_wide_bins():
    values = np.random.default_rng(1).normal(0, 3, 200_000)
    edges = np.linspace(-1, 1, 301)
    histogram = Histogram(edges)
    histogram.fill(values.reshape(400, 500))
    np.testing.assert_array_equal(histogram.counts, np.histogram(values, edges)[0])


def test_batches_and_workers_add_up():
    values = np.random.default_rng(2).normal(size=40_000)
    whole, parts = Histogram(np.linspace(-2, 2, 41)), [Histogram(np.linspace(-2, 2, 41)) for _ in range(4)]
    whole.fill(values)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part, batch: part.fill(batch), parts, values.reshape(4, -1)))
    merged = Histogram(np.linspace(-2, 2, 41))
    merged.merge(parts)
    np.testing.assert_array_equal(merged.with_flow, whole.with_flow)
    assert merged.entries == 40_000


def test_merging_adds_all_or_nothing():
    one, same, other = Histogram([0, 1]), Histogram([0, 1]), Histogram([0, 2])
    same.fill([0.5, np.nan])
    with pytest.raises(LayoutError, match="same edges"):
        one.merge([same, other])
    assert one.entries == 0
    one.merge([same])
    assert (one.entries, one.missing) == (2, 1)


def test_clear():
    histogram = Histogram([0, 1], [0, 1])
    histogram.fill([0.5, 7], [0.5, np.nan])
    counts = histogram.counts
    assert (histogram.entries, counts.tolist()) == (2, [[1]])
    histogram.clear()
    assert (histogram.entries, counts.tolist()) == (0, [[0]])


@pytest.mark.parametrize("edges", [(), ([1],), ([1, 1],), ([2, 1],), ([0, np.inf],), ([[0, 1]],), ([0, 1],) * 3])
def test_edges_that_are_none(edges):
    with pytest.raises(LayoutError):
        Histogram(*edges)


@pytest.mark.parametrize("columns", [(), ([1], [2]), ([1, 2], [1], [1])])
def test_columns_that_do_not_fit(columns):
    with pytest.raises(LayoutError, match="arrays of the same length"):
        Histogram([0, 1]).fill(*columns)
