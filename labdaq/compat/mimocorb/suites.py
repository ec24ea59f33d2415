"""Suites of mimoCoRB, v1 and 2, for `labdaq run`: what the entry points of the group ``labdaq.suites`` give."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from labdaq.compat.mimocorb.daq import run_mimoDAQ
from labdaq.compat.mimocorb.outcome import SuiteResult, outcome_of
from labdaq.compat.mimocorb.suite import read_suite
from labdaq.errors import StateError

__all__ = ["MimocorbSuite", "open_v1", "open_v2"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class MimocorbSuite:
    """A suite of mimoCoRB that can be run, any number of times.

    Parameters
    ----------
    path
        Its YAML file.

    Raises
    ------
    NotFoundError
        When a file is not there.
    LayoutError, DataError
        When something in it is not possible; the message names file, key and value.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.suite = read_suite(path)

    def run(self, events: int | None = None, seconds: float | None = None) -> SuiteResult:
        """Take data until there are enough, the source has no more, or somebody ends it.

        Ctrl-C ends the run, and what was taken goes to its end; a second one aborts. SIGTERM ends it, too. The
        commands P, R, S and E can be typed, and the state is shown on a terminal, as :class:`run_mimoDAQ` does.

        Parameters
        ----------
        events
            Events in the first buffer; None for as many as the suite says, or without a limit.
        seconds
            Time of taking data; None likewise.

        Returns
        -------
        SuiteResult
            Also when a worker failed: its `state` says so.
        """
        daq = run_mimoDAQ(self.path, verbose=2 if sys.stderr.isatty() else 0)
        suite = daq.suite
        daq.suite = replace(
            suite,
            runevents=suite.runevents if events is None else events,
            runtime=suite.runtime if seconds is None else seconds,
        )
        daq.setup()
        with _signals(daq) as seen, contextlib.suppress(StateError):  # the outcome has the errors
            daq.run()
        return outcome_of(daq, is_interrupted="SIGINT" in seen)


def open_v1(path: str | Path) -> MimocorbSuite:
    """A suite of mimoCoRB v1; see :class:`MimocorbSuite`."""
    return MimocorbSuite(path)


def open_v2(path: str | Path) -> MimocorbSuite:
    """A suite of mimoCoRB2; see :class:`MimocorbSuite`."""
    return MimocorbSuite(path)


@contextlib.contextmanager
def _signals(daq: run_mimoDAQ) -> Iterator[list[str]]:
    """End the run when a signal comes, and abort it at the second Ctrl-C; gives a list of those that came."""
    seen: list[str] = []

    def note(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        is_enough = name == "SIGINT" and name in seen
        seen.append(name)
        daq.command("E")
        if is_enough:
            raise KeyboardInterrupt

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _SIGNALS:
            if hasattr(signal, name):
                number = getattr(signal, name)
                before[number] = signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
