"""Rings of numbers that are put in and taken out, for tests."""

import time


def put(ring, values, **how):
    with ring.writer() as writer:
        for value in values:
            writer.put(value, **how)


def values(events):
    return [int(event.data) for event in events]


def await_waiting(ring, count):
    """Wait until so many writers sleep."""
    deadline = time.monotonic() + 5
    while sum(one.waits > 0 or one.frames == 0 for one in ring.statistics().writers) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)
