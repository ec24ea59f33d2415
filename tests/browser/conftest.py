"""JupyterLab and a browser, once for all tests here; skipped where there is none."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from tests.browser.lab import CHROMIUM, ONLY_HERE, Lab, Notebook

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("LABDAQ_PICTURES", ROOT / "out" / "browser"))


@pytest.fixture(autouse=True)
def no_leaks():
    """Instead of the one of all tests: a browser's processes come and go as they like, and end with its fixture."""


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """A running JupyterLab."""
    pytest.importorskip("jupyterlab", reason="there is no JupyterLab")
    with Lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="package")
def browser():
    """A headless Chromium that reaches this machine only."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=ONLY_HERE)
        yield found
        found.close()


@pytest.fixture
def kept(request):
    """Keep a picture of pages at their end, and see that there was no error, and nothing asked of other machines."""

    @contextlib.contextmanager
    def keep(pages, own=()):
        """Complaints with one of the words ``own`` are about the page itself, not about what is shown in it."""
        try:
            yield pages
        finally:
            pages.picture(PICTURES / f"{request.node.name}.png")
            complaints = [*pages.errors, *pages.strangers]
            pages.close()
        assert [one for one in complaints if not any(word in one for word in own)] == []

    return keep


@pytest.fixture
def opened(lab, browser, kept, request):
    """Open a notebook, a file or cells."""
    with contextlib.ExitStack() as stack:

        def make(*cells):
            name = f"{request.node.name}.ipynb"
            if isinstance(cells[0], Path):
                shutil.copy(cells[0], lab.folder / name)
            else:
                lab.write(name, list(cells))
            return stack.enter_context(kept(Notebook(lab, browser, name)))

        yield make
