"""What all live plots share: pages, pictures, figures of bokeh, and how they end."""

import base64

import numpy as np
import pytest
from bokeh.plotting import figure

from labdaq import Ring, widgets
from labdaq.errors import LayoutError, NotFoundError
from labdaq.widgets.cells import replace_earlier

PULSE = [("height", "f8"), ("time", "f8")]


@pytest.fixture
def waves():
    with Ring("waves", dtype="f4", shape=(2, 600), capacity=32) as made:
        with made.writer() as writer:
            for number in range(3):
                with writer.reserve() as event:
                    event.data[:] = np.sin(np.arange(600) * (0.1 + 0.1 * number))
        yield made


@pytest.fixture
def pulses():
    with Ring("pulses", dtype=PULSE, capacity=512) as made:
        fill(made, np.random.default_rng(3).normal(100, 10, 200))
        yield made


def fill(ring, heights):
    with ring.writer() as writer:
        for height in heights:
            with writer.reserve() as event:
                event.data["height"], event.data["time"] = height, 2 * height


@pytest.fixture(params=["scope", "spectrum", "waterfall", "xy", "histogram", "xy of records"])
def plot(request, waves, pulses):
    kind = request.param
    made = {
        "scope": lambda: widgets.scope(waves),
        "spectrum": lambda: widgets.spectrum(waves),
        "waterfall": lambda: widgets.waterfall(waves),
        "xy": lambda: widgets.xy(waves),
        "histogram": lambda: widgets.histogram(pulses, "height"),
        "xy of records": lambda: widgets.xy(pulses, "height", "time"),
    }[kind]()
    with made:
        yield made


def test_each_is_a_figure_of_bokeh_a_widget_and_a_picture(plot, front_end):
    assert isinstance(plot.figure, type(figure()))
    data, _ = plot._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == f"<{plot.label}>"
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "data:image/png;base64" in plot.page.picture
    assert plot.snapshot()._repr_png_() == plot.snapshot().png
    assert plot.status in repr(plot.snapshot())


def test_each_sends_what_it_sees_to_a_page_and_nothing_without_one(plot, front_end, until):
    plot.look_now()
    plot._repr_mimebundle_()
    connection = front_end.connections[plot.page.model_id]
    assert not connection.custom
    page = front_end.show(plot)
    assert page.data
    assert page.settings["status"]["text"] == plot.status != ""
    page.close()
    before = len(connection.custom)
    plot.look_now()
    assert len(connection.custom) == before


def test_the_javascript_of_bokeh_is_sent_when_a_page_asks(waves, front_end):
    page = front_end.show(widgets.scope(waves))
    page.connection.say({"need": "bokehjs"})
    content, buffers = page.connection.custom[-1]
    assert content == {"kind": "bokehjs"}
    assert len(buffers[0]) > 500_000


@pytest.mark.parametrize("nonsense", ["text", None, {"unknown": 1}])
def test_nonsense_from_a_page_does_no_harm(waves, front_end, nonsense):
    plot = widgets.scope(waves)
    page = front_end.show(plot)
    page.connection.say(nonsense)
    plot.look_now()
    assert plot.is_watched


def test_a_figure_that_was_changed_is_shown_so(waves, front_end):
    plot = widgets.scope(waves)
    plot.figure.title.text = "my own title"
    front_end.show(plot)
    assert "my own title" in plot.page.item
    plot.figure.title.text = "another one"
    plot.redraw()
    assert "another one" in plot.page.item


def test_a_plot_that_fails_says_so_and_goes_on(waves, front_end, until, monkeypatch, caplog):
    plot = widgets.scope(waves)
    page = front_end.show(plot)

    def fail():
        raise ValueError("no such thing")

    monkeypatch.setattr(plot, "_see", fail)
    plot.looks_always = True
    until(lambda: "no such thing" in page.settings.get("status", {}).get("text", ""))
    until(lambda: "Traceback" in caplog.text)
    monkeypatch.undo()
    plot.problem = ""
    until(lambda: plot.problem == "" and plot.status)


def test_the_histogram_counts_and_can_be_changed(pulses):
    with widgets.histogram(pulses, "height", bins=50) as view:
        view.look_now()
        assert view.counts.entries == 200
        view.limits = (0, 90)
        assert view.counts.entries == 200
        assert view.counts.with_flow[-1] == view.counts.entries - view.counts.counts.sum() > 100
        assert "above" in view.status
        view.log = True
        assert "Log" in type(view.figure.y_scale).__name__
        assert view._sources["bins"]["count"].min() == 0.5
        fill(pulses, [np.nan, 50.0])
        view.look_now()
        assert "1 are no numbers" in view.status
        assert view.counts.entries == 202
        view.clear()
        assert view.counts.entries == 0


def test_units_of_typewriters_are_shown_as_they_are_meant(daq):
    ring = daq.ring("pulses", PULSE, header={"units": {"height": "mV", "time": "us"}})
    with widgets.histogram(ring, "time") as times, widgets.histogram(ring, "height") as heights:
        labels = [view.figure.xaxis.axis_label for view in (times, heights)]
    assert labels == ["time (µs)", "height (mV)"]


def test_a_range_that_was_found_too_early_is_found_again():
    with Ring("pulses", dtype=PULSE, capacity=512) as ring, widgets.histogram(ring, "height") as view:
        fill(ring, [10.0, 11.0] * 20)
        view.look_now()
        first = view.limits
        for _ in range(5):
            fill(ring, np.linspace(10, 20, 40))
            view.look_now()
        assert first[1] < 12
        assert view.limits[1] > 20
        assert view.counts.with_flow.sum() == 240
        view.limits = (0, 5)
        for _ in range(10):
            fill(ring, np.linspace(10, 20, 100))
            view.look_now()
        assert view.limits == (0, 5)


def test_a_fit_is_drawn_and_one_that_fails_is_told(pulses):
    with widgets.histogram(pulses, "height", fit=lambda x, counts: (counts * 0 + 1, "flat")) as view:
        view.look_now()
        assert view.status.endswith("| flat")
        assert (view._sources["curve"]["y"] == 1).all()
    with widgets.histogram(pulses, "height", fit=lambda x, counts: 1 / 0) as view:
        view.look_now()
        assert view.status.endswith("no fit: ZeroDivisionError: division by zero")


def test_the_waterfall_moves(waves):
    with widgets.waterfall(waves, transform="none", rows=4) as view:
        view.look_now()
        first = view.image[-1].copy()
        with waves.writer() as writer, writer.reserve() as event:
            event.data[:] = 7
        view.look_now()
        assert (view.image[-1] == 7).all()
        assert (view.image[-2] == first).all()
        assert view.image.shape == (4, 256)


def test_a_narrow_line_is_seen_in_the_waterfall(waves):
    with waves.writer() as writer, writer.reserve() as event:
        event.data[:] = 0
        event.data[0, 431] = 9
    with widgets.waterfall(waves, transform="none") as view:
        view.look_now()
        assert view.image[-1].max() == 9


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda w, p: widgets.histogram(p, "decay"), NotFoundError, "no field 'decay'; it has height, time"),
        (lambda w, p: widgets.histogram(p), NotFoundError, "it has height, time"),
        (lambda w, p: widgets.histogram(p, "height", bins=0), LayoutError, "bins=0"),
        (lambda w, p: widgets.histogram(p, "height", limits=(2, 1)), LayoutError, "lesser first"),
        (lambda w, p: widgets.spectrum(w, length=601), LayoutError, "2 to 600"),
        (lambda w, p: widgets.spectrum(w, mean_over=0.5), LayoutError, "mean_over"),
        (lambda w, p: widgets.waterfall(w, transform="wavelet"), LayoutError, "'spectrum' or 'none'"),
        (lambda w, p: widgets.waterfall(p), LayoutError, "waveforms"),
        (lambda w, p: widgets.xy(p, "height", "charge"), NotFoundError, "charge"),
        (lambda w, p: widgets.rates(w), LayoutError, "Pipeline"),
        (lambda w, p: widgets.panel("daq"), LayoutError, "Pipeline"),
    ],
)
def test_what_is_not_possible_is_refused(waves, pulses, make, error, words):
    with pytest.raises(error, match=words):
        make(waves, pulses)


def test_a_cell_that_runs_again_replaces_what_it_made(waves):
    first, again, other = widgets.scope(waves), widgets.scope(waves), widgets.scope(waves)
    replace_earlier(first, ("cell", 1))
    replace_earlier(other, ("another cell", 2))
    replace_earlier(again, ("cell", 3))
    assert repr(first) == "<scope of waves, closed>"
    assert repr(other) == "<scope of waves>"
    again.close()
    other.close()
