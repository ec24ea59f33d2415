"""Panels, plots and lists of scans are for all eyes and hands: what axe-core finds wrong with them is nothing."""

from importlib.resources import files

import pytest

axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python, which has axe-core, is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAKE = """\
import labdaq
from labdaq import sim

class Find:
    level = labdaq.Parameter(30.0, unit="mV", low=0, high=500, label="Threshold")
    gate = labdaq.Parameter(3, unit="samples", low=1, high=20)
    rest = labdaq.Parameter(1.5, unit="µs", low=0)
    kind = labdaq.Parameter("muon")
    is_inverted = labdaq.Parameter(False, label="Inverted")
    mode = labdaq.Parameter("fast", choices=("fast", "slow"))

    def __call__(self, event):
        return event.data if event.data.max() > self.level else None

source = sim.clocked(sim.MuonStack(seed=1), rate_hz=100)
daq = labdaq.Pipeline("muon", store=None)
raw, found = (daq.ring(name, source.dtype, source.shape, capacity=256) for name in ("raw", "found"))
daq.source(source, raw, name="stack")
daq.filter(Find(), raw, found, name="find")
daq.drain(found)
labdaq.dashboard(daq, [labdaq.scope(raw, trigger="layer 1", level=20), labdaq.rates(daq)])
"""
SCANS = """\
from labdaq.store import NumericStreamEncoder

store = labdaq.DataStore("memory://")
for number in (1, 2):
    who = {"name": "plateau", "number": number, "data_policy": "none"}
    scan = store.create_scan(who, {"high_V": 400 * number})
    scan.create_stream("rate", NumericStreamEncoder(float)).send([1.0, 2.0, 4.0])
    scan.prepare(); scan.start(); scan.stop(); scan.close()
browser = labdaq.browse(store)
browser.choose(1, 2).plot("rate")
browser
"""
# The handles of ipywidgets' sliders have no name; the number beside each can be typed.
COMPLAINTS = """async () => {
  const within = {include: [['.jp-OutputArea-output']], exclude: [['.noUi-handle']]};
  const {violations} = await axe.run(within, {resultTypes: ['violations']});
  return violations.flatMap(one => one.nodes.map(node => `${one.id}: ${node.html}: ${node.failureSummary}`));
}"""
BADGE = "document.querySelector('.labdaq-numbers .state').innerText"


def test_axe_finds_nothing_wrong(opened):
    notebook = opened(MAKE, SCANS)
    notebook.page.set_viewport_size({"width": 1280, "height": 2600})
    notebook.run_all()
    notebook.wait("window.__labdaq_views?.length === 3")
    # JupyterLab gives its body no height, and axe takes what is in it for hidden.
    notebook.page.add_style_tag(content="body { height: 100vh }")
    notebook.value((files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert notebook.value(COMPLAINTS) == []

    notebook.add("run = daq.start(events=1_000_000)")
    notebook.wait(f"{BADGE}.includes('running') && __labdaq_views.every(one => one.frames > 1)")
    assert notebook.value(COMPLAINTS) == []

    notebook.value("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}).then(() => 0)")
    splash = "document.querySelector('#jupyterlab-splash')"
    notebook.wait(f"document.body.dataset.jpThemeName === 'JupyterLab Dark' && !{splash}")
    assert notebook.value(COMPLAINTS) == []

    notebook.add("daq.stop()\nresult = daq.wait()")
    notebook.wait(f"{BADGE}.includes('ended')")
    assert notebook.value(COMPLAINTS) == []
