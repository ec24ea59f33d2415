"""A working day of a live plot, as quickly as a browser can: what it remembers stays what it was after an hour."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import labdaq
from labdaq.widgets.wire import Wire

FRAMES_PER_S, DAY_S = 30, 8 * 3600
GROWTH_NBYTES = 4 << 20
PLAY = Path(__file__).with_name("play.js").read_text(encoding="utf-8")


def figure():
    """A plot of a waveform with a named source, as those of labdaq are; its item for a page, and bokeh's code."""
    bokeh = pytest.importorskip("bokeh")
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure as new

    plot = new(height=250, width=500)
    plot.line("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="wave"))
    script = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return json.dumps(json_item(plot)), bokeh.__version__, script.read_text(encoding="utf-8")


def recorded(count=37, points=500):
    """Frames as the wire sends them, with their buffers; so many that no second ends like the one before."""
    sent = []
    wire = Wire(lambda about, buffers: sent.append([about, [base64.b64encode(one).decode() for one in buffers]]))
    wire.heard({"ready": "page"})
    for number in range(count):
        times = np.arange(points) * 1e-6
        wire.offer({"wave": {"x": times, "y": np.sin(times * 1e5 + number)}}, {"status": {"text": f"frame {number}"}})
        wire.heard({"painted": wire.sent, "page": "page"})
    return [one for one in sent if one[0].get("kind") == "frame"]


@pytest.mark.promise("P5", "eight hours of a live plot in a browser, accelerated: all frames that thirty a second make")
@pytest.mark.timeout(110)
def test_a_page_remembers_no_more_after_a_day_than_after_an_hour(browser, often, saw):
    item, version, bokehjs = figure()
    code = (Path(labdaq.__file__).parent / "widgets" / "page.js").read_text(encoding="utf-8")
    seconds = often(240, DAY_S)
    context = browser.new_context()
    page = context.new_page()
    try:
        devtools = context.new_cdp_session(page)
        page.set_content("<div id='place'></div>")
        page.evaluate(PLAY)
        page.evaluate("given => open_plot(given)", [code, item, version, bokehjs, recorded()])
        heaps = []
        for _ in range(8):
            page.evaluate("([seconds, per_s]) => play(seconds, per_s)", [seconds // 8, FRAMES_PER_S])
            devtools.send("HeapProfiler.collectGarbage")
            heaps.append(devtools.send("Runtime.getHeapUsage")["usedSize"])
        view = page.evaluate("(({frames, number}) => ({frames, number, lines}))(__labdaq_views[0])")
    finally:
        context.close()
    assert view["number"] == seconds // 8 * 8 * FRAMES_PER_S
    assert view["frames"] >= seconds // 8 * 8
    assert view["lines"] >= view["frames"]
    assert heaps[-1] - heaps[0] < GROWTH_NBYTES, heaps
    grown = (heaps[-1] - heaps[0]) / 2**20
    saw(f"{view['number']} frames, {view['frames']} paintings; {heaps[-1] / 2**20:.0f} MiB, {grown:+.1f} since 1/8")
