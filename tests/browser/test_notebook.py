"""In a real JupyterLab: data move, buttons work while a cell runs, and pages come back."""

import pytest

from tests.browser.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAKE = """\
import numpy as np
import labdaq
from labdaq import sim, widgets

PULSE = np.dtype([("height", "f8"), ("time", "f8")])

class Find:
    level = labdaq.Parameter(30.0, unit="mV", low=0, label="Threshold")

    def __call__(self, event):
        top = event.data.max()
        if top < self.level:
            return None
        found = np.zeros((), PULSE)
        found["height"], found["time"] = top, 0.01 * event.data.argmax(axis=1).max()
        return found

source = sim.clocked(sim.MuonStack(seed=1), rate_hz=100)
daq = labdaq.Pipeline("muon", store="runs")
raw = daq.ring("raw", source.dtype, source.shape, capacity=512)
pulses = daq.ring("pulses", PULSE, capacity=1024, header={"units": {"height": "mV", "time": "µs"}})
daq.source(source, raw, name="stack")
daq.filter(Find(), raw, pulses, name="find")
daq.sink("pulses.csv", pulses)
"""
SCOPE = "__labdaq_views.find(one => one.label.startsWith('scope'))"
STATE = "document.querySelector('.labdaq-numbers .state').innerText"


def test_the_first_notebook_of_the_course(opened):
    notebook = opened(ROOT / "notebooks" / "00_start.ipynb")
    notebook.run_until("labdaq.dashboard(daq)")
    notebook.wait("window.__labdaq_views?.length >= 3")
    assert "no run yet" in notebook.text()
    assert notebook.value(f"{SCOPE}.frames") < 3

    notebook.press("start")
    notebook.wait("__labdaq_views.every(one => one.frames > 5)")
    assert notebook.page.locator("button.labdaq-start").is_disabled()
    assert notebook.value(f"Math.max(...{SCOPE}.document.get_model_by_name('waveforms').data.c1)") > 1

    number = notebook.page.locator(".labdaq-parameter .widget-readout").first
    number.fill("305")
    number.press("Enter")
    notebook.wait("document.body.innerText.includes('threshold = 305.0 from event')")

    notebook.page.locator("button.labdaq-pause").focus()  # and on without the mouse
    notebook.page.keyboard.press("Tab")
    assert notebook.value("document.activeElement.innerText").strip() == "Stop"
    notebook.page.keyboard.press("Enter")
    notebook.wait(f"{STATE}.includes('ended')")
    assert notebook.add("print(daq.wait().ledger.is_closed, daq.last.reason)") == "True asked to"
    check_that_stop_is_heard_while_a_cell_runs(notebook)
    check_that_details_are_drawn(notebook)
    check_that_the_other_plots_are_drawn(notebook)


def check_that_stop_is_heard_while_a_cell_runs(notebook):
    notebook.add("result = daq.run(seconds=100)\nprint(result.seconds < 50, result.reason)", wait=False)
    notebook.wait("!document.querySelector('button.labdaq-stop').disabled")
    assert "*" in notebook.value("[...document.querySelectorAll('.jp-InputPrompt')].at(-1).innerText")
    notebook.press("stop")
    notebook.wait("[...document.querySelectorAll('.jp-OutputArea')].at(-1).innerText.includes('True asked to')")


def check_that_details_are_drawn(notebook):
    notebook.value(f"{SCOPE}.document.get_model_by_name('x_range').setv({{start: 0, end: 2}}) && 0")
    notebook.wait(f"{SCOPE}.document.get_model_by_name('waveforms').data.t.length < 300")


def check_that_the_other_plots_are_drawn(notebook):
    before = notebook.value("__labdaq_views.length")
    for plot in ("spectrum(raw)", "waterfall(raw)", "xy(raw)", "xy(pulses, 'height', 'time')"):
        notebook.add(f"labdaq.widgets.{plot}")
    notebook.wait(f"__labdaq_views.length === {before} + 4 && __labdaq_views.every(one => one.status.innerText !== '')")
    assert "cannot be shown" not in notebook.text()


def test_a_page_that_is_frozen_full_loaded_anew_or_has_a_second_tab_holds_nothing_back(opened):
    notebook = opened(MAKE, "scope = widgets.scope(raw, channels=['layer 1'], frames_per_s=15)\nscope")
    notebook.run_all()
    notebook.add("from IPython.display import display\nfor _ in range(9):\n    display(scope)")
    notebook.wait("window.__labdaq_views?.length === 10")
    notebook.add("run = daq.start()")
    notebook.wait("__labdaq_views.every(one => one.frames > 1)")
    notebook.value("() => { const begin = Date.now(); while (Date.now() - begin < 2000); }")
    frames = notebook.value(f"{SCOPE}.frames")
    notebook.wait(f"{SCOPE}.frames > {frames} + 3")
    notebook.save()
    notebook.reload()
    notebook.wait("window.__labdaq_views?.length === 10 && __labdaq_views.every(one => one.frames > 3)")
    notebook.tab()
    notebook.wait("window.__labdaq_views?.length === 10 && __labdaq_views.every(one => one.frames > 3)")
    said = notebook.add(
        "daq.stop()\nresult = daq.wait()\n"
        "print(result.ledger.is_closed, result.ledger['find'].undelivered, result.deadtime < 0.05,"
        " scope.page.wire.in_flight < 100)"
    )
    assert said == "True 0 True True"
