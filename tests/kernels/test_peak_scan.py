"""The steps below the finding of peaks, against plain NumPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.kernels.peak_scan import BLOCK, LANES, find_base, order_by_height, sum_up

NUMBERS = st.one_of(st.integers(0, 9).map(float), st.just(np.nan))


def blocks_of(samples):
    blocks = np.empty((2, len(samples) // BLOCK + 1))
    return sum_up(samples, blocks, np.empty(LANES)), blocks


@given(arrays("f8", st.integers(1, 3 * BLOCK), elements=NUMBERS))
def test_blocks(samples):
    smallest, blocks = blocks_of(samples)
    assert smallest == np.fmin.reduce(samples, initial=np.inf)
    for number, begin in enumerate(range(0, len(samples), BLOCK)):
        block = samples[begin : begin + BLOCK]
        assert blocks[0, number] == np.fmin.reduce(block, initial=np.inf)
        np.testing.assert_equal(blocks[1, number], block.max())


@given(arrays("f8", st.integers(1, 5 * BLOCK), elements=NUMBERS), st.data())
def test_base_is_the_nearest_of_the_lowest(samples, data):
    peak = data.draw(st.integers(0, len(samples) - 1))
    samples[peak] = data.draw(st.integers(0, 12))
    _, blocks = blocks_of(samples)
    for step, row in ((1, samples[peak:]), (-1, samples[peak::-1])):
        is_beyond = ~(row <= samples[peak])
        reach = int(np.argmax(is_beyond)) if is_beyond.any() else len(row)
        border = len(samples) if step > 0 else -1
        assert find_base(samples, blocks, peak, step, border) == peak + step * int(np.argmin(row[:reach]))


@given(st.lists(st.integers(0, 20), max_size=80))
def test_order_is_stable(heights):
    peaks = np.array([(float(height),) for height in heights], [("height", "f8")])
    n = len(heights)
    order = order_by_height(peaks, n, *np.empty((2, n + 3), np.int64))
    np.testing.assert_array_equal(order, np.argsort(heights, kind="stable"))
