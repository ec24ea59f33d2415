"""The pictures of README and documentation, taken in a real JupyterLab: ``make pictures``.

python -m tests.browser.pictures [FOLDER]        docs/images by default
"""

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.browser.lab import CHROMIUM, ONLY_HERE, Lab, Notebook
from tests.browser.test_notebook import SCOPE

ROOT = Path(__file__).parents[2]
MOST_NBYTES = 200_000
FREQUENT = 160

MUON = """\
import numpy as np
import labdaq
from labdaq import sim

PULSE = np.dtype([("height", "f4"), ("time", "f4")])
threshold = labdaq.Parameter(240.0, unit="mV", low=0, high=1000, label="threshold")

def find_pulse(event):
    height = event.data.max()
    if height < threshold:
        return None
    return np.array((height, 0.01 * event.data.max(axis=0).argmax()), PULSE)

detector = sim.clocked(sim.MuonStack(seed=1), rate_hz=150, poisson=True)
daq = labdaq.Pipeline("muon")
raw = daq.ring("raw", detector.dtype, detector.shape)
pulses = daq.ring("pulses", PULSE, header={"units": {"height": "mV", "time": "µs"}})
daq.source(detector, raw, name="detector")
daq.filter(find_pulse, raw, pulses, name="find")
daq.sink("pulses.csv", pulses)
"""
SHOW = """\
labdaq.dashboard(daq, [
    labdaq.scope(raw, "layer 2", level=threshold), labdaq.histogram(pulses, "height"),
    labdaq.rates(daq), labdaq.spectrum(raw),
])"""
TONES = """\
import labdaq
from labdaq import sim

tones = sim.AnalogSource(
    "cw(3e3) + chirp(1e3, 2e4, 0.5) + noise(0.05)", samples=4096, sample_rate_hz=1e5, seed=1
)
daq = labdaq.Pipeline("tones", store=None)
raw = daq.ring("raw", tones.dtype, tones.shape)
daq.source(sim.clocked(tones, rate_hz=20), raw, name="tones")
daq.drain(raw)
"""
SETTINGS = {"viewport": (1280, 1500), "scale": 1.25}


def main(folder: Path) -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, Lab(Path(place)) as lab, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ONLY_HERE)
        for take in (muon, tones, scans):
            take(lab, browser, folder)
        browser.close()


def opened(lab: Lab, browser, name: str, *cells: str) -> Notebook:
    lab.write(f"{name}.ipynb", list(cells))
    notebook = Notebook(lab, browser, f"{name}.ipynb", **SETTINGS)
    notebook.value("jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run_all()
    if "Traceback" in notebook.text():
        raise RuntimeError(notebook.text())
    return notebook


def muon(lab: Lab, browser, folder: Path) -> None:
    """The dashboard in its notebook, its panel, its scope."""
    notebook = opened(lab, browser, "muon", MUON, SHOW)
    notebook.wait("window.__labdaq_views?.length === 4")
    notebook.press("start")
    notebook.wait("document.querySelector('.labdaq-numbers')?.innerText.match(/1.?[5-9]\\d\\d\\n/)", 120)
    notebook.value("document.querySelectorAll('.jp-Cell')[1].scrollIntoView()")
    keep(notebook.page.screenshot(scale="css"), folder / "dashboard.png")
    element(notebook, ".labdaq-panel", folder / "panel.png")
    notebook.value(f"{SCOPE}.document.get_model_by_name('x_range').setv({{start: -2, end: 8}}) && 0")
    notebook.wait(f"{SCOPE}.document.get_model_by_name('waveforms').data.t.length > 900")
    element(notebook, ".labdaq-live", folder / "scope.png")
    notebook.add("daq.stop()\ndaq.wait()")
    notebook.close()


def tones(lab: Lab, browser, folder: Path) -> None:
    """A waterfall."""
    notebook = opened(lab, browser, "tones", TONES, "labdaq.waterfall(raw, rows=60, rows_per_s=10)")
    notebook.add("run = daq.start()")
    notebook.wait("window.__labdaq_views?.length === 1 && __labdaq_views[0].frames > 62", 200)
    element(notebook, ".labdaq-live", folder / "waterfall.png")
    notebook.add("daq.abort()\ndaq.wait()")
    notebook.close()


def scans(lab: Lab, browser, folder: Path) -> None:
    """The scan browser, on runs."""
    runs = "threshold.set(0)\nfor volts in (1, 2):\n    daq.run(events=400, comment=f'tube {volts}')"
    show = "view = labdaq.browse('runs')\nview.choose(3, 2).plot('pulses.csv: height', kind='histogram')\nview"
    notebook = opened(lab, browser, "scans", MUON.replace("rate_hz=150", "rate_hz=1000"), runs, show)
    notebook.wait("window.__labdaq_views?.length === 1 && __labdaq_views[0].frames > 0", 60)
    element(notebook, ".jp-OutputArea-output:has(.labdaq-live)", folder / "scans.png")
    notebook.close()


def element(notebook: Notebook, which: str, path: Path, number: int = 0) -> None:
    """A picture of a part of a page."""
    x, y, width, height = notebook.page.evaluate(
        """([which, number]) => {
          const place = document.querySelectorAll(which)[number];
          place.scrollIntoView({block: "center"});
          const {x, y, width, height} = place.getBoundingClientRect();
          return [x, y, width, height];
        }""",
        [which, number],
    )
    keep(notebook.page.screenshot(clip={"x": x, "y": y, "width": width, "height": height}), path)


def keep(png: bytes, path: Path) -> None:
    """In all its colours, or with fewer if the file would be too large."""
    image = Image.open(BytesIO(png)).convert("RGB")
    image.save(path, optimize=True)
    if path.stat().st_size > MOST_NBYTES:
        image.quantize(palette=palette_of(image), dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MOST_NBYTES:
        raise RuntimeError(f"{path} has {path.stat().st_size} bytes: {MOST_NBYTES} at most")
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size // 1000} kB")


def palette_of(image: Image.Image) -> Image.Image:
    """The colours of most of the pixels as they are, and such as are near to all others."""
    most = sorted(image.getcolors(image.width * image.height), reverse=True)[:FREQUENT]
    others = image.quantize(256 - FREQUENT, Image.Quantize.MAXCOVERAGE).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for _, colour in most for part in colour), *others])
    return palette


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
