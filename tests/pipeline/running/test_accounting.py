"""Dead time: what the ring's semantics give in virtual time, against theory, and what a run says of it."""

import math
import time

import numpy as np
import pytest

from labdaq import Ring
from labdaq.errors import WaitTimeoutError
from labdaq.pipeline import Ledger, NodeBalance, Pipeline
from tests.pipeline.making import LONG_S, Seen


def accepted_fraction(capacity: int, load: float, events: int, seed: int) -> float:
    """Events at random times into a ring of so many frames, whose reader keeps each for a time of 1.

    Nothing waits: the writer asks without a timeout, the reader is driven by hand, and the clock is a number.
    """
    rng = np.random.default_rng(seed)
    accepted, done_at = 0, math.inf  # when the event at hand will be finished
    with (
        Ring("virtual", "system", "i8", (), capacity) as ring,
        ring.reader(group="only") as reader,
        ring.writer() as writer,
    ):
        waiting = 0
        for arrival in np.cumsum(rng.exponential(1 / load, events)):
            while done_at <= arrival:
                reader.release()
                waiting -= 1
                if waiting:
                    reader.read(timeout=0)
                done_at = done_at + 1 if waiting else math.inf
            try:
                writer.put(np.int64(accepted), timeout=0)
            except WaitTimeoutError:
                continue
            accepted, waiting = accepted + 1, waiting + 1
            if waiting == 1:
                reader.read(timeout=0)
                done_at = arrival + 1
    return accepted / events


def md1k(load: float, capacity: int) -> float:
    """Accepted fraction of a queue with room for so many, service included: M/D/1/K.

    From the queue length of M/D/1 at departures (Brun and Garcia, J. Appl. Prob. 37 (2000) 1092):
    1 - P_K = (b + ...) in closed form, b_n = sum_k (-1)^k (n-k)^k exp((n-k) rho) rho^k / k!.
    """

    def b(n: int) -> float:
        if n < 0:
            return 0.0
        return sum(
            (-1) ** k / math.factorial(k) * (n - k) ** k * math.exp((n - k) * load) * load**k for k in range(n + 1)
        )

    return b(capacity - 1) / (1 + load * b(capacity - 1))


@pytest.mark.parametrize("load", [0.3, 1.0, 3.0])
def test_one_frame_is_dead_as_long_as_its_reader_keeps_it(load):
    events = 4000
    fraction = accepted_fraction(1, load, events, seed=1)
    live = 1 / (1 + load)
    assert md1k(load, 1) == pytest.approx(live)
    assert fraction == pytest.approx(live, abs=4 * math.sqrt(live * (1 - live) / events))


@pytest.mark.parametrize(("capacity", "load"), [(2, 1.0), (4, 0.8), (8, 1.2)])
def test_more_frames_take_up_what_comes_together_as_the_theory_of_queues_says(capacity, load):
    events = 4000
    live = md1k(load, capacity)
    fraction = accepted_fraction(capacity, load, events, seed=capacity)
    assert fraction == pytest.approx(live, abs=6 * math.sqrt(live * (1 - live) / events))
    assert fraction > 1 / (1 + load)


def test_the_dead_time_of_a_run_is_the_sum_of_what_its_source_waited():
    stamps = []

    class Slow(Seen):
        def write(self, events):
            super().write(events)
            stamps.append(events.planes["deadtime"].tolist())
            time.sleep(0.005)

    with Pipeline("dead", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 2)
        daq.source((np.full(4, float(n)) for n in range(40)), raw, name="source")
        daq.sink(Slow(), raw)
        run = daq.start()
        result = daq.wait(LONG_S)
        waited_s = run.crew.members["source"][0].row.get(11) / 1e9
    assert result.deadtime == pytest.approx(waited_s / result.seconds, rel=1e-6)
    assert result.live_time_s == pytest.approx(result.seconds - waited_s, rel=1e-6)
    assert 0.5 < result.deadtime <= 1
    assert all(0 <= one <= 1 for batch in stamps for one in batch)
    assert result.rate_hz == pytest.approx(40 / result.seconds)


def test_a_balance_closes_only_when_everything_is_accounted_for_once():
    whole = NodeBalance("find", "filter", 10, accepted=4, rejected=3, quarantined=1, repeated=1, undelivered=1)
    assert whole.is_closed
    for received in (9, 11):
        assert not NodeBalance("find", "filter", received, accepted=10).is_closed
    ledger = Ledger.of([whole, NodeBalance("source", "source", 9, accepted=10)])
    assert not ledger.is_closed
    assert ledger["find"] is whole
    assert str(whole) == "find: in 10 = accepted 4 + rejected 3 + quarantined 1 + repeated 1 + undelivered 1"
