"""What is seen without a page, and the limits that the environment sets."""

import pytest

from labdaq import Ring, widgets
from labdaq.errors import LayoutError


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
