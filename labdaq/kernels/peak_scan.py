"""Searching in a waveform and sorting what is found: the steps below the finding of peaks, compiled.

A waveform is summed up in blocks of :data:`BLOCK` samples, by the smallest and the greatest sample of each.
Searches jump over blocks in which there is nothing for them, which makes the long ones many times quicker.
"""

from typing import Any

import numpy as np

from labdaq.native import jit

__all__ = ["BLOCK", "LANES", "find_base", "order_by_height", "sum_up"]

BLOCK = 64
"""Samples of a block: a power of two."""
_LANES = BLOCK // 4
LANES = (2, _LANES)
"""Shape of the scratch of :func:`sum_up`."""


@jit
def _sum_up_one_by_one(samples: Any) -> tuple[float, float]:
    """For blocks that are not whole, or hold NaN."""
    least, most, is_number = np.inf, -np.inf, True
    for sample in samples:
        least = sample if sample < least else least  # noqa: FURB136 - NaN is passed over
        most = sample if sample > most else most  # noqa: FURB136
        is_number &= sample == sample  # noqa: PLR0124
    return least, most if is_number else np.nan


@jit
def _sum_up_in_lanes(samples: Any, lanes: Any) -> tuple[float, float, bool]:
    """For whole blocks: sixteen comparisons at a time, which the compiler makes a few instructions of."""
    n_nan = 0
    for k in range(_LANES):
        a, b, c, d = samples[k], samples[k + _LANES], samples[k + 2 * _LANES], samples[k + 3 * _LANES]
        low, other_low = a if a < b else b, c if c < d else d  # noqa: FURB136 - min() asks for NaN
        high, other_high = a if a > b else b, c if c > d else d  # noqa: FURB136
        lanes[0, k] = low if low < other_low else other_low  # noqa: FURB136
        lanes[1, k] = high if high > other_high else other_high  # noqa: FURB136
        n_nan += (a != a) | (b != b) | (c != c) | (d != d)  # noqa: PLR0124
    least, most = lanes[0, 0], lanes[1, 0]
    for k in range(1, _LANES):
        least = lanes[0, k] if lanes[0, k] < least else least  # noqa: FURB136
        most = lanes[1, k] if lanes[1, k] > most else most  # noqa: FURB136
    return least, most, n_nan == 0


@jit
def sum_up(samples: Any, blocks: Any, lanes: Any) -> float:
    """Write the smallest and the greatest sample of each block to two rows, and return the smallest of all.

    NaN is passed over, but makes the greatest of its block NaN: nothing jumps over it. `lanes` is scratch, of
    shape :data:`LANES`.

    Examples
    --------
    >>> blocks = np.empty((2, 2))
    >>> sum_up(np.arange(70.0), blocks, np.empty(LANES))
    0.0
    >>> blocks.tolist()
    [[0.0, 64.0], [63.0, 69.0]]
    """
    n = samples.shape[0]
    smallest = np.inf
    for block in range((n + BLOCK - 1) // BLOCK):
        part = samples[block * BLOCK : min((block + 1) * BLOCK, n)]
        least, most, is_number = np.inf, -np.inf, False
        if part.shape[0] == BLOCK:
            least, most, is_number = _sum_up_in_lanes(part, lanes)
        if not is_number:
            least, most = _sum_up_one_by_one(part)
        blocks[0, block], blocks[1, block] = least, most
        smallest = min(smallest, least)
    return smallest


@jit
def find_base(samples: Any, blocks: Any, peak: int, step: int, border: int) -> int:
    """The lowest sample between a peak and the next higher sample, NaN, or the border.

    Parameters
    ----------
    samples, blocks : ndarray of float64
        The waveform, and its blocks from :func:`sum_up`.
    peak : int
        Where the search begins.
    step : {1, -1}
        To the right or to the left.
    border : int
        The first sample that is not looked at.

    Returns
    -------
    int
        Of several samples that are the lowest the one next to the peak.

    Examples
    --------
    >>> samples, blocks = np.array([9.0, 1.0, 3.0, 2.0, 5.0, 4.0]), np.empty((2, 1))
    >>> _ = sum_up(samples, blocks, np.empty(LANES))
    >>> find_base(samples, blocks, 4, -1, -1), find_base(samples, blocks, 4, 1, 6)
    (1, 5)
    """
    top = lowest = samples[peak]
    base = i = peak
    lowest_block = -1
    entry = 0 if step > 0 else BLOCK - 1  # where a block is entered
    while i != border:
        if i & (BLOCK - 1) == entry and (border - i) * step >= BLOCK and blocks[1, i // BLOCK] <= top:
            if blocks[0, i // BLOCK] < lowest:
                lowest, lowest_block = blocks[0, i // BLOCK], i // BLOCK
            i += step * BLOCK
            continue
        if not samples[i] <= top:
            break
        if samples[i] < lowest:
            lowest, base, lowest_block = samples[i], i, -1
        i += step
    if lowest_block >= 0:
        base = lowest_block * BLOCK + entry
        while samples[base] != lowest:
            base += step
    return base


@jit
def _merge(peaks: Any, source: Any, target: Any, begin: int, run: int) -> None:
    middle, end = min(begin + run, source.shape[0]), min(begin + 2 * run, source.shape[0])
    left, right = begin, middle
    for k in range(begin, end):
        takes_left = left < middle and (right >= end or peaks[source[left]]["height"] <= peaks[source[right]]["height"])
        target[k] = source[left] if takes_left else source[right]
        left += takes_left
        right += not takes_left


@jit
def order_by_height(peaks: Any, n: int, order: Any, spare: Any) -> Any:
    """Numbers of the first `n` peaks, lowest first, equal ones as they come: a merge sort without allocation.

    Returns
    -------
    ndarray
        `order` or `spare`: whichever holds the result.

    Examples
    --------
    >>> peaks = np.array([(3.0,), (1.0,), (3.0,), (2.0,)], [("height", "f8")])
    >>> order_by_height(peaks, 4, *np.empty((2, 4), "i8")).tolist()
    [1, 3, 0, 2]
    """
    order, spare = order[:n], spare[:n]
    for i in range(n):
        order[i] = i
    run = 1
    while run < n:
        for begin in range(0, n, 2 * run):
            _merge(peaks, order, spare, begin, run)
        order, spare = spare, order
        run *= 2
    return order
