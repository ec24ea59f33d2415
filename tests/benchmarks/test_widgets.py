"""Live plots in a real JupyterLab: what is painted, what it costs, how late it is, and what is on the wire.

Painted frames are counted by what is drawn on canvases between two frames of the browser; the processor time of the
page is that of its main thread, as the browser counts it. ``LABDAQ_PUSHES`` is the number of frames of the long run.
"""

import os
import statistics
import time

import pytest

from tests.benchmarks.harness import line, report
from tests.browser.conftest import browser, kept, lab, no_leaks, opened

__all__ = ["browser", "kept", "lab", "no_leaks", "opened"]

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

SECONDS = 10
PUSHES = int(os.environ.get("LABDAQ_PUSHES", "72000"))  # two hours, ten a second
COUNT_PAINTS = """
window.__paints = 0; window.__drawn = false; window.__lags = [];
for (const name of ["stroke", "fill", "fillRect", "drawImage", "putImageData"]) {
  const own = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    window.__drawn = true;
    return own.apply(this, given);
  };
}
const count = () => {
  if (window.__drawn) { window.__paints += 1; window.__drawn = false; }
  requestAnimationFrame(count);
};
requestAnimationFrame(count);
setInterval(() => { const one = window.__labdaq_views?.[0]; if (one?.frames) window.__lags.push(one.lag_ms); }, 50);
"""
MAKE = """\
import threading, time
import numpy as np
import labdaq
from labdaq import sim

PULSE = np.dtype([("height", "f4")])
tones = sim.AnalogSource(["cw(1e3) + noise(0.1)"] * 4, samples=1000, sample_rate_hz=1e5, seed=1)
daq = labdaq.Pipeline("bench", store=None)
raw = daq.ring("raw", tones.dtype, tones.shape)
high = daq.ring("high", PULSE)
daq.source(sim.clocked(tones, rate_hz=100), raw, name="tones")
daq.filter(lambda event: np.array((event.data.max(),), PULSE), raw, high, name="find")
daq.drain(high)
"""
SCOPE = "view = labdaq.scope(raw)\nview"
DASHBOARD = """\
view = labdaq.dashboard(daq, [labdaq.scope(raw), labdaq.histogram(high, "height"), labdaq.rates(daq)])
view
"""
BOKEH_MODEL = """\
from bokeh.io import output_notebook
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources
from jupyter_bokeh import BokehModel

output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
source = ColumnDataSource({"t": np.arange(1000) / 1e5, **{f"c{n}": np.zeros(1000) for n in range(4)}})
plot = figure(height=320, sizing_mode="stretch_width", x_range=Range1d(0, 0.01), y_range=Range1d(-1.5, 1.5))
for n in range(4):
    plot.line("t", f"c{n}", source=source)
is_over = threading.Event()

def push():
    ring, t = raw.memory(), source.data["t"]
    with ring.observer(latest=True) as eye:
        while not is_over.wait(1 / 30):
            event = eye.latest()
            source.data = {"t": t, **{f"c{n}": row.astype("f4") for n, row in enumerate(event.data)}}
"""


@pytest.fixture
def measured(opened):
    """Open cells in a page whose paints are counted; then measure for a while."""

    def make(*cells):
        notebook = opened(MAKE, *cells)
        notebook.page.add_init_script(COUNT_PAINTS)
        notebook.wire = []
        notebook.page.on("websocket", lambda one: one.on("framereceived", lambda data: notebook.wire.append(len(data))))
        notebook.reload()
        notebook.devtools = notebook.context.new_cdp_session(notebook.page)
        notebook.devtools.send(
            "Performance.enable", {"timeDomain": "threadTicks"}
        )  # processor time, not that of a clock
        notebook.run_all()
        return notebook

    return make


def metrics(notebook):
    return {one["name"]: one["value"] for one in notebook.devtools.send("Performance.getMetrics")["metrics"]}


def heap_nbytes(notebook):
    """Of objects, of the elements of the document, and of the memory of arrays."""
    usage = notebook.devtools.send("Runtime.getHeapUsage")
    return sum(usage.get(name, 0) for name in ("usedSize", "embedderHeapUsedSize", "backingStorageSize"))


def figures(notebook, seconds=SECONDS):
    """Of a while in which data are shown."""
    clock = "print(time.process_time(), time.monotonic())"
    notebook.value("() => { window.__lags = []; }")
    before, cpu = metrics(notebook), notebook.add(clock).split()
    painted, wire, begun = notebook.value("window.__paints"), len(notebook.wire), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - begun
    after = metrics(notebook)
    paints = notebook.value("window.__paints") - painted
    messages = notebook.wire[wire:]
    cpu_s, wall_s = (float(b) - float(a) for a, b in zip(cpu, notebook.add(clock).split(), strict=True))
    return {
        "painted_per_s": paints / elapsed,
        "page_ms_per_paint": 1e3 * (after["TaskDuration"] - before["TaskDuration"]) / max(paints, 1),
        "kernel_cpu": cpu_s / wall_s,
        "bytes_per_s": sum(messages) / elapsed,
        "messages_per_s": len(messages) / elapsed,
        "lag_ms": statistics.median(notebook.value("window.__lags") or [float("nan")]),
    }


def test_scope_and_bokeh_model(measured):
    """Four channels of 1000 points, 30 frames a second asked for, by our widget and by bokeh's own."""
    notebook = measured()
    notebook.add("run = daq.start()\ntime.sleep(2)")
    producer = figures(notebook, 5)["kernel_cpu"]
    notebook.add(SCOPE)
    notebook.wait("window.__labdaq_views?.[0]?.frames > 60")
    ours = figures(notebook)
    notebook.add("view.close()")
    report("scope_painted", ours["painted_per_s"], "1/s", target=27, at_least=True, **ours)
    report("scope_lag", ours["lag_ms"], "ms", target=50)
    report("scope_kernel", ours["kernel_cpu"] - producer, "processors", target=0.1, producer=producer)
    report("scope_wire", ours["bytes_per_s"] / 1e6, "MB/s", target=1, messages_per_s=ours["messages_per_s"])
    report("scope_messages", ours["messages_per_s"], "1/s", target=60)
    pytest.importorskip("jupyter_bokeh", reason="jupyter_bokeh is not installed: nothing to compare with")
    notebook.add(BOKEH_MODEL)
    notebook.add("BokehModel(plot)")
    notebook.add("pushing = threading.Thread(target=push, daemon=True)\npushing.start()")
    notebook.page.wait_for_timeout(3000)
    theirs = figures(notebook)
    notebook.add("is_over.set()\npushing.join()\ndaq.stop()\ndaq.wait()")
    line("bokeh_model", **theirs)
    part = ours["page_ms_per_paint"] / theirs["page_ms_per_paint"]
    report("scope_page_against_bokeh_model", part, "", target=0.5)


def test_dashboard(measured):
    """Scope, histogram, rates and panel."""
    notebook = measured(DASHBOARD)
    notebook.add("run = daq.start()")
    notebook.wait("window.__labdaq_views?.length === 3 && __labdaq_views[0].frames > 60")
    ours = figures(notebook)
    notebook.add("daq.stop()\ndaq.wait()")
    report("dashboard_painted", ours["painted_per_s"], "1/s", target=25, at_least=True, **ours)
    report("dashboard_wire", ours["bytes_per_s"] / 1e6, "MB/s", target=1)
    report("dashboard_messages", ours["messages_per_s"], "1/s", target=60)


def test_stop_while_a_cell_runs(measured):
    """From the click on Stop to the end of the cell that blocks."""
    notebook = measured("labdaq.panel(daq)")
    took_ms = []
    for _ in range(5):
        notebook.add("result = daq.run(seconds=100)\nprint('over', time.time() * 1e3)", wait=False)
        notebook.wait("!document.querySelector('button.labdaq-stop').disabled")
        last = "[...document.querySelectorAll('.jp-CodeCell')].at(-1).innerText"
        clicked_ms = notebook.value(
            "() => { document.querySelector('button.labdaq-stop').click(); return Date.now(); }"
        )
        notebook.wait(f"{last}.includes('over 1')")
        took_ms.append(float(notebook.value(last).rpartition("over ")[2].split()[0]) - clicked_ms)
    report("stop_while_a_cell_runs", statistics.median(took_ms), "ms", target=300, most=max(took_ms))


def test_heap_of_the_page(measured):
    """As many frames as in two hours, as quickly as the page takes them."""
    notebook = measured(SCOPE)
    notebook.wait("window.__labdaq_views?.length === 1")
    notebook.add(
        "view.page.wire._must_wait = lambda: False\n"
        "rows = {f'c{n}': np.random.rand(1000) for n in range(4)}\n"
        "def push(count):\n"
        "    for _ in range(count):\n"
        "        view.page.wire.offer({'waveforms': {'t': np.arange(1000) / 1e5, **rows}})\n"
        "        time.sleep(0.002)\n"
    )
    heaps = []
    for count in (2000, PUSHES):
        sent = int(notebook.add(f"push({count})\nprint(view.page.wire.sent)"))
        notebook.wait(f"__labdaq_views[0].number >= {sent} - 1", 600)
        notebook.devtools.send("HeapProfiler.collectGarbage")
        heaps.append(heap_nbytes(notebook))
    report("heap_growth", (heaps[1] - heaps[0]) / 1e6, "MB", target=20, frames=PUSHES, before=heaps[0] / 1e6)
