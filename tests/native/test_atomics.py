"""Atomic operations do what they say, on the address they were given, with several threads at once."""

import threading

import numpy as np
import pytest

from labdaq.native import atomics, jit


@jit(cache=False)
def count_up(address, times):
    for _ in range(times):
        atomics.add(address, 1)


@jit(cache=False)
def count_up_by_swapping(address, times):
    for _ in range(times):
        while True:
            value = atomics.load(address)
            if atomics.compare_and_swap(address, value, value + 1):
                break
            atomics.pause()


@jit(cache=False)
def swap(address, expected, new):
    return atomics.compare_and_swap(address, expected, new)


@jit(cache=False)
def add32(address, amount):
    return atomics.add32(address, amount)


@jit(cache=False)
def copy_and_fill(target, source, count):
    atomics.copy_bytes(target, source, count)
    atomics.fill_bytes(target + count, 2, 255)
    return atomics.peek8(target + count)


@jit(cache=False)
def all_kinds(address):
    atomics.store(address, 1)
    atomics.publish(address + 8, 2)
    atomics.poke(address + 16, 3)
    atomics.poke_f64(address + 24, 0.5)
    atomics.fence()
    words = atomics.stack_words(2)
    atomics.poke(words + 8, atomics.peek(address + 16))
    return atomics.load(address) + 10 * atomics.load(address + 8) + 100 * atomics.peek(words + 8)


@jit(cache=False)
def write_pairs(address, times):
    for i in range(1, times + 1):
        atomics.poke(address + 128, i)
        atomics.publish(address, i)


@jit(cache=False)
def read_pairs(address, times):
    behind = 0
    seen = 0
    while seen < times:
        seen = atomics.load(address)
        behind += atomics.load(address + 128) < seen
    return behind


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("function", [count_up, count_up_by_swapping])
def test_no_increment_is_lost(function):
    words = np.zeros(3, np.int64)
    address = words[1:].ctypes.data
    function(address, 0)
    in_threads(*[lambda: function(address, 200_000)] * 3)
    assert words.tolist() == [0, 600_000, 0]


def test_a_swap_happens_only_where_the_value_is_expected():
    words = np.array([5], np.int64)
    assert (swap(words.ctypes.data, 4, 9), words[0]) == (0, 5)
    assert (swap(words.ctypes.data, 5, -9), words[0]) == (1, -9)


def test_half_words_leave_their_neighbours_alone():
    halves = np.array([-1, 7, -1], np.int32)
    assert add32(halves.ctypes.data + 4, np.int32(-9)) == 7
    assert halves.tolist() == [-1, -2, -1]


def test_bytes_are_copied_and_filled_from_any_address():
    target, source = np.zeros(10, np.uint8), np.arange(10, dtype=np.uint8)
    assert copy_and_fill(target.ctypes.data + 1, source.ctypes.data + 3, 5) == 255
    assert target.tolist() == [0, 3, 4, 5, 6, 7, 255, 255, 0, 0]


def test_every_kind_of_write_is_seen():
    words = np.zeros(4, np.int64)
    assert all_kinds(words.ctypes.data) == 321
    assert words[:3].tolist() == [1, 2, 3]
    assert words[3:].view("f8")[0] == 0.5


def test_what_was_written_before_a_publish_is_seen_after_it():
    words = np.zeros(32, np.int64)
    read_pairs(words.ctypes.data, 0)
    behind = []
    in_threads(
        lambda: behind.append(read_pairs(words.ctypes.data, 300_000)),
        lambda: write_pairs(words.ctypes.data, 300_000),
    )
    assert behind == [0]
