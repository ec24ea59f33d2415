"""The worker processes of a suite, as the one who runs it sees them."""

import contextlib
import multiprocessing
import pickle
import signal
import sys
import time
import types
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from labdaq.compat.mimocorb.patience import used_ns, wanted_s
from labdaq.compat.mimocorb.suite import Function
from labdaq.compat.mimocorb.worker import ENDED, FAILED, READY, SHUT, Task, run_worker
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Row

__all__ = ["Worker", "dismiss", "wait_for_news"]

_SPAWN = multiprocessing.get_context("spawn")
_STARTING, _KILLED = "starting", "killed"
_ON_BOARD = {_STARTING: b.STARTING, READY: b.WORKING, ENDED: b.DONE, FAILED: b.BROKEN, _KILLED: b.KILLED}
_LEAVE_S = 60.0  # a process whose function has ended leaves by itself, however long it takes
_GRACE_S = 5.0  # for a process whose function goes on although its buffers were taken away
_KILL_S = 5.0


class _Plan(NamedTuple):
    """What the accounts of a run ask of the plan of a worker."""

    name: str
    number: int


class Worker:
    """One process of a function.

    Parameters
    ----------
    function
        The function.
    task
        What its process does.
    name
        Of the function, for messages.
    node
        What the function is, or is a part of, in the accounts of the run.
    origin
        Number of the node, from 1.
    row
        Where it is accounted for; None: nowhere.
    """

    def __init__(
        self, function: Function, task: Task, name: str, *, node: Node, origin: int = 0, row: Row | None = None
    ) -> None:
        self.function = function
        self.name, self.plan = name, _Plan(name, task.number)
        self.node, self.row = node, row
        if row is not None:
            row.put(b.W_GROUP, origin)
        self.state = _STARTING
        self.shut: set[str] = set()
        """Buffers to which it said that it will write no more."""
        self.reason = ""
        """Why it failed: a traceback, or how its process ended."""
        self.was_killed = False
        """Whether it died without a word, and nobody has taken its place."""
        self._is_given_up = False
        self._task: Task | None = task
        self._here, self._there = _SPAWN.Pipe(duplex=False)
        self._process: SpawnProcess | None = None

    def start(self) -> None:
        """Start the process."""
        process = _SPAWN.Process(
            target=run_worker, args=(pickle.dumps(self._task), self._there), name=self.name, daemon=True
        )
        with _uninterrupted(), _without_main():
            process.start()
            self._process = process
        self._task = None
        self._there.close()

    @property
    def is_over(self) -> bool:
        """Whether its function has ended, in whatever way."""
        return self.state in {ENDED, FAILED, _KILLED}

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
                word, text = self._here.recv()
                if word == SHUT:
                    self.shut.add(text)
                else:
                    self.state, self.reason = word, text
        if is_dead and not self.is_over:
            code = self.exitcode or 0
            self.state = FAILED if code else ENDED
            self.was_killed = bool(code)
            self.reason = f"its process was ended by signal {-code}" if code < 0 else f"its process ended with {code}"

    def leave_to_another(self) -> None:
        """It was killed, and another one takes its place: that is no failure."""
        self.state, self.was_killed = _KILLED, False

    def note(self) -> None:
        """Write down, in its row, what it is doing, and the processor time that it has used."""
        if self.row is None:
            return
        self.row.put(b.W_STATE, _ON_BOARD.get(self.state, b.WORKING))
        if self._process is not None and self._process.pid and not self.is_over:
            self.row.put(b.W_PID, self._process.pid)
            self.row.put(b.W_CPU_NS, max(used_ns(self._process.pid), self.row.get(b.W_CPU_NS)))

    def writes_no_more(self, buffer: str) -> bool:
        """Whether nothing will come from it into this buffer."""
        return self.is_over or buffer in self.shut

    def wanted_s(self) -> float:
        """Processor time that its process has used, or stood in line for, in seconds."""
        return wanted_s(self._process.pid) if self._process is not None and self._process.pid else 0.0

    def sentinels(self) -> list[Any]:
        """What to wait for, until there is something to look at."""
        return [] if self.is_over or self._process is None else [self._here, self._process.sentinel]

    def terminate(self, *, kill: bool = False) -> None:
        """Ask its function to leave at once, or end the process by force."""
        if self._process is not None and self._process.is_alive():
            (self._process.kill if kill else self._process.terminate)()

    def give_up(self) -> None:
        """Wait for it no longer, and have it leave; nobody calls that a failure."""
        self.terminate()
        self.state, self.reason = ENDED, "it did not react, and was told to leave at once"
        self._is_given_up = True

    @property
    def is_leaving(self) -> bool:
        """Whether its function has ended by itself, so that its process will."""
        return self.is_over and not self._is_given_up

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


def dismiss(workers: list[Worker], grace: float = _GRACE_S, leave: float = _LEAVE_S, kill: float = _KILL_S) -> None:
    """End all processes.

    Those whose functions have ended leave by themselves, within ``leave`` seconds. The others have ``grace``
    seconds to end; then they are asked to leave at once, and after ``kill`` seconds killed.
    """
    _await_exits(workers, grace)
    for worker in workers:
        worker.look()
    _await_exits([worker for worker in workers if worker.is_leaving], leave)
    for is_last, patience in ((False, kill), (True, _KILL_S)):
        for worker in workers:
            worker.terminate(kill=is_last)
        _await_exits(workers, patience)
    for worker in workers:
        worker.look()
        worker.close()


def _await_exits(workers: list[Worker], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))


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
