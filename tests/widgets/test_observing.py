"""Display cannot hurt acquisition: pages that freeze, are hidden, many, or loaded anew hold nothing back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from labdaq import Ring, sim, widgets
from labdaq.errors import WaitTimeoutError

PART = 0.3
"""Of what can be written and read."""
KINDS = ("frozen", "hidden", "ten pages", "loaded anew")


def disturb(kind, plots, pages, front_end):
    """What pages do to a run, or would like to do."""
    if kind == "frozen":
        for page in pages:
            page.is_frozen = True
    elif kind == "hidden":
        for page in pages:
            page.close()
    elif kind == "ten pages":
        for _ in range(9):
            front_end.show(plots[0])
    elif kind == "loaded anew":
        for page in pages:
            page.vanish()
        for plot in plots:
            front_end.show(plot)


class Writing(threading.Thread):
    """Writes events in time, and never waits for room: counts those for which there was none."""

    def __init__(self, ring, rate_hz):
        super().__init__()
        self.ring, self.rate_hz = ring, rate_hz
        self.written = self.refused = 0
        self.is_enough = threading.Event()

    def run(self):
        waveform = np.sin(np.arange(500) / 10).astype("f4")
        begun = time.monotonic()
        with self.ring.writer() as writer:
            while not self.is_enough.wait(0.001):
                while self.written + self.refused < (time.monotonic() - begun) * self.rate_hz:
                    try:
                        with writer.reserve(timeout=0) as event:
                            event.data[...] = waveform
                        self.written += 1
                    except WaitTimeoutError:
                        self.refused += 1


def drained(ring, begun):
    """Read all events as a member of a group, for which writers wait; how many there were."""
    with ring.reader() as reader:
        begun.set()
        return sum(1 for _ in reader)


@pytest.fixture(scope="module")
def capacity_hz():
    """Events per second that one thread can write."""
    with Ring("raw", dtype="f4", shape=(500,), capacity=64) as ring:
        with ring.writer() as writer:
            for number in range(2500):
                if number == 500:  # all is compiled
                    begun = time.monotonic()
                with writer.reserve() as event:
                    event.data[...] = number
        return 2000 / (time.monotonic() - begun)


@pytest.mark.promise("P5", "four plots on a ring at 30 % of what it can do, and pages that do this")
@pytest.mark.parametrize("kind", KINDS)
def test_at_a_third_of_what_is_possible_there_is_always_room(front_end, until, kind, capacity_hz):
    rate_hz = min(PART * capacity_hz, 10_000)
    with Ring("raw", dtype="f4", shape=(500,), capacity=16_384) as ring, ThreadPoolExecutor(1) as pool:
        begun = threading.Event()
        read = pool.submit(drained, ring, begun)
        assert begun.wait(20)
        plots = [widgets.scope(ring), widgets.spectrum(ring), widgets.waterfall(ring), widgets.histogram(ring)]
        pages = [front_end.show(plot) for plot in plots]
        writing = Writing(ring, rate_hz)
        writing.start()
        until(lambda: all(page.frames > 2 for page in pages), 30)
        disturb(kind, plots, pages, front_end)
        enough = writing.written + rate_hz / 2
        until(lambda: writing.written > enough, 30)
        writing.is_enough.set()
        writing.join()
        ring.end()
        assert writing.refused == 0
        assert read.result(20) == writing.written
        for plot in plots:
            assert plot.page.wire.in_flight <= 60
            plot.close()


@pytest.mark.parametrize("kind", ["frozen", "hidden"])
def test_the_books_of_a_run_close_whatever_pages_do(daq, front_end, until, kind):
    source = sim.clocked(sim.AnalogSource("cw(1e3) + noise(0.1)", samples=500, sample_rate_hz=1e5), rate_hz=400)
    ring = daq.ring("raw", source.dtype, source.shape, capacity=512)
    daq.source(source, ring, name="signal")
    daq.drain(ring)
    plots = [widgets.scope(ring, "A", 0.0), widgets.spectrum(ring), widgets.rates(daq)]
    pages = [front_end.show(plot) for plot in plots]
    daq.start(events=300)
    until(lambda: pages[0].frames > 5)
    disturb(kind, plots, pages, front_end)
    result = daq.wait(30)
    assert result.ledger.is_closed
    assert result.ledger["drain raw"].accepted == result.events == 300
    statistics = daq.rings["raw"].statistics()
    assert statistics.undelivered == statistics.truncated == 0
    assert result.deadtime < 0.05
    if kind == "hidden":
        quiet = front_end.messages
        plots[0].look()
        assert front_end.messages == quiet


def test_what_a_plot_remembers_is_bounded(daq, front_end):
    ring = daq.ring("raw", [("height", "f8")], capacity=512).memory()
    view = widgets.histogram(ring, "height", limits=(0, 1))
    front_end.show(view, frozen=True)
    with ring.writer() as writer:
        for _ in range(300):
            for _ in range(100):
                with writer.reserve() as event:
                    event.data["height"] = 0.5
            view._remember(np.full(1000, 0.5))
            view.look_now()
    assert view._kept <= 101_000
    assert front_end.connections[view.page.model_id].messages < 120
