"""In a real JupyterLab: data move, buttons work while a cell runs, and pages come back."""

import pytest

pytestmark = pytest.mark.slow

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
raw = daq.ring("raw", source.dtype, source.shape, capacity=128)
pulses = daq.ring("pulses", PULSE, capacity=1024, header={"units": {"height": "mV", "time": "µs"}})
daq.source(source, raw, name="stack")
daq.filter(Find(), raw, pulses, name="find")
daq.sink("pulses.csv", pulses)
"""
SHOW = """\
view = widgets.dashboard(daq, [
    widgets.scope(raw, "layer 2", 30), widgets.histogram(pulses, "height"), widgets.rates(daq), widgets.spectrum(raw),
])
view
"""


def test_a_whole_session(opened):
    notebook = opened(MAKE, SHOW)
    notebook.run_all()
    page = notebook.page
    notebook.wait("window.__labdaq_views?.length === 4", 40)
    assert "no run yet" in notebook.text()

    page.locator("button.labdaq-start").click()
    notebook.wait("__labdaq_views.every(one => one.frames > 5)", 60)
    assert page.locator("button.labdaq-start").is_disabled()
    drawn = "__labdaq_views.find(o => o.label.startsWith('scope')).document.get_model_by_name('waveforms').data.c1"
    assert page.evaluate(f"Math.max(...{drawn})") > 10

    field = page.locator(".labdaq-parameter input").first
    field.fill("55")
    field.press("Enter")
    notebook.wait("document.body.innerText.includes('find: level = 55.0 from event')")

    page.locator("button.labdaq-pause").focus()  # and on without the mouse
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").strip() == "Stop"
    page.keyboard.press("Enter")
    notebook.wait("document.querySelector('.labdaq-numbers .state').innerText.includes('ended')")
    notebook.add("print(daq.wait().ledger.is_closed, daq.last.reason)")
    assert notebook.said().strip() == "True asked to"
    check_that_stop_is_heard_while_a_cell_runs(notebook)
    check_that_details_are_drawn(notebook)
    check_that_the_other_plots_are_drawn(notebook)


def check_that_stop_is_heard_while_a_cell_runs(notebook):
    notebook.add("result = daq.run(seconds=100)\nprint(result.seconds < 50, result.reason)", wait=False)
    notebook.wait("!document.querySelector('button.labdaq-stop').disabled", 60)
    notebook.page.locator("button.labdaq-stop").click()
    notebook.wait("[...document.querySelectorAll('.jp-OutputArea')].at(-1).innerText.includes('asked to')", 10)
    assert notebook.said().strip() == "True asked to"


def check_that_details_are_drawn(notebook):
    scope = "__labdaq_views.find(one => one.label.startsWith('scope')).document"
    notebook.page.evaluate(f"{scope}.get_model_by_name('x_range').setv({{start: 0, end: 2}})")
    notebook.wait(f"{scope}.get_model_by_name('waveforms').data.t.length === 203")


def check_that_the_other_plots_are_drawn(notebook):
    for plot in ("waterfall(raw)", "xy(raw)", "xy(pulses, 'height', 'time')"):
        notebook.add(f"widgets.{plot}")
    notebook.wait("__labdaq_views.length === 7 && __labdaq_views.every(one => one.status.innerText !== '')")
    assert "cannot be shown" not in notebook.text()


def test_a_page_that_is_frozen_loaded_anew_or_full_holds_nothing_back(opened):
    notebook = opened(MAKE, "scope = widgets.scope(raw, channels=['layer 1'])\nscope")
    notebook.run_all()
    notebook.add("from IPython.display import display\nfor _ in range(9):\n    display(scope)")
    notebook.wait("window.__labdaq_views?.length === 10", 40)
    notebook.add("run = daq.start()")
    notebook.wait("__labdaq_views.every(one => one.frames > 1)", 60)
    notebook.page.evaluate("() => { const begin = Date.now(); while (Date.now() - begin < 3000); }")
    frames = notebook.frames()
    notebook.wait(f"__labdaq_views[0].frames > {frames} + 3")
    notebook.save()
    notebook.open()
    notebook.wait("window.__labdaq_views?.length === 10 && __labdaq_views.some(one => one.frames > 3)", 60)
    notebook.add(
        "daq.stop()\nresult = daq.wait()\n"
        "print(result.ledger.is_closed, result.ledger['find'].undelivered, result.deadtime < 0.05,"
        " scope.page.wire.in_flight < 100)"
    )
    assert notebook.said().strip() == "True 0 True True"
