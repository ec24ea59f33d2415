"""The notebooks of the course are in its form: setup, checked outputs, exercises, pictures; saved clean, and listed."""

import re
import tomllib
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
COURSE = (
    "00_start",
    "01_first_light",
    "02_rings_and_workers",
    "03_muon_lifetime",
    "04_oscilloscope",
    "05_gamma_spectrum",
    "06_dead_time",
    "07_your_own_detector",
    "08_packets",
    "09_radio_spectrometer",
    "10_your_own_format",
    "11_scans",
    "12_streams",
    "13_gpu",
)
CHECKED = "nbval-check-output"
LIVE = re.compile(r"^(\w+) = (?:labdaq\.(?:scope|histogram|rates|spectrum|waterfall|dashboard|panel)\(|\w+\.panel\()")
INDEX = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]


@pytest.fixture(params=COURSE)
def notebook(request):
    found = nbformat.read(ROOT / "notebooks" / f"{request.param}.ipynb", as_version=4)
    found.name = request.param
    return found


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_saved_without_outputs_but_those_that_are_checked(notebook):
    nbformat.validate({name: part for name, part in notebook.items() if name != "name"})
    for number, cell in enumerate(code_of(notebook), 1):
        is_checked = CHECKED in cell.metadata.get("tags", ())
        assert is_checked or cell.outputs == [], cell.source
        # nbval compares the outputs of cells that were run.
        assert cell.execution_count == (number if is_checked else None), cell.source
        for output in cell.outputs:
            assert output.output_type == "stream" or list(output.data) == ["text/plain"]
            assert output.get("name") != "stderr"


def test_what_it_says_is_checked(notebook):
    said = [cell for cell in code_of(notebook) if CHECKED in cell.metadata.get("tags", ())]
    assert len(said) >= 3
    assert all(cell.outputs for cell in said)


def test_it_begins_with_labdaq_and_gets_it_on_colab(notebook):
    first = code_of(notebook)[0].source
    assert first.startswith('import sys\n\nif "google.colab" in sys.modules:\n    %pip install')
    assert f"git+{SOURCE}" in first
    assert "labdaq" in first.split("%pip")[1].split("\n", 1)[1]


def test_it_asks_before_it_answers(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.count("**Exercise.**") + text.count("**How much is that?**") >= 2
    assert "?" in text
    assert text.count("<details>") == text.count("</details>")


def test_every_live_plot_is_photographed(notebook):
    lines = [line for cell in code_of(notebook) for line in cell.source.splitlines()]
    for found in filter(None, map(LIVE.match, lines)):
        assert lines.count(f"{found[1]}.snapshot()") == 1, found[1]


def test_its_figures_have_labels(notebook):
    for cell in code_of(notebook):
        if "plt.subplots" in cell.source:
            assert re.search(r"label|\bdraw_\w+\(", cell.source), cell.source


def test_the_index_shows_it_and_leads_to_binder_and_colab(notebook):
    repository = SOURCE.removeprefix("https://github.com/")
    assert f"mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/notebooks/{notebook.name}.ipynb" in INDEX
    assert f"colab.research.google.com/github/{repository}/blob/HEAD/notebooks/{notebook.name}.ipynb" in INDEX


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#\s]+)", INDEX))))
def test_what_the_index_links_to_is_there(target):
    assert (ROOT / "docs" / target).exists()
