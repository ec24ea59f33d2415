"""JupyterLab and a browser, once for all tests here; skipped where there is none."""

import os
from pathlib import Path

import pytest

from tests.browser.lab import CHROMIUM, ONLY_HERE, Lab, Notebook


@pytest.fixture(autouse=True)
def no_leaks():
    """Instead of the one of all tests: a browser's processes come and go as they like, and end with its fixture."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab."""
    pytest.importorskip("jupyterlab", reason="there is no JupyterLab")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with Lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(lab):
    """A headless Chromium that reaches this machine only."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=ONLY_HERE)
        yield found
        found.close()


@pytest.fixture
def opened(lab, browser, request, tmp_path):
    """Open a notebook with these cells; at the end a picture is kept, and no error or stranger was seen."""
    notebooks = []

    def make(*cells):
        notebooks.append(Notebook(lab, browser, f"{request.node.name}.ipynb", list(cells)))
        return notebooks[-1]

    yield make
    pictures = Path(os.environ.get("LABDAQ_PICTURES", tmp_path))
    for notebook in notebooks:
        notebook.picture(pictures / f"{request.node.name}.png")
        seen = (list(notebook.errors), notebook.strangers)
        notebook.close()
        assert seen == ([], [])
