"""The scope: what it shows, what it waits for, and what a page gets of it."""

import numpy as np
import pytest

from labdaq import Parameter, Ring, Trigger, widgets
from labdaq.errors import ClosedError, LayoutError, NotFoundError

HEADER = {"unit": "mV", "channels": ["chA", "chB"], "sample_interval_ns": 4.0}


@pytest.fixture
def ring():
    with Ring("raw", dtype="f4", shape=(2, 5000), capacity=100) as made:
        yield made


def write(ring, *heights, at=1234):
    with ring.writer() as writer:
        for height in heights:
            with writer.reserve() as event:
                event.data[:] = 0
                event.data[1, at] = height


def test_a_pulse_of_one_sample_reaches_the_page(ring, front_end):
    view = widgets.scope(ring)
    page = front_end.show(view)
    write(ring, 40.0)
    view.look_now()
    shown = page.data["waveforms"]
    assert shown["c1"].max() == 40
    assert len(shown["c1"]) <= 1000
    assert not shown["c0"].any()


def test_the_newest_event_is_shown_without_a_trigger(ring):
    with widgets.scope(ring) as view:
        write(ring, *range(50))
        view.look_now()
        assert view._sources["waveforms"]["c1"].max() == 49


def test_events_that_meet_the_trigger_are_shown_with_the_edge_at_time_zero(ring, daq):
    declared = daq.ring("raw", "f4", (2, 5000), capacity=8, header=HEADER)
    with widgets.scope(declared, trigger="chB", level=30) as view:
        assert view.figure.xaxis.axis_label[0] if isinstance(view.figure.xaxis.axis_label, list) else True
        write(declared.memory(), 10, 40, 20, at=2500)
        view.look_now()
        assert view.status == "event 1, triggered"
        shown = view._sources["waveforms"]
        assert abs(shown["t"][shown["c1"].argmax()]) <= 5000 / 500 * 4e-3
        assert view._settings["x_range"]["start"] == pytest.approx(-10)


@pytest.mark.parametrize(("mode", "is_shown"), [("auto", True), ("normal", False), ("single", False)])
def test_without_a_trigger_only_auto_shows_something(ring, mode, is_shown):
    with widgets.scope(ring, trigger=1, level=30, mode=mode) as view:
        for _ in range(12):
            write(ring, 5)
            view.look_now()
        assert (view.events > 0) == is_shown
        assert view.status.endswith("not triggered" if is_shown else f"waiting for the trigger ({mode})")


def test_single_shows_one_event_until_it_is_armed_again(ring):
    with widgets.scope(ring, trigger=1, level=30, mode="single") as view:
        for _ in range(3):
            write(ring, 40)
            view.look_now()
        assert (view.events, view.is_held) == (1, True)
        view.arm()
        write(ring, 50)
        view.look_now()
        assert view.events == 2


def test_held_it_stands_still(ring):
    with widgets.scope(ring) as view:
        write(ring, 1)
        view.look_now()
        view.is_held = True
        write(ring, 2)
        view.look_now()
        assert view._sources["waveforms"]["c1"].max() == 1
        assert view.status == "event 0, held"


def test_the_level_may_be_a_parameter_and_be_moved_in_the_page(ring, front_end):
    level = Parameter(30.0, unit="mV", low=0, high=100)
    view = widgets.scope(ring, trigger=1, level=level, mode="normal")
    page = front_end.show(view)
    knob = next(one for one in view.widget.children[0].children if getattr(one, "description", "") == "Level")
    knob.value = 45.0
    assert level.value == 45
    knob.value = 1000.0
    assert (knob.value, level.value) == (45, 45)
    write(ring, 40)
    view.look_now()
    assert view.events == 0
    assert page.settings["level"] == {"location": 45.0}


def test_a_trigger_object_is_taken_whole(ring):
    with widgets.scope(ring, trigger=Trigger(30, channel=1, edge="falling", width=2), mode="normal") as view:
        write(ring, 40)
        view.look_now()
        assert view.status == "event 0, triggered"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_samples_that_are_no_numbers_do_not_stop_it(ring, broken):
    with widgets.scope(ring, trigger=1, level=30) as view:
        with ring.writer() as writer, writer.reserve() as event:
            event.data[:] = broken
        write(ring, 40)
        view.look_now()
        assert view.status == "event 1, triggered"
        for _ in range(12):
            with ring.writer() as writer, writer.reserve() as event:
                event.data[:] = broken
            view.look_now()
        assert "no numbers" in view.status
        assert view.snapshot().png.startswith(b"\x89PNG")


def test_the_range_grows_and_is_fitted_again(ring):
    with widgets.scope(ring) as view:
        write(ring, 1)
        view.look_now()
        small = view._settings["y_range"]["end"]
        write(ring, 100)
        view.look_now()
        assert view._settings["y_range"]["end"] > 100 > small
        view.rescale()
        write(ring, 1)
        view.look_now()
        assert view._settings["y_range"]["end"] == small


def test_what_a_page_looks_at_closely_is_drawn_in_detail(ring, front_end):
    view = widgets.scope(ring)
    page = front_end.show(view)
    with ring.writer() as writer, writer.reserve() as event:
        event.data[:] = np.arange(5000)
    view.look_now()
    assert len(page.data["waveforms"]["t"]) == 1000
    view.is_held = True
    page.connection.say({"window": page.name, "start": 2000.2, "end": 2300.7})
    view.look_now()
    shown = page.data["waveforms"]
    assert shown["t"].tolist() == shown["c1"].tolist() == list(range(1999, 2303))
    another = front_end.show(view)
    view.look_now()
    assert another.data["waveforms"]["t"][[0, -1]].tolist() == [0, 4995]
    another.connection.say({"window": another.name, "start": 2400, "end": 2250})
    view.look_now()
    assert another.data["waveforms"]["t"][[0, -1]].tolist() == [1999, 2401]
    page.close()
    view.look_now()
    assert another.data["waveforms"]["t"][[0, -1]].tolist() == [2249, 2401]
    another.connection.say({"window": another.name, "start": 10**7, "end": 10**8})
    another.connection.say({"window": another.name, "start": None, "end": "far"})
    view.look_now()
    assert len(another.data["waveforms"]["t"]) == 1


def test_channels_are_chosen_by_name(daq):
    ring = daq.ring("raw", "f4", (2, 100), capacity=8, header=HEADER)
    with widgets.scope(ring, channels=["chB"]) as view:
        assert [item.label.value for item in view.figure.legend[0].items] == ["chB"]
        assert view.figure.yaxis[0].axis_label == "amplitude (mV)"
        assert view.figure.xaxis[0].axis_label == "time (ns)"


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"trigger": "chX"}, NotFoundError, "no channel 'chX'; it has A, B"),
        ({"channels": [2]}, NotFoundError, "no channel 2"),
        ({"channels": []}, LayoutError, "one or more"),
        ({"mode": "fast"}, LayoutError, "auto, normal, single"),
        ({"trigger": 0, "edge": "up"}, LayoutError, "rising"),
    ],
)
def test_what_is_not_possible_is_refused(ring, settings, error, words):
    with pytest.raises(error, match=words):
        widgets.scope(ring, **settings)


def test_rings_without_waveforms_are_refused():
    with Ring("records", dtype=[("a", "f4")], capacity=4) as records, Ring("bytes") as raw:
        with pytest.raises(LayoutError, match="waveforms are numbers"):
            widgets.scope(records)
        with pytest.raises(LayoutError, match="holds bytes"):
            widgets.scope(raw)
        with pytest.raises(LayoutError, match="cannot be looked at"):
            widgets.scope([1, 2, 3])
    with pytest.raises(ClosedError, match="'records' is closed"):
        widgets.scope(records)


def test_a_ring_that_is_closed_while_it_is_shown_says_so(ring):
    with widgets.scope(ring) as view:
        write(ring, 1)
        view.look_now()
        ring.close()
        view.look_now()
        assert view.status == "event 0; ring 'raw' is closed"
        assert view.snapshot().png.startswith(b"\x89PNG")
