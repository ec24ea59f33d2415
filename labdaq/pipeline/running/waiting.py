"""Waiting for the end of a run, so that Ctrl-C stops it and loses nothing."""

import threading

from labdaq.errors import LabdaqError, WaitTimeoutError
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.states import Command

__all__ = ["wait_for"]


def wait_for(run: AnyRun, timeout: float | None = None) -> RunResult:
    """Wait until a run is over; its result.

    The first Ctrl-C stops the run, which is then waited for; a second one aborts it.

    Raises
    ------
    WaitTimeoutError
        It goes on after ``timeout`` seconds.
    """
    wanted = Command.STOP
    while True:
        try:
            if not run.wait(threading.TIMEOUT_MAX if timeout is None else timeout):
                raise WaitTimeoutError(f"run {run.number} of {run.name!r} goes on after {timeout:g} s")
        except KeyboardInterrupt:
            _try(run, wanted)
            wanted, timeout = Command.ABORT, None
        else:
            return run.over()


def _try(run: AnyRun, command: Command) -> None:
    try:
        run.command(command, "interrupted")
    except LabdaqError:
        return
