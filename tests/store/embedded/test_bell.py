"""The bell: who waits is woken at once, whoever dies in between."""

import threading
import time

import pytest

from labdaq.errors import ClosedError
from labdaq.native.futex import HAS_FUTEX
from labdaq.store.embedded.bell import _LONGEST_NS, _UNTIL_NS, Bell


@pytest.fixture
def bell(tmp_path):
    return Bell(tmp_path / "bell")


def test_who_sees_it_does_not_wait(bell):
    assert bell.wait(lambda: True, 0)
    assert bell.wait(lambda: True, None)
    assert not bell.wait(lambda: False, 0)


def test_waiting_ends_in_time(bell):
    begin = time.monotonic()
    assert not bell.wait(lambda: False, 0.12)
    assert 0.12 <= time.monotonic() - begin < 2


@pytest.mark.skipif(not HAS_FUTEX, reason="without a futex it is polled")
def test_it_is_heard_at_once_through_another_handle(bell, tmp_path):
    """Half of the wake-ups take less than a tenth of the time after which a sleeper looks by himself."""
    other = Bell(tmp_path / "bell")
    other.wait(lambda: True, 0)
    numbers, delays = [0], []

    def listen():
        for number in range(1, 41):
            assert bell.wait(lambda: numbers[0] >= number, 20)  # noqa: B023 - called here
            delays.append(time.monotonic_ns() - rung[0])

    rung = [0]
    thread = threading.Thread(target=listen)
    thread.start()
    for number in range(1, 41):
        while other._words[_UNTIL_NS] < time.monotonic_ns():  # until it is asleep again
            time.sleep(1e-4)
        rung[0] = time.monotonic_ns()
        numbers[0] = number
        other.ring()
        while len(delays) < number:
            time.sleep(1e-4)
    thread.join()
    assert sorted(delays)[20] < 5_000_000


def test_ringing_is_one_comparison_when_nobody_listens(bell):
    assert not bell.wait(lambda: False, 0.001)
    rings = bell._words[0]
    while bell._words[_UNTIL_NS] > time.monotonic_ns():
        time.sleep(1e-3)
    bell.ring()
    assert bell._words[0] == rings


def test_a_time_of_an_earlier_start_of_the_machine_heals(bell):
    bell._words[_UNTIL_NS] = time.monotonic_ns() + 100 * _LONGEST_NS
    bell.ring()
    assert bell._words[_UNTIL_NS] == 0


@pytest.mark.parametrize("garbage", [-1, 2**62, -(2**63)])
def test_garbage_in_the_file_does_not_keep_anybody_asleep(bell, garbage):
    bell._words[0] = bell._words[_UNTIL_NS] = garbage
    numbers = [0]

    def listen():
        assert bell.wait(lambda: numbers[0] > 0, 20)

    thread = threading.Thread(target=listen)
    thread.start()
    numbers[0] = 1
    bell.ring()
    thread.join(5)
    assert not thread.is_alive()


def test_closing_wakes_who_waits(bell):
    errors = []

    def listen():
        try:
            bell.wait(lambda: False, None)
        except ClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    bell.close()
    thread.join(5)
    assert len(errors) == 1
    with pytest.raises(ClosedError):
        bell.wait(lambda: True, 0)


def test_a_file_that_is_too_short_is_made_whole(tmp_path):
    (tmp_path / "bell").write_bytes(b"x")
    assert Bell(tmp_path / "bell").wait(lambda: True, 0)
    assert (tmp_path / "bell").stat().st_size >= 4096
