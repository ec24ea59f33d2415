"""A front end for the widgets of a test, and an end to all that is shown."""

import gc
import time
from itertools import count

import comm
import pytest
from ipywidgets import Widget

from labdaq.pipeline import Pipeline
from labdaq.widgets.painter import painter
from tests.widgets.front_end import FrontEnd

_names = count()


@pytest.fixture(scope="package", autouse=True)
def quick_collection():
    """Bokeh is large: what is there for good need not be looked at whenever leaks are looked for."""
    import bokeh.plotting  # noqa: F401
    import matplotlib.figure  # noqa: F401

    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def front_end(monkeypatch):
    """Hears what widgets say."""
    made = FrontEnd()
    monkeypatch.setattr(comm, "create_comm", made.connect)
    yield made
    for one in list(painter._due_s):
        one.close()
    Widget.close_all()


@pytest.fixture
def daq():
    """A pipeline of which nothing is kept."""
    with Pipeline(f"shown {next(_names)}", store=None) as made:
        yield made


@pytest.fixture
def until():
    """Wait for a condition."""

    def wait(condition, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.005)

    return wait
