"""Observers hold nobody back, are never given torn data, and are told what they missed."""

import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import ClosedError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.native import jit
from labdaq.native.atomics import peek, poke
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import reserve
from labdaq.ring.writing_steps import commit_event


@pytest.fixture
def ring():
    with labdaq.Ring(dtype="i8", capacity=8) as ring:
        yield ring


def put(ring, values):
    with ring.writer() as writer:
        for value in values:
            writer.put(value)


@jit(cache=False)
def fill(address, nbytes, number):
    for offset in range(0, nbytes, 8):
        poke(address + offset, number)


@jit(cache=False)
def write_fast(handle, start, count):
    """Frames of one number each, as fast as they can be written."""
    data, slots, nbytes = peek(handle + w.DATA), peek(handle + w.DATA_SLOTS), peek(handle + w.DATA_NBYTES)
    for number in range(start, start + count):
        frame = reserve(handle, 1, 0)
        fill(data + (frame % slots) * nbytes, nbytes, number)
        commit_event(handle, frame, number, number, 0.0)
    return start + count


def test_what_is_there_is_seen_and_what_is_gone_is_told(ring):
    put(ring, range(5))
    observer = ring.observer()
    assert [(int(e.data), e.skipped) for e in (observer.read(timeout=0) for _ in range(3))] == [(0, 0), (1, 0), (2, 0)]
    put(ring, range(5, 20))
    event = observer.read(timeout=0)
    assert (int(event.data), event.index, event.skipped, observer.skipped) == (12, 12, 9, 9)
    assert observer.read(timeout=0).skipped == 0
    observer.close()


def test_a_late_observer_begins_at_the_oldest_or_the_newest(ring):
    put(ring, range(20))
    with ring.observer() as oldest, ring.observer(latest=True) as newest:
        assert int(oldest.read(timeout=0).data) == 12
        assert oldest.skipped == 0
        with pytest.raises(WaitTimeoutError):
            newest.read(timeout=0)
        put(ring, [20])
        assert int(newest.read(timeout=0).data) == 20


def test_the_latest_passes_over_the_others(ring):
    put(ring, range(6))
    with ring.observer() as observer:
        assert (int(observer.latest(timeout=0).data), observer.skipped) == (5, 5)
        with pytest.raises(WaitTimeoutError):
            observer.latest(timeout=0)


def test_the_latest_is_one_that_was_not_taken_back(ring):
    put(ring, range(3))
    with ring.observer() as observer, ring.writer() as writer:
        for _ in range(2):
            writer.reserve().void()
        assert int(observer.latest(timeout=0).data) == 2
        with pytest.raises(WaitTimeoutError):
            observer.latest(timeout=0)
        put(ring, [7])
        assert int(observer.latest(timeout=0).data) == 7


def test_frames_that_are_being_written_are_not_shown(ring):
    put(ring, range(8))
    with ring.observer() as observer, ring.writer() as writer:
        span = writer.reserve(8)
        span.data[:] = -1
        with pytest.raises(WaitTimeoutError):
            observer.read(timeout=0)
        assert observer.skipped == 8
        span.commit()
        assert int(observer.read(timeout=0).data) == -1


def test_observers_hold_nobody_back(ring):
    with ring.observer() as observer:
        put(ring, range(100))
        assert ring.statistics().observers[0].lag == 100
        assert int(observer.read().data) == 92


def test_copies_stay(ring):
    put(ring, range(8))
    with ring.observer() as observer:
        event = observer.read()
        put(ring, range(100, 120))
        assert (int(event.data), event.counter, event.valid()) == (0, 0, True)
        event.data[...] = 5  # one's own
    ring.close()
    assert (int(event.data), event.valid()) == (5, True)


def test_views_tell_when_they_are_no_longer_good(ring):
    put(ring, range(8))
    with ring.observer(copy=False) as observer:
        event = observer.read()
        assert (int(event.data), event.valid()) == (0, True)
        with ring.writer() as writer:
            with writer.reserve() as following:
                assert not event.valid()
                following.data[...] = 9
        with pytest.raises(ValueError, match="read-only"):
            event.data[...] = 1
        second = observer.read()
        assert second.valid()
        ring.resize(8, 9)
        assert not second.valid()


def test_voided_frames_are_not_shown(ring):
    with ring.observer() as observer, ring.writer() as writer:
        for value in range(8):
            with writer.reserve() as event:
                event.data[...] = value
                if value % 3:
                    event.void()
        ring.end()
        assert [int(event.data) for event in observer] == [0, 3, 6]
        assert observer.skipped == 0


def test_batches_are_what_is_there(ring):
    put(ring, range(7))
    observer = ring.observer()
    batches = observer.spans(4)
    assert [int(event.data) for event in next(batches)] == [0, 1, 2, 3]
    assert [int(event.data) for event in next(batches)] == [4, 5, 6]
    ring.end()
    assert list(batches) == []
    with pytest.raises(ClosedError):
        observer.read()


def test_the_end_is_told(ring):
    observer = ring.observer()
    put(ring, [1])
    ring.end()
    assert int(observer.read().data) == 1
    with pytest.raises(EndOfDataError):
        observer.read()
    observer.close()


def test_bytes_are_observed_as_sequences():
    with labdaq.Ring() as ring, pytest.raises(LayoutError, match="guarantee=False"):
        ring.observer()


@pytest.mark.parametrize("copy", [True, False])
def test_nothing_torn_is_given_out_under_a_fast_writer(copy):
    frames = 60_000
    with labdaq.Ring(dtype="i8", shape=(2000,), capacity=16) as ring, ring.writer() as writer:
        write_fast(writer._address, 0, 1)
        observer = ring.observer(copy=copy)
        torn = [0]
        seen = [0]

        def observe():
            for event in observer:
                data = event.data
                is_torn = bool((data != data[0]).any()) or int(data[0]) != event.index
                seen[0] += 1
                if copy or event.valid():
                    torn[0] += is_torn or (event.counter != event.index and event.valid())

        thread = threading.Thread(target=observe)
        thread.start()
        deadline = time.monotonic() + 2
        written = 1
        while written < frames and time.monotonic() < deadline:
            written = write_fast(writer._address, written, 500)
        ring.end()
        thread.join(10)
        assert torn == [0]
        assert seen[0] + observer.skipped + observer.overwritten == written
        assert seen[0] > 0


def test_two_observers_with_voids_balance():
    with labdaq.Ring(dtype="i8", capacity=64) as ring:
        observers = [ring.observer() for _ in range(2)]
        seen = [[], []]
        threads = [
            threading.Thread(target=lambda i=i: seen[i].extend((e.index, int(e.data)) for e in observers[i]))
            for i in range(2)
        ]
        for thread in threads:
            thread.start()
        voided = set()
        choose = np.random.default_rng(3)
        with ring.writer() as writer:
            for number in range(5000):
                event = writer.reserve()
                event.data[...] = number
                if choose.integers(5) == 0:
                    voided.add(number)
                    event.void()
                else:
                    event.commit()
        ring.end()
        for thread, observer, found in zip(threads, observers, seen, strict=True):
            thread.join(10)
            assert all(index == value and index not in voided for index, value in found)
            gone = observer.skipped + observer.overwritten
            assert len(found) + gone <= 5000 <= len(found) + gone + len(voided)


def test_who_holds_frames_is_told_of_when_others_wait_behind(ring, caplog, monkeypatch):
    monkeypatch.setattr("labdaq.ring.core.STALL_S", 0.0)
    monkeypatch.setattr("labdaq.ring.core._LOOK_EVERY_S", 0.0)
    with ring.writer() as slow, ring.writer() as quick, slow.reserve():
        ring._core.look_after()
        assert not caplog.records
        quick.put(1)
        ring._core.look_after()
        assert "has held frames" in caplog.text
