"""Without the packages of notebooks labdaq is complete otherwise, and says what is missing."""

import subprocess
import sys

import pytest

from labdaq.errors import MissingExtraError
from labdaq.widgets.extras import needed


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(MissingExtraError, match=r"need bokeh: pip install 'labdaq\[notebook\]'"):
        needed("bokeh")


def test_importing_the_room_loads_none_of_them():
    code = "import sys, labdaq.widgets; print({'bokeh', 'ipywidgets', 'anywidget', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
