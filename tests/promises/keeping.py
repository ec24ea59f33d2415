"""Fixtures and hooks of tests that put promises to the test: short with every change, long when asked to."""

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.promises import promised

__all__ = ["PromiseKeeper", "in_earnest", "often", "saw"]

PATIENCE_S = 1800
"""So long a test may take in a long run; one that hangs ends here."""

Value = TypeVar("Value", int, float)


@pytest.fixture
def in_earnest(pytestconfig: pytest.Config) -> bool:
    """Whether this is the long run, on a machine that does nothing else."""
    return bool(pytestconfig.getoption("promises"))


@pytest.fixture
def often(pytestconfig: pytest.Config, in_earnest: bool) -> Callable[[Value, Value], Value]:
    """How often, or how long: the first with every change; with ``--promises`` the second, times ``--times``."""
    times = pytestconfig.getoption("times")
    return lambda short, long: max(short, type(long)(long * times)) if in_earnest else short


@pytest.fixture
def saw(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say in a few words what was seen, for the page of promises."""
    return lambda words: record_property("saw", words)


class PromiseKeeper:
    """Collects what a long run saw, and writes the page at its end."""

    def __init__(self) -> None:
        self.results = promised.read()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note the outcome of each test that is marked with a promise."""
        known = dict(report.user_properties)
        if "promise" not in known or (report.when != "call" and report.passed):
            return
        self.results[report.nodeid] = {
            "promise": known["promise"],
            "verifies": known["verifies"],
            "saw": known.get("saw", ""),
            "result": report.outcome,
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": promised.machine(),
        }

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        promised.write(self.results)


def note_promise(item: pytest.Item) -> None:
    """Give what a marked test verifies to its report, and the time that it may take to a longer one."""
    mark = item.get_closest_marker("promise")
    if mark is None:
        return
    number, verifies = mark.args
    if number not in promised.PROMISES:
        raise pytest.UsageError(f"{item.nodeid}: there is no promise {number!r}")
    item.user_properties += [("promise", number), ("verifies", verifies)]
    if item.config.getoption("promises"):
        item.add_marker(pytest.mark.timeout(PATIENCE_S * max(1.0, item.config.getoption("times"))), append=False)
