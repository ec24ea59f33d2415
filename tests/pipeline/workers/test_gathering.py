"""Records that come quickly share a trip into the ring, and none waits for the next."""

import threading
import time

import numpy as np

from labdaq.pipeline import Pipeline


def numbers(count, hold=None):
    for number in range(count):
        if hold is not None and number == count - 1:
            assert hold.wait(60)
        yield np.float64(number)


def piped(source, sink, capacity=256):
    daq = Pipeline("gathered", store=None)
    raw = daq.ring("raw", "f8", capacity=capacity)
    daq.source(source, raw, name="source")
    daq.sink(sink, raw, name="sink")
    return daq


def test_what_was_given_is_seen_although_the_next_does_not_come():
    hold, seen = threading.Event(), []
    with piped(lambda: numbers(301, hold), lambda event: seen.append((event.counter, float(event.data)))) as daq:
        run = daq.start()
        deadline = time.monotonic() + 60
        while len(seen) < 300:
            assert time.monotonic() < deadline, len(seen)
            time.sleep(0.002)
        hold.set()
        result = daq.wait(60)
    assert seen == [(number, number) for number in range(301)]
    assert (result.events, result.ledger.is_closed, run.state.name) == (301, True, "ENDED")


def test_limits_are_kept_to_the_event_and_the_next_run_begins_at_0():
    seen = []
    with piped(lambda: numbers(10_000), lambda event: seen.append(event.counter)) as daq:
        for wanted in (777, 1, 500):
            seen.clear()
            assert daq.run(events=wanted).events == wanted
            assert seen == list(range(wanted))


def test_what_the_source_says_of_a_record_goes_along_and_misfits_do_not():
    def source():
        for number in range(400):
            yield np.float64(number), {"timestamp_ns": 10 * number, "counter": 2 * number, "deadtime": 0.25}
            if number % 100 == 50:
                yield np.zeros(3)

    seen = []

    def look(event):
        seen.append((event.counter, event.timestamp_ns, event.deadtime, float(event.data)))

    with piped(source, look) as daq:
        result = daq.run()
    assert seen == [(2 * number, 10 * number, 0.25, number) for number in range(400)]
    assert (result.nerror, result.ledger["source"].discarded, result.ledger.is_closed) == (4, 4, True)


def test_a_small_ring_and_an_abort():
    with piped(lambda: numbers(10**9), lambda event: time.sleep(1e-3), capacity=8) as daq:
        run = daq.start()
        while run.board.taken < 100:
            time.sleep(1e-3)
        daq.abort()
        result = daq.wait(30)
    assert result.ledger.is_closed
    assert result.state.name == "FAILED"
