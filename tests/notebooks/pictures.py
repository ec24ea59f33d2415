"""Pictures of the course for its index: ``python -m tests.notebooks.pictures``.

Each notebook is run, and one of its figures becomes a file in ``docs/images/course``.
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "images" / "course"
WIDTH = 480  # pixels

# A part of the cell whose last picture is taken.
FIGURES = {
    "00_start": "dashboard.snapshot()",
    "01_first_light": "floor = fit.background",
    "02_rings_and_workers": "Who comes too soon is lost",
    "03_muon_lifetime": "histogram.snapshot()",
    "04_oscilloscope": "waterfall.snapshot()",
    "05_gamma_spectrum": "heights_of.items()):",
    "06_dead_time": "Two kinds of deafness",
    "07_your_own_detector": "The threshold decides",
    "11_scans": "A threshold scan",
    "12_streams": "Nobody told the reader",
}


def picture_of(name: str, part: str) -> Image.Image:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and part in cell.source)
    pictures = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
    return Image.open(io.BytesIO(base64.b64decode(pictures[-1]))).convert("RGB")


def main(names: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or FIGURES:
        full = picture_of(name, FIGURES[name])
        small = full.resize((WIDTH, round(full.height * WIDTH / full.width)), Image.Resampling.LANCZOS)
        small.quantize(64).save(FOLDER / f"{name}.png", optimize=True)
        print(f"{name}: {(FOLDER / f'{name}.png').stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
