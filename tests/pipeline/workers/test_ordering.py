"""Events in the order of their counters, whoever had them in between."""

import time

import numpy as np
import pytest

from labdaq.errors import LayoutError
from labdaq.pipeline import Pipeline
from labdaq.pipeline.workers.ordering import EVERYTHING, Orderer


class Keep:
    def __init__(self):
        self.counters, self.parts, self.nbatch = [], [], 0

    def write(self, events):
        self.counters += [int(counter) for counter in events.planes["counter"]]
        self.parts += [float(value) for value in events.data]
        self.nbatch += 1


def numbers():
    for number in range(600):
        yield np.float64(number)


def twice_or_never(event):
    if event.counter % 37 == 0:
        time.sleep(0.002)  # so that others overtake
    return [np.float64(0.25).reshape(()), np.float64(0.5).reshape(())] if event.counter % 3 else None


@pytest.fixture
def daq():
    with Pipeline("ordered", store=None) as daq:
        yield daq


def test_through_two_filters_with_several_workers(daq):
    raw, middle, last = (daq.ring(name, "f8", capacity=16) for name in ("raw", "middle", "last"))
    daq.source(numbers, raw)
    daq.filter(twice_or_never, raw, middle, workers=3, name="a")
    daq.filter(lambda event: True, middle, last, workers=2, name="b")
    kept = Keep()
    daq.sink(kept, last, order="counter")
    result = daq.run()
    wanted = [number for number in range(600) if number % 3 for _ in range(2)]
    assert kept.counters == wanted
    assert kept.nbatch > 3  # they were not all held back to the end
    assert result.ledger.is_closed
    assert result.ledger["Keep"].accepted == len(wanted)


def test_order_is_for_sinks_that_write_batches_and_for_one_source(daq):
    raw = daq.ring("raw", "f8")
    with pytest.raises(LayoutError, match="'any', or 'counter'"):
        daq.sink(Keep(), raw, order="time")
    with pytest.raises(LayoutError, match=r"write\(events\)"):
        daq.sink(print, raw, order="counter")
    daq.source(numbers, raw)
    daq.source(numbers, raw)
    daq.sink(Keep(), raw, order="counter")
    with pytest.raises(LayoutError, match="numbers and numbers_2"):
        daq.start()


def test_what_was_given_on_is_gone():
    orderer = Orderer()
    orderer.add([5, 3, 5], [1, 0, 0], ["5b", "3", "5a"])
    assert orderer.before(3) == []
    assert orderer.before(5) == ["3"]
    assert len(orderer) == 2
    assert orderer.before(EVERYTHING) == ["5a", "5b"]
    assert orderer.before(EVERYTHING) == []
