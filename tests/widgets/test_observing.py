"""Display cannot hurt acquisition: pages that freeze, are hidden, many, or loaded anew hold nothing back."""

import numpy as np
import pytest

from labdaq import sim, widgets


def wire_daq(daq):
    """A source at a fixed rate, well below what can be processed, and a reader that holds writers back."""
    source = sim.clocked(sim.AnalogSource("cw(1e3) + noise(0.1)", samples=500, sample_rate_hz=1e5), rate_hz=400)
    ring = daq.ring("raw", source.dtype, source.shape, capacity=64)
    daq.source(source, ring, name="signal")
    daq.drain(ring)
    return ring


@pytest.mark.parametrize("kind", ["frozen", "hidden", "ten pages", "loaded anew"])
def test_nothing_is_lost_and_no_writer_waits(daq, front_end, until, kind):
    ring = wire_daq(daq)
    plots = [widgets.scope(ring, "A", 0.0), widgets.spectrum(ring), widgets.rates(daq)]
    pages = [front_end.show(plot) for plot in plots]
    if kind == "ten pages":
        pages += [front_end.show(plots[0]) for _ in range(9)]
    daq.start(events=300)
    until(lambda: pages[0].frames > 5)
    if kind == "frozen":
        for page in pages:
            page.is_frozen = True
    elif kind == "hidden":
        for page in pages:
            page.close()
    elif kind == "loaded anew":
        for page in pages:
            page.vanish()
        pages = [front_end.show(plot) for plot in plots]
    result = daq.wait(30)
    assert result.events == 300
    assert result.ledger.is_closed
    assert result.ledger["drain raw"].accepted == 300
    statistics = daq.rings["raw"].statistics()
    assert statistics.undelivered == statistics.truncated == 0
    assert result.deadtime < 0.05
    for plot in plots:
        assert plot.page.wire.in_flight <= 60
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
