"""Suites of mimoCoRB, v1 and 2: what the entry points of the group ``labdaq.suites`` give, and notebooks run."""

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
from labdaq.compat.mimocorb.displays import has_page, plots_of, show
from labdaq.compat.mimocorb.outcome import SuiteResult, outcome_of
from labdaq.compat.mimocorb.run_folder import store_of
from labdaq.compat.mimocorb.suite import read_suite
from labdaq.compat.mimocorb.suite_run import SuiteRun
from labdaq.compat.mimocorb.wiring import rings_of
from labdaq.errors import StateError
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.running.waiting import wait_for
from labdaq.roles import Parameter

__all__ = ["MimocorbSuite", "open_v1", "open_v2"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class MimocorbSuite(RunControls):
    """A suite of mimoCoRB that can be run, any number of times.

    Parameters
    ----------
    path
        Its YAML file.

    Attributes
    ----------
    name : str
        Of its runs: that of the file, up to ``setup``.
    store : Path
        Where its runs are scans, ``runs`` beside the file: ``labdaq.runs(suite.store)`` lists them.
    rings : dict of str to DeclaredRing
        Its buffers, for live plots and taps; they stay the same from run to run.
    last : SuiteResult or None
        Of the run before.

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
        self.name, self.store = self.suite.name, store_of(self.suite)
        self.rings = rings_of(self.suite)
        self.parameters: dict[str, Parameter] = {}
        self.last: SuiteResult | None = None
        self._run: SuiteRun | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    # ------------------------------------------------------------------------------------ running

    def run(self, events: int | None = None, seconds: float | None = None) -> SuiteResult:
        """Take data until there are enough, the source has no more, or somebody ends it.

        Ctrl-C ends the run, and what was taken goes to its end; a second one aborts. SIGTERM ends it, too. The
        commands P, R, S, E and A can be typed, and the state is shown on a terminal, as :class:`run_mimoDAQ` does.
        In a notebook the dashboard is shown, with the plots that v1 shows in windows.

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

        Raises
        ------
        StateError
            A run is on.
        """
        daq = self._made(events, seconds, verbose=2 if sys.stderr.isatty() else 0)
        if has_page():
            show(self.dashboard())
        with _signals(daq) as seen:
            self._lead(daq, seen)
        return self._ended()

    def start(self, events: int | None = None, seconds: float | None = None) -> SuiteRun:
        """Begin a run, and return when its processes are on their way: it goes on in a thread, and hears commands.

        Raises
        ------
        StateError
            A run is on.
        LabdaqError, OSError
            What kept it from beginning. Ctrl-C aborts it.
        """
        daq = self._made(events, seconds, verbose=0, has_keyboard=False)
        self._thread = threading.Thread(target=self._lead, args=(daq, []), name=f"run of {self.name}", daemon=True)
        try:
            self._thread.start()
            daq.kept.has_begun.wait()
        except KeyboardInterrupt:
            daq.kept.reason = "interrupted"
            daq.command("A")
            raise
        if self._error is not None:
            self._thread.join()
            self._ended()
        return daq.kept

    def wait(self, timeout: float | None = None) -> SuiteResult:
        """Wait for the end of the run that was started; its result. Ctrl-C stops it, a second one aborts it.

        Raises
        ------
        StateError
            None was started.
        WaitTimeoutError
            It goes on after ``timeout`` seconds.
        """
        if self._run is not None and self._thread is not None:
            with contextlib.suppress(StateError):  # it has no result: what kept it from one is told below
                wait_for(self._run, timeout)
            self._thread.join()
        return self._ended()

    def _made(
        self, events: int | None, seconds: float | None, *, verbose: int, has_keyboard: bool = True
    ) -> run_mimoDAQ:
        """A run that is set up."""
        if self.current is not None:
            raise StateError(f"a run of {self.name!r} is on: stop it first")
        daq = run_mimoDAQ(self.path, verbose=verbose, rings=self.rings)
        daq.suite = replace(
            daq.suite,
            runevents=daq.suite.runevents if events is None else events,
            runtime=daq.suite.runtime if seconds is None else seconds,
            kbd_control=daq.suite.kbd_control and has_keyboard,
        )
        self._error = None
        daq.setup()
        self._run = daq.kept
        return daq

    def _lead(self, daq: run_mimoDAQ, seen: list[str]) -> None:
        """Do the run."""
        try:
            with contextlib.suppress(StateError):  # the result has the errors
                daq.run()
        except BaseException as error:  # noqa: BLE001 - for those who wait
            self._error = error
        finally:
            if daq.kept.result is not None:
                self.last = outcome_of(daq.kept.result, daq.bc, is_interrupted="SIGINT" in seen)
            daq.kept.has_begun.set()  # or it never will
            daq.kept.is_left.set()

    def _ended(self) -> SuiteResult:
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self.last is None:
            raise StateError(f"no run of {self.name!r} was started")
        return self.last

    # ------------------------------------------------------------------------------------ control

    @property
    def current(self) -> SuiteRun | None:
        """The run that is on; None between two."""
        return None if self._run is None or self._run.is_over else self._run

    @property
    def state(self) -> RunState:
        """What it is doing."""
        return RunState.IDLE if self._run is None else self._run.state

    def command(self, command: Command) -> None:
        """Pause, resume, stop or abort the run that is on; returns at once.

        Raises
        ------
        StateError
            Not in this state, or there is no run.
        """
        if self._run is None:
            raise StateError(f"{command.value} is not possible: no run of {self.name!r} was started")
        self._run.command(command)

    # -------------------------------------------------------------------------------------- views

    def panel(self) -> Any:
        """The control panel, for a notebook: start, pause, resume, stop and abort.

        Raises
        ------
        MissingExtraError
            What it needs is not installed.
        """
        from labdaq.widgets import panel

        return panel(self)  # type: ignore[arg-type] # it makes its subject itself

    def plots(self) -> list[Any]:
        """Live plots in the place of those that the functions of the suite would show in windows of their own."""
        return plots_of(self.suite, self.rings)

    def dashboard(self) -> Any:
        """The panel, with all plots."""
        from labdaq.widgets import dashboard

        return dashboard(self)  # type: ignore[arg-type] # it has what is asked of a pipeline

    def panel_subject(self) -> Any:
        """The suite as a panel sees it: a pipeline, from run to run."""
        from labdaq.widgets.pipeline_subject import PipelineSubject

        return PipelineSubject(self)  # type: ignore[arg-type] # it has what is asked of a pipeline

    def __repr__(self) -> str:
        return f"<suite {self.name!r} of {self.suite.package}, {self.state}: {', '.join(self.rings)}>"


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
        daq.kept.reason = daq.kept.reason or f"it was ended by {name}"
        if not is_enough:
            daq.command("E")
        elif daq.kept.state is RunState.IDLE:  # it is starting, and hears nothing
            raise KeyboardInterrupt
        else:
            daq.kept.command(Command.ABORT)

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
