"""What cannot be shown is said in words, and all else goes on."""

import numpy as np
import pytest

from labdaq import Ring, widgets
from labdaq.errors import ClosedError, NotFoundError

WAVES = {
    "scope": widgets.scope,
    "spectrum": widgets.spectrum,
    "waterfall": widgets.waterfall,
    "rows": lambda ring: widgets.waterfall(ring, transform="none"),
    "xy": widgets.xy,
    "histogram": widgets.histogram,
}


@pytest.fixture
def waves():
    with Ring("raw", dtype="f8", shape=(2, 256), capacity=16) as made:
        yield made


def write(ring, value):
    with ring.writer() as writer, writer.reserve() as event:
        event.data[...] = value


@pytest.mark.parametrize("kind", WAVES)
def test_a_closed_ring_is_refused(waves, kind):
    waves.close()
    with pytest.raises(ClosedError, match="ring 'raw' is closed"):
        WAVES[kind](waves)


@pytest.mark.parametrize("kind", WAVES)
def test_waveforms_of_no_numbers_are_survived(waves, kind, front_end):
    with WAVES[kind](waves) as view:
        page = front_end.show(view)
        for value in (np.nan, np.inf, 1.5):
            write(waves, value)
            view.look_now()
            if kind not in {"xy", "histogram"} and not np.isfinite(value):
                assert "no numbers" in view.status
            assert view.snapshot().png.startswith(b"\x89PNG")
        assert "cannot be shown" not in page.settings["status"]["text"]


@pytest.mark.parametrize("kind", WAVES)
def test_a_ring_that_closes_while_it_is_shown_is_told_and_the_last_picture_stays(waves, kind, front_end):
    with WAVES[kind](waves) as view:
        page = front_end.show(view)
        write(waves, 1.0)
        view.look_now()
        waves.close()
        view.look_now()
        view.look_now()
        assert page.settings["status"]["text"].count("ring 'raw' is closed") == 1
        assert view.snapshot().png.startswith(b"\x89PNG")


def test_a_column_that_is_not_there_is_refused_with_those_that_are():
    with Ring("pulses", dtype=[("height", "f8"), ("time", "f8")], capacity=8) as ring:
        for make in (lambda: widgets.histogram(ring, "width"), lambda: widgets.xy(ring, "height", "width")):
            with pytest.raises(NotFoundError, match="no field 'width'; it has height, time"):
                make()


def test_a_run_that_fails_while_it_is_shown_is_told_and_the_next_one_is_shown(daq, front_end, until):
    raw = daq.ring("raw", "f8", (2, 64), capacity=16)
    goes_well = []

    def cable():
        for number in range(5):
            yield np.full((2, 64), float(number))
        if not goes_well:
            raise ValueError("the cable is loose")

    daq.source(cable, raw)
    daq.drain(raw)
    with widgets.dashboard(daq) as view:
        for plot in view.plots:
            front_end.show(plot)
        view.panel.buttons["start"].click()
        assert daq.wait(20).state.name == "FAILED"
        until(lambda: view.panel.seen.state == "FAILED")
        until(lambda: "Traceback" in view.panel._log.value)
        assert "the cable is loose" in view.panel._log.value
        goes_well.append(True)
        view.panel.buttons["start"].click()
        assert daq.wait(20).state.name == "ENDED"
        until(lambda: view.panel.seen.state == "ENDED")
