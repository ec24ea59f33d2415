"""Resizing keeps what is there, while others read and write, here and in other processes."""

import multiprocessing
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError, SpanError, WaitTimeoutError


@pytest.mark.parametrize("space", ["system", "shared"])
def test_frames_planes_and_ringlets_are_kept(space):
    with labdaq.Ring(space=space) as ring:
        ring.resize(6, 31, 2)
        with ring.begin_writing() as writer:
            with writer.begin_sequence(tensor={"dtype": "int16"}, planes={"row": "i4"}) as sequence:
                for first in range(0, 60, 3):
                    with sequence.reserve(3) as span:
                        span.data[:] = np.arange(first, first + 3) * [[1], [-1]]
                        span.planes["row"][:] = range(first, first + 3)
                    if first % 12 == 0:
                        ring.resize(6 + first, 31 + first, 2)
        (found,) = [[(s.data.copy(), s.planes["row"].copy()) for s in q.read(3)] for q in ring.read()]
        rows = np.concatenate([rows for _, rows in found])
        assert np.array_equal(rows, np.arange(60)[-len(rows) :])
        assert len(rows) == (31 + 48) // 2
        assert np.array_equal(np.concatenate([data for data, _ in found], axis=1), rows * [[1], [-1]])


def test_events_and_their_metadata_are_kept():
    planes = {"quality": ("f4", (2,))}
    with labdaq.Ring(dtype="i8", capacity=5, planes=planes) as ring, ring.writer() as writer:
        for number in range(12):
            with writer.reserve(1) as span:
                span.data[:] = number
                span.planes["quality"][:] = number
                if number == 9:
                    span.void()
        ring.resize(9, 9)
        assert ring.capacity == 9
        late = ring.reader()
        assert late.missed == 7  # what was gone stays gone
        ring.end()
        found = [(e.index, e.counter, int(e.data), e.plane("quality").tolist()) for e in late]
        assert found == [(n, n if n < 9 else n - 1, n, [n, n]) for n in (7, 8, 10, 11)]


def test_ones_own_open_span_is_an_error_at_once():
    with labdaq.Ring(dtype="i8", capacity=4) as ring, ring.writer() as writer:
        event = writer.reserve()
        with pytest.raises(SpanError, match="this thread itself"):
            ring.resize(8)
        event.commit()
        with ring.reader() as reader:
            reader.read()
            with pytest.raises(SpanError, match="this thread itself"):
                ring.resize(8)
        ring.resize(8)


def test_spans_of_others_are_waited_for_and_named():
    with labdaq.Ring(dtype="i8", capacity=4) as ring:
        is_open, may_go = threading.Event(), threading.Event()

        def hold():
            with ring.writer(label="slow one") as writer, writer.reserve():
                is_open.set()
                may_go.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        is_open.wait(5)
        start = time.monotonic()
        with pytest.raises(WaitTimeoutError, match="'slow one' in this process"):
            ring.resize(8, timeout=0.1)
        assert time.monotonic() - start < 1
        assert ring.capacity == 4
        with ring.writer() as writer, ring.reader():
            writer.reserve(timeout=0).commit()  # everything goes on after a failure
        threading.Timer(0.05, may_go.set).start()
        ring.resize(8, timeout=10)
        assert ring.capacity == 32
        thread.join(5)


def test_one_who_leaves_with_a_span_open_does_not_wait_for_the_resize():
    with labdaq.Ring(dtype="i8", capacity=4) as ring:
        is_open, resizing = threading.Event(), threading.Event()

        def leave():
            with ring.writer() as writer:
                writer.reserve()
                is_open.set()
                resizing.wait(10)
                time.sleep(0.05)

        thread = threading.Thread(target=leave)
        thread.start()
        is_open.wait(5)
        resizing.set()
        ring.resize(8, timeout=10)
        thread.join(5)
        assert ring.capacity == 32


def test_while_others_read_and_write():
    with labdaq.Ring(dtype="i8", shape=(3,), capacity=5) as ring:
        reader, observer = ring.reader(), ring.observer()
        seen, watched = [], []

        def write():
            with ring.writer() as writer:
                for number in range(3000):
                    with writer.reserve(2) as span:
                        span.data[:] = [[2 * number] * 3, [2 * number + 1] * 3]

        threads = [
            threading.Thread(target=write),
            threading.Thread(target=lambda: seen.extend(event.data.tolist() for event in reader)),
            threading.Thread(target=lambda: watched.extend((e.index, e.data.tolist()) for e in observer)),
        ]
        for thread in threads:
            thread.start()
        for total in range(6, 60):
            ring.resize(2, total)
        threads[0].join(20)
        ring.end()
        for thread in threads:
            thread.join(10)
        assert seen == [[n] * 3 for n in range(6000)]
        assert all(data == [index] * 3 for index, data in watched)
        assert len(watched) + observer.skipped + observer.overwritten == 6000


def test_two_who_resize_at_once_both_get_what_they_need():
    with labdaq.Ring() as ring:
        ring.resize(1, 10)

        def enlarge(i):
            for n in range(1, 8):
                ring.resize(i + n, 100 * n + i)

        threads = [threading.Thread(target=enlarge, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (ring.contiguous, ring.capacity) == (10, 703)


def test_ringlets_are_for_bytes():
    with labdaq.Ring(dtype="f4", capacity=4) as ring, pytest.raises(LayoutError, match="ringlets"):
        ring.resize(4, 8, 2)


def read_elsewhere(ring, answers):
    reader = ring.reader("elsewhere")
    answers.put("ready")
    answers.put([int(event.data) for event in reader])


def test_in_shared_memory_with_another_process():
    context = multiprocessing.get_context("spawn")
    with labdaq.Ring(dtype="i8", capacity=4, space="shared") as ring:
        answers = context.SimpleQueue()
        child = context.Process(target=read_elsewhere, args=(ring, answers))
        child.start()
        assert answers.get() == "ready"
        with ring.writer() as writer:
            for number in range(500):
                writer.put(number, timeout=10)
                if number % 50 == 0:
                    ring.resize(4, 5 + number, timeout=10)
        ring.end()
        assert answers.get() == list(range(500))
        child.join(10)
        child.close()
        answers.close()
