"""Rings of events: many write, groups share or see all, and nothing is lost, doubled or mixed."""

import contextlib
import signal
import threading
import time

import numpy as np
import pytest

import labdaq
from labdaq.errors import BusyError, ClosedError, LayoutError, WaitTimeoutError
from labdaq.testing import run_threads
from tests.ring.putting import put


@pytest.fixture
def ring():
    with labdaq.Ring("numbers", dtype="i8", capacity=8) as ring:
        yield ring


class TestNames:
    def test_a_name_used_again_replaces_an_idle_ring(self):
        first = labdaq.Ring("again", dtype="i8", capacity=4)
        first.group("declared")
        put(first, range(3))
        second = labdaq.Ring("again", dtype="f4", capacity=9)
        assert first.closed
        assert not second.closed
        second.close()

    @pytest.mark.parametrize("use", ["reader", "writer"])
    def test_a_ring_in_use_is_not_replaced(self, use):
        with labdaq.Ring("again", dtype="i8", capacity=4) as ring:
            user = getattr(ring, use)(label="me")
            with pytest.raises(BusyError, match=f"{use} 'me' in this process"):
                labdaq.Ring("again", dtype="i8", capacity=4)
            user.close()
            labdaq.Ring("again", dtype="i8", capacity=4).close()

    def test_a_user_that_was_forgotten_does_not_count(self):
        ring = labdaq.Ring("again", dtype="i8", capacity=4)
        reader = ring.reader()
        del reader
        labdaq.Ring("again", dtype="i8", capacity=4).close()
        assert ring.closed

    def test_rings_without_a_name_are_all_different(self):
        with labdaq.Ring(dtype="i8", capacity=4) as one, labdaq.Ring(dtype="i8", capacity=4) as other:
            assert one.name != other.name

    @pytest.mark.parametrize(
        "wrong",
        [{"space": "moon"}, {"dtype": "O"}, {"dtype": "S"}, {"shape": (2,)}, {"dtype": "f4", "shape": (0,)},
         {"dtype": "f4", "capacity": 0}, {"dtype": "f4", "capacity": -3}, {"dtype": "f4", "planes": {"a": "f4"}},
         {"dtype": "no such"}, {"planes": {"a": "f4"}, "capacity": 5}],
    )  # fmt: skip
    def test_what_is_no_ring_is_refused(self, wrong):
        with pytest.raises(LayoutError):
            labdaq.Ring(**wrong)


class TestThreads:
    def test_a_writer_used_by_two_threads_never_mixes_data(self):
        with labdaq.Ring(dtype="i8", shape=(50,), capacity=16) as ring:
            reader, writer = ring.reader(), ring.writer()
            written = [0, 0]

            def write(number):
                for value in range(number, 3000, 2):
                    with contextlib.suppress(BusyError):
                        writer.put(np.full(50, value), timeout=5)
                        written[number] += 1

            seen = []
            consumer = threading.Thread(target=lambda: seen.extend(event.data.copy() for event in reader))
            consumer.start()
            run_threads(lambda: write(0), lambda: write(1))
            writer.close()
            ring.end()
            consumer.join(10)
            assert len(seen) == sum(written)
            assert len({int(data[0]) for data in seen}) == len(seen)
            assert all((data == data[0]).all() for data in seen)

    def test_a_blocked_writer_is_busy_for_others(self, ring):
        ring.group("full")
        put(ring, range(8))
        writer = ring.writer()

        def block():
            with pytest.raises(ClosedError):
                writer.put(9)

        thread = threading.Thread(target=block)
        thread.start()
        with pytest.raises(BusyError, match="another thread"):  # noqa: PT012 - as soon as the other one sleeps
            for _ in range(1000):
                with pytest.raises(WaitTimeoutError):
                    writer.put(1, timeout=0)
                time.sleep(0.001)
        ring.end()
        thread.join(5)
        writer.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to threads")
class TestInterrupts:
    """Ctrl-C is a signal to the main thread."""

    def interrupted_after(self, wait):
        sent = []

        def send():
            time.sleep(0.05)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=send)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        thread.join()
        return time.monotonic() - sent[0]

    @pytest.mark.parametrize("what", ["reserve", "put", "read", "spans", "observer", "iterate"])
    def test_blocked_calls_return_at_once(self, ring, what):
        ring.group("full")
        put(ring, range(8))
        with ring.reader() as reader, ring.writer() as writer, ring.observer(latest=True) as observer:
            for _ in range(8):
                reader.read()
            waits = {
                "reserve": writer.reserve, "put": lambda: writer.put(1), "read": reader.read,
                "spans": lambda: next(reader.spans(2)), "observer": observer.read, "iterate": lambda: list(reader),
            }  # fmt: skip
            assert self.interrupted_after(waits[what]) < 0.1
            assert ring.statistics().frames_reserved == 0

    def test_blocked_reading_of_sequences_returns_at_once(self):
        with labdaq.Ring() as ring:
            ring.resize(4, 16)
            with ring.begin_writing() as writer, writer.begin_sequence() as sequence, ring.read() as reader:
                reading = reader.next_sequence()
                assert self.interrupted_after(lambda: next(reading.read(4))) < 0.1
                assert self.interrupted_after(reader.next_sequence) < 0.1
                for _ in range(4):
                    sequence.reserve(4).commit()
                assert self.interrupted_after(lambda: sequence.reserve(4)) < 0.1

    def test_interrupting_a_wait_at_any_moment_leaves_everything_usable(self):
        """A stop-watch interrupts both ends of a running ring again and again."""
        with labdaq.Ring(dtype="i8", capacity=8) as ring, ring.reader() as reader, ring.writer() as writer:
            old = signal.signal(signal.SIGALRM, signal.default_int_handler)
            seen, interrupts = [], 0
            try:
                for number in range(200):
                    try:
                        signal.setitimer(signal.ITIMER_REAL, 1e-4 + 3e-6 * number)
                        while True:
                            writer.put(1, timeout=1)
                            seen.append(int(reader.read(timeout=1).data))
                    except KeyboardInterrupt:
                        interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, old)
            assert interrupts == 200
            assert set(seen) == {1}
