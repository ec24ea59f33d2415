"""Fixtures and hooks of tests that put promises to the test: short with every change, long when asked to."""

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.promises import promised

__all__ = ["PromiseKeeper", "often", "saw"]

Value = TypeVar("Value")


@pytest.fixture
def often(pytestconfig: pytest.Config) -> Callable[[Value, Value], Value]:
    """How often, or how long: the first value with every change, the second with ``--promises``."""
    is_long = bool(pytestconfig.getoption("promises"))
    return lambda short, long: long if is_long else short


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
    """Give what a marked test verifies to its report."""
    mark = item.get_closest_marker("promise")
    if mark is not None:
        number, verifies = mark.args
        if number not in promised.PROMISES:
            raise pytest.UsageError(f"{item.nodeid}: there is no promise {number!r}")
        item.user_properties += [("promise", number), ("verifies", verifies)]
