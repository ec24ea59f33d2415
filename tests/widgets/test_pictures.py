"""What is seen without a page, and the limits that the environment sets."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labdaq import Ring, widgets
from labdaq.errors import LayoutError
from labdaq.widgets.picture import put_title


@pytest.fixture
def ring():
    with Ring("raw", dtype="f4", shape=(2, 100), capacity=8) as made:
        yield made


def test_the_environment_may_allow_fewer_frames(ring, monkeypatch):
    monkeypatch.setenv("LABDAQ_FRAMES_PER_S", "10")
    with widgets.scope(ring) as scope, widgets.histogram(ring) as histogram:
        assert (scope.period_s, histogram.period_s) == (0.1, 0.2)
    for wrong in ("many", "0", "-3", "nan"):
        monkeypatch.setenv("LABDAQ_FRAMES_PER_S", wrong)
        with pytest.raises(LayoutError, match=f"LABDAQ_FRAMES_PER_S='{wrong}'"):
            widgets.scope(ring)


def test_the_picture_of_a_dashboard_has_all_its_plots(daq, ring):
    raw = daq.ring("raw", "f4", (2, 100), capacity=8)
    with widgets.dashboard(daq, [widgets.scope(raw)]) as small, widgets.dashboard(daq, []) as none:
        with widgets.dashboard(daq, [widgets.scope(raw), widgets.rates(daq), widgets.waterfall(raw)]) as large:
            heights = [int.from_bytes(view.snapshot().png[20:24], "big") for view in (none, small, large)]
        assert heights == sorted(set(heights))
        assert repr(small.snapshot()) == f"<dashboard of {daq.name}: idle>"


def test_words_that_are_longer_than_the_picture_are_seen_to_their_end():
    figure = Figure(figsize=(8, 3), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots()
    put_title(figure, "histogram\n" + "1864 values and many more words " * 8)
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith("histogram\n1864 values")
    assert title.replace("\n", " ").count("more words") == 8
    figure.canvas.draw()
    shown = next(one for one in figure.axes[0].get_children() if getattr(one, "get_text", str)() == title)
    assert shown.get_window_extent().x1 < figure.bbox.x1
