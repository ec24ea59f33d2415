"""Sleeping on a word: until it changes, until the time is over, or until a signal comes."""

import _thread
import errno
import threading
import time

import numpy as np
import pytest

from labdaq.native.futex import HAS_FUTEX, INTERRUPTED, futex_wait, futex_wake

pytestmark = pytest.mark.skipif(not HAS_FUTEX, reason="futexes are of Linux")
SECOND = 1_000_000_000


@pytest.fixture
def word():
    value = np.zeros(1, np.int32)
    futex_wait(value.ctypes.data, 1, 1, True)  # compile it before anything is timed
    futex_wake(value.ctypes.data, 1, True)
    return value


@pytest.mark.parametrize("is_private", [True, False])
def test_nobody_sleeps_on_a_word_that_has_changed(word, is_private):
    assert futex_wait(word.ctypes.data, 5, 10 * SECOND, is_private) == -errno.EAGAIN


@pytest.mark.parametrize("is_private", [True, False])
def test_sleep_ends_in_time(word, is_private):
    start = time.monotonic()
    assert futex_wait(word.ctypes.data, 0, SECOND // 50, is_private) == -errno.ETIMEDOUT
    assert 0.019 < time.monotonic() - start < 1


@pytest.mark.parametrize("is_private", [True, False])
def test_a_sleeper_is_woken(word, is_private):
    results = []
    sleeper = threading.Thread(target=lambda: results.append(futex_wait(word.ctypes.data, 0, 10 * SECOND, is_private)))
    sleeper.start()
    deadline = time.monotonic() + 5
    while not futex_wake(word.ctypes.data, 1, is_private) and time.monotonic() < deadline:
        time.sleep(0.001)
    sleeper.join()
    assert results == [0]


def test_negative_words_are_compared_as_they_are(word):
    word[0] = -3
    assert futex_wait(word.ctypes.data, -3, 1000, True) == -errno.ETIMEDOUT


def test_an_interrupt_ends_the_sleep(word):
    main = threading.get_ident()
    results = []

    def sleep():
        results.append(futex_wait(word.ctypes.data, 0, 10 * SECOND, True))

    import signal

    caught = threading.Event()
    old = signal.signal(signal.SIGUSR1, lambda *_: caught.set())
    timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1))
    try:
        timer.start()
        start = time.monotonic()
        sleep()
        assert time.monotonic() - start < 5
        assert results == [INTERRUPTED]
        assert caught.is_set()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, old)


def test_the_interpreter_runs_while_one_sleeps(word):
    lock = _thread.allocate_lock()
    lock.acquire()
    sleeper = threading.Thread(target=lambda: (futex_wait(word.ctypes.data, 0, SECOND // 5, True), lock.release()))
    sleeper.start()
    steps = 0
    while lock.locked():
        steps += 1
    sleeper.join()
    assert steps > 1000
