"""The line magic ``%daq`` in a real shell of IPython."""

import atexit
import sys

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from labdaq import Pipeline
from labdaq.errors import LayoutError, NotFoundError
from labdaq.widgets.magics import command, status


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a shell puts itself there
    made = InteractiveShell()
    made.run_line_magic("load_ext", "labdaq")
    yield made
    made.run_line_magic("unload_ext", "labdaq")
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)


@pytest.fixture
def wired(daq):
    numbers = daq.ring("numbers", "i8")
    daq.source(list(range(1000)), numbers, name="count")
    daq.drain(numbers)
    return daq


def test_a_run_is_started_watched_and_ended(shell, wired):
    shell.user_ns["daq"] = wired
    assert "no run yet" in repr(shell.run_line_magic("daq", ""))
    shell.run_line_magic("daq", "start events=10")
    assert wired.wait(20).events == 10
    said = shell.run_line_magic("daq", "status")
    assert "ended" in repr(said)
    assert "in 10 = accepted 10" in repr(said)
    assert "labdaq-numbers" in said._repr_html_()
    with shell.run_line_magic("daq", "panel") as panel:
        assert repr(panel) == f"<panel of {wired.name}>"
    with pytest.raises(UsageError, match="resume"):
        shell.run_line_magic("daq", "resume")


def test_several_pipelines_are_listed(shell, wired):
    with Pipeline("other", store=None) as other:
        shell.user_ns |= {"daq": wired, "daq_too": wired, "other": other}
        with pytest.raises(UsageError, match=rf"which one\? daq \({wired.name}\), other \(other\)"):
            shell.run_line_magic("daq", "status")
        assert repr(shell.run_line_magic("daq", "status other")) == "other: idle, no run yet"
        assert status(other).seen.title == "other"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("begin", "is not understood: %daq status"),
        ("start events=many", "invalid literal"),
        ("stop events=3", "is not understood"),
        ("start a b", "is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_usage(wired, line, said):
    with pytest.raises(LayoutError, match=said):
        command(line, {"daq": wired})


def test_without_a_pipeline_it_says_so():
    with pytest.raises(NotFoundError, match="no pipeline in this notebook"):
        command("status", {"_daq": 1})
    with pytest.raises(NotFoundError, match="no pipeline 'muon'"):
        command("status muon", {})
