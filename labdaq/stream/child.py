"""A process of ours that runs a node, seen from here: started, asked, noticed when it dies, ended."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from labdaq.errors import BusyError, ClosedError, DataError, EndOfDataError, ResourceError, WaitTimeoutError
from labdaq.native.process import this_process
from labdaq.stream.verbs import error_from, pack, read

__all__ = ["Child"]

_PROGRAM = "from labdaq.stream.spawned import main; main()"
_DYING_S = 2.0

Answers = queue.SimpleQueue[dict[str, Any] | None]


class Child:
    """A process and its two pipes. Nobody else can reach it: it listens nowhere.

    Parameters
    ----------
    program
        What it makes its node of.
    who
        For messages.

    Raises
    ------
    ResourceError
        The system has no room for another process.
    """

    def __init__(self, program: bytes, who: str) -> None:
        self._who = who
        parent = this_process()
        arguments = [sys.executable, "-c", _PROGRAM, str(parent.pid), str(parent.started), str(len(program))]
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        try:
            self._process = subprocess.Popen(arguments, env=environment, **pipes)  # type: ignore[call-overload]
        except OSError as error:
            raise ResourceError.of(error, f"starting a process for {who}") from error
        self.pid: int = self._process.pid
        self.is_open = True
        self._lock = threading.Lock()
        self._number = self._answered = 0
        self._answers: Answers = queue.SimpleQueue()
        name = f"labdaq-spawn {self.pid}"
        self._thread = threading.Thread(target=_listen, args=(self._process.stdout, self._answers), name=name)
        self._thread.daemon = True
        self._thread.start()
        self._finalizer = weakref.finalize(self, _end, self._process, self._thread)
        with contextlib.suppress(OSError):  # it has died already, and `first` says so
            view = memoryview(program)
            while view:
                view = view[self._process.stdin.write(view) :]

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def first(self, timeout: float) -> dict[str, Any]:
        """What it says when it has made its node. Errors are those of `ask`."""
        self._answered = -1
        with self._lock:
            told = self._answer(0, time.monotonic() + timeout)
        self.check(told)
        return told

    def ask(self, content: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Its answer to a message.

        Raises
        ------
        ClosedError
            It was closed, or has died.
        WaitTimeoutError
            It does not answer in time. What was asked will be done, or was.
        BusyError
            It has not answered what was asked before.
        """
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise BusyError(f"{self._who} is being asked by another thread")
        try:
            if not self.is_open:
                raise ClosedError(f"{self._who} was closed: spawn another one")
            if self._answered < self._number:
                try:
                    self._answer(self._number, deadline)
                except WaitTimeoutError as error:
                    raise BusyError(f"{self._who} is still at what it was asked before") from error
            self._number += 1
            try:
                self._process.stdin.write(pack({"number": self._number, **content}))
            except OSError as error:
                raise self._death() from error
            return self._answer(self._number, deadline)
        finally:
            self._lock.release()

    def _answer(self, number: int, deadline: float) -> dict[str, Any]:
        while True:
            try:
                told = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise WaitTimeoutError(f"{self._who}, process {self.pid}, does not answer in time") from None
            if told is None:
                self._answers.put(None)  # for the next one who asks
                raise self._death()
            if told.get("number") == number:
                self._answered = number
                return told

    def _death(self) -> ClosedError:
        """How it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING_S)
        code = self._process.returncode
        how = "has closed its connection" if code is None else f"ended with code {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code}"
        return ClosedError(f"process {self.pid} of {self._who} {how}: spawn another one")

    def check(self, told: dict[str, Any]) -> None:
        """Raise what an answer says went wrong."""
        if "error" in told:
            raise error_from(told["error"])

    def close(self, grace_s: float) -> None:
        """Let it end, or kill it. Twice is allowed."""
        with self._lock:
            self.is_open = False
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
            self._finalizer()


def _listen(pipe: Any, answers: Answers) -> None:
    """Hand on what it says, until it has ended."""
    with contextlib.suppress(EndOfDataError, DataError, OSError, ValueError):
        while True:
            answers.put(read(pipe))
    answers.put(None)


def _end(process: "subprocess.Popen[bytes]", thread: threading.Thread) -> None:
    """Nothing of it is left."""
    process.kill()
    process.wait()
    thread.join(_DYING_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
