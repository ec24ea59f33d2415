"""The same widgets elsewhere than in JupyterLab: in Notebook 7, and as an app of Voilà."""

import pytest

from tests.browser.lab import App, Classic, Notebook, Pages
from tests.browser.test_notebook import MAKE, STATE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHOW = "labdaq.dashboard(daq)"
PAINTS = "window.__labdaq_views?.length >= 3 && __labdaq_views.every(one => one.frames > 5)"


def check_a_run(pages):
    pages.wait("window.__labdaq_views?.length >= 3")
    pages.press("start")
    pages.wait(PAINTS)
    pages.press("stop")
    pages.wait(f"{STATE}.includes('ended')")


def test_voila_renders_a_dashboard_as_an_app(browser, kept, tmp_path):
    pytest.importorskip("voila", reason="Voilà is not installed")
    app = App(tmp_path)
    app.write(app.name, [MAKE, SHOW])
    with app, kept(Pages(app, browser), ["fontawesome"]) as pages:
        pages.open(app.url)
        check_a_run(pages)
        assert pages.value("document.querySelector('.jp-InputArea') === null")


def test_notebook_7_takes_the_same_widgets(browser, kept, tmp_path):
    notebook = pytest.importorskip("notebook", reason="Notebook is not installed")
    if int(notebook.__version__.partition(".")[0]) < 7:
        pytest.skip(f"this is Notebook {notebook.__version__}")
    server = Classic(tmp_path)
    server.write("muon.ipynb", [MAKE, SHOW])
    with server, kept(Notebook(server, browser, "muon.ipynb"), ["static/notebook/notebook_core"]) as pages:
        pages.run_all()
        check_a_run(pages)


COLAB = """\
import sys, types
google, colab, output = (types.ModuleType(name) for name in ("google", "google.colab", "google.colab.output"))
google.colab, colab.output, output.enable_custom_widget_manager = colab, output, lambda: None
sys.modules |= {"google": google, "google.colab": colab, "google.colab.output": output}
"""


def test_pages_ask_for_what_is_new_where_threads_are_not_heard(opened):
    """As on Colab, in so far as JupyterLab can stand in for it."""
    pages = opened(COLAB, MAKE, "view = widgets.dashboard(daq, [widgets.scope(raw)])\nview")
    pages.run_all()
    pages.wait("window.__labdaq_views?.length === 1")
    pages.press("start")
    pages.wait("__labdaq_views[0].frames > 5")
    pages.wait(f"{STATE}.includes('running')")
    pages.press("stop")
    pages.wait(f"{STATE}.includes('ended')")
    assert pages.add("print(view.panel._pulse is not None and view.plots[0].page.polls)") == "True"
