"""Copying payloads into frames whose rows lie apart.

Row by row of one payload brings in line after line of the cache, most of it for other sources. Payloads that come one
after the other are neighbours in the frame as a rule: four together write whole lines, which is twice as fast.
"""

from labdaq.native import inlined, jit
from labdaq.native.atomics import copy_bytes, peek, poke
from labdaq.packet import words as w

__all__ = ["copy_neighbours", "copy_soon"]

_MOST = 4


@inlined
def _get(words: int, index: int) -> int:
    return peek(words + 8 * index)


@inlined
def _set(words: int, index: int, value: int) -> None:
    poke(words + 8 * index, value)


@inlined
def _copy_rows(target: int, source: int, rows: int, block: int, stride: int) -> None:
    """Rows one behind the other in the source, apart in the target. Constant lengths become single instructions."""
    if block == 1:
        for i in range(rows):
            copy_bytes(target + i * stride, source + i, 1)
    elif block == 2:
        for i in range(rows):
            copy_bytes(target + i * stride, source + 2 * i, 2)
    elif block == 32:
        for i in range(rows):
            copy_bytes(target + i * stride, source + 32 * i, 32)
    else:
        for i in range(rows):
            copy_bytes(target + i * stride, source + i * block, block)


@inlined
def _copy_four_rows(target: int, words: int, rows: int, block: int, stride: int) -> None:
    """The same for four sources whose rows are neighbours in the target."""
    a, b = _get(words, w.NEIGHBOURS), _get(words, w.NEIGHBOURS + 1)
    c, d = _get(words, w.NEIGHBOURS + 2), _get(words, w.NEIGHBOURS + 3)
    for i in range(rows):
        row, at = target + i * stride, i * block
        copy_bytes(row, a + at, block)
        copy_bytes(row + block, b + at, block)
        copy_bytes(row + 2 * block, c + at, block)
        copy_bytes(row + 3 * block, d + at, block)


@jit
def copy_neighbours(words: int) -> None:
    """Copy the payloads that wait for it."""
    count, target = _get(words, w.COUNT), _get(words, w.TARGET)
    rows, block, stride = _get(words, w.ROWS), _get(words, w.BLOCK), _get(words, w.STRIDE)
    _set(words, w.COUNT, 0)
    if count < _MOST:
        for i in range(count):
            _copy_rows(target + i * block, _get(words, w.NEIGHBOURS + i), rows, block, stride)
    elif block == 1:
        _copy_four_rows(target, words, rows, 1, stride)
    elif block == 2:
        _copy_four_rows(target, words, rows, 2, stride)
    elif block == 32:
        _copy_four_rows(target, words, rows, 32, stride)
    else:
        _copy_four_rows(target, words, rows, block, stride)


@inlined
def copy_soon(words: int, target: int, source: int) -> None:
    """Copy a payload together with its neighbours, if these are the next to come."""
    count = _get(words, w.COUNT)
    is_neighbour = target == _get(words, w.TARGET) + count * _get(words, w.BLOCK)
    if count == _MOST or not is_neighbour:
        copy_neighbours(words)
        count = 0
    if count == 0:
        _set(words, w.TARGET, target)
    _set(words, w.NEIGHBOURS + count, source)
    _set(words, w.COUNT, count + 1)
