"""The worker processes of a suite, as the one who runs it sees them."""

import contextlib
import multiprocessing
import signal
import sys
import types
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import psutil

from labdaq.compat.mimocorb.suite import Function
from labdaq.compat.mimocorb.worker import ENDED, FAILED, Task, run_worker

__all__ = ["Worker", "dismiss", "wait_for_news"]

_SPAWN = multiprocessing.get_context("spawn")
_STARTING = "starting"


class Worker:
    """One process of a function.

    Parameters
    ----------
    function
        The function.
    task
        What its process does.
    """

    def __init__(self, function: Function, task: Task) -> None:
        self.function = function
        self.name = function.function
        self.state = _STARTING
        self.reason = ""
        """Why it failed: a traceback, or how its process ended."""
        self._task: Task | None = task
        self._here, self._there = _SPAWN.Pipe(duplex=False)
        self._process: SpawnProcess | None = None

    def start(self) -> None:
        """Start the process."""
        process = _SPAWN.Process(target=run_worker, args=(self._task, self._there), name=self.name, daemon=True)
        with _uninterrupted(), _without_main():
            process.start()
            self._process = process
        self._task = None
        self._there.close()

    @property
    def is_over(self) -> bool:
        """Whether its function has ended, in whatever way."""
        return self.state in {ENDED, FAILED}

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def exitcode(self) -> int | None:
        """Of its process; None before it ends."""
        return None if self._process is None else self._process.exitcode

    def look(self) -> None:
        """Take note of what it says, and of a process that died without a word."""
        is_dead = self._process is not None and not self._process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while not self.is_over and self._here.poll():
                self.state, self.reason = self._here.recv()
        if is_dead and not self.is_over:
            code = self.exitcode or 0
            self.state = FAILED if code else ENDED
            self.reason = f"its process was ended by signal {-code}" if code < 0 else f"its process ended with {code}"

    def cpu_s(self) -> float:
        """Processor time that its process has used, in seconds."""
        try:
            return sum(psutil.Process(self._process.pid).cpu_times()[:2]) if self._process else 0.0
        except psutil.Error:
            return 0.0

    def sentinels(self) -> list[Any]:
        """What to wait for, until there is something to look at."""
        return [] if self.is_over or self._process is None else [self._here, self._process.sentinel]

    def terminate(self, *, kill: bool = False) -> None:
        """End the process by force."""
        if self._process is not None and self._process.is_alive():
            (self._process.kill if kill else self._process.terminate)()

    def give_up(self) -> None:
        """End a process that does not react; nobody calls that a failure."""
        self.terminate()
        self.state, self.reason = ENDED, "it did not react, and was ended by force"

    def join(self, timeout: float) -> None:
        """Wait for its process to end, for up to ``timeout`` seconds."""
        if self._process is not None:
            self._process.join(timeout)

    def close(self) -> None:
        """Give back what the process has used in this one."""
        self._here.close()
        self._there.close()


def wait_for_news(workers: list[Worker], timeout: float) -> None:
    """Wait until there is something to look at, for up to ``timeout`` seconds."""
    sentinels: list[Connection] = [one for worker in workers for one in worker.sentinels()]
    wait(sentinels, timeout)


def dismiss(workers: list[Worker], grace: float) -> None:
    """End all processes: those that do not end within ``grace`` seconds by force, and then by more of it."""
    for seconds, by_force in ((grace, None), (0.3, False), (5.0, True)):
        for worker in workers:
            if by_force is not None:
                worker.terminate(kill=by_force)
        share = seconds / max(1, sum(worker.is_alive() for worker in workers))
        for worker in workers:
            worker.join(share)
    for worker in workers:
        worker.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait while a process is being started; the process itself leaves it to us from its beginning."""
    mask = getattr(signal, "pthread_sigmask", None)
    before = mask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else None
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main program from a process being started.

    It would import it, and where v1's scripts run a suite without asking whether they are the main program,
    start everything once more. Workers need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
