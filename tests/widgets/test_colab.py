"""As on Google Colab: nothing is said by a thread; pages ask, and are answered."""

import sys
from types import ModuleType

import numpy as np
import pytest

from labdaq import Ring, widgets
from labdaq.widgets.wire import Wire


@pytest.fixture
def colab(monkeypatch):
    """A kernel that takes itself for one of Colab."""
    google, made = ModuleType("google"), ModuleType("google.colab")
    made.output = ModuleType("google.colab.output")
    made.output.enable_custom_widget_manager = lambda: None
    google.colab = made
    for name, module in (("google", google), ("google.colab", made), ("google.colab.output", made.output)):
        monkeypatch.setitem(sys.modules, name, module)


def test_a_wire_that_is_asked_says_nothing_by_itself():
    sent = []
    wire = Wire(lambda about, buffers: sent.append(about["number"]), is_asked=True)
    wire.heard({"ready": "page"})
    for number in range(5):
        assert not wire.offer({"scope": {"y": np.full(3, number)}})
    assert sent == []
    wire.heard({"poll": "page"})
    wire.heard({"poll": "page"})
    assert sent == [1]
    wire.heard({"poll": "another page"})
    assert sent == [1, 2]


def test_a_plot_is_drawn_when_its_page_asks(colab, front_end):
    with Ring("raw", dtype="f4", shape=(2, 100), capacity=8) as ring, widgets.scope(ring) as view:
        page = front_end.show(view)
        with ring.writer() as writer, writer.reserve() as event:
            event.data[...] = 3
        view.look_now()
        before = page.frames
        page.connection.say({"poll": page.name})
        assert page.frames == before + 1
        assert page.data["waveforms"]["c0"].tolist() == [3.0] * 100
        assert view.page.polls
        earlier = view.page.picture
        page.connection.say({"picture": True})
        assert view.page.picture.startswith("data:image/png") > earlier.startswith("data:image/png")


def test_a_panel_is_brought_up_to_date_when_its_page_asks(colab, front_end, daq):
    numbers = daq.ring("numbers", "i8")
    daq.source(list(range(10)), numbers, name="count")
    daq.drain(numbers)
    with widgets.panel(daq) as panel:
        assert panel._pulse in panel.widget.children
        daq.run()
        assert "no run yet" in panel._numbers.value
        front_end.connections[panel._pulse.model_id].say({"poll": "pulse"})
        assert "in 10 = accepted 10" in panel._numbers.value
