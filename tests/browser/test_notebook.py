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

    check_that_tools_work_while_data_flow(notebook)
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
    check_that_lines_end_at_the_frame(notebook)
    check_that_the_other_plots_are_drawn(notebook)


def check_that_tools_work_while_data_flow(notebook):
    drawn = f"[...{SCOPE}.document._all_models.values()].filter(one => one.type === 'GlyphRenderer')"
    hidden = f"{drawn}.filter(one => !one.visible).length"
    channel = notebook.page.locator("[aria-label^=scope] .bk-Legend .bk-label").first
    channel.click()
    notebook.wait(f"{hidden} === 2")  # the line, and its sample in the legend
    channel.click()
    notebook.wait(f"{hidden} === 0")

    begin = notebook.value(f"{SCOPE}.document.get_model_by_name('x_range').start")
    middle_of(notebook, "scope")
    notebook.page.mouse.down()
    notebook.page.mouse.move(500, 400, steps=4)
    notebook.page.mouse.up()
    notebook.wait(f"{SCOPE}.document.get_model_by_name('x_range').start !== {begin}")

    tooltip = notebook.page.locator(".bk-Tooltip").first
    while not tooltip.is_visible():  # the bars grow until one is below the mouse
        middle_of(notebook, "histogram", down=0.8)
        middle_of(notebook, "histogram", down=0.81)
    frames = notebook.value(f"{SCOPE}.frames")
    notebook.wait(f"{SCOPE}.frames > {frames} + 3")


def middle_of(notebook, plot, down=0.5):
    """Move the mouse there."""
    place = notebook.page.locator(f"[aria-label^={plot}]").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    notebook.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + down * box["height"], steps=3)


def check_that_stop_is_heard_while_a_cell_runs(notebook):
    notebook.add("result = daq.run(seconds=100)\nprint(result.seconds < 50, result.reason)", wait=False)
    notebook.wait("!document.querySelector('button.labdaq-stop').disabled")
    assert "*" in notebook.value("[...document.querySelectorAll('.jp-InputPrompt')].at(-1).innerText")
    notebook.press("stop")
    notebook.wait("[...document.querySelectorAll('.jp-OutputArea')].at(-1).innerText.includes('True asked to')")


def check_that_details_are_drawn(notebook):
    notebook.value(f"{SCOPE}.document.get_model_by_name('x_range').setv({{start: 0, end: 2}}) && 0")
    notebook.wait(f"{SCOPE}.document.get_model_by_name('waveforms').data.t.length < 300")


PAINTED = """() => {
  const shown = SCOPE.document, [Bokeh] = Object.values(__labdaq_bokeh);
  const {frame, canvas_view} = Bokeh.index.query_one(({model}) => model.type === "Figure" && model.document === shown);
  const {ctx, canvas, pixel_ratio} = canvas_view.overlays, {top, bottom} = frame.bbox;
  const rows = (from, to) => ctx.getImageData(0, from * pixel_ratio, canvas.width, (to - from) * pixel_ratio);
  const has_ink = (from, to) => rows(from, to).data.some(Boolean);
  return [has_ink(0, top - 2), has_ink(top, bottom), has_ink(bottom + 2, canvas.height / pixel_ratio)];
}""".replace("SCOPE", SCOPE)


def check_that_lines_end_at_the_frame(notebook):
    notebook.value(f"{SCOPE}.document.get_model_by_name('y_range').setv({{start: -0.1, end: 0.1}}) && 0")
    notebook.wait(f"({PAINTED})()[1]")
    assert notebook.value(PAINTED) == [False, True, False]


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
