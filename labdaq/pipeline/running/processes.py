"""Workers in processes of their own.

A process is a new interpreter on every system: no state is inherited, and functions of a notebook go there as
they are (cloudpickle). It is told what to do, and tells what happens, over a connection; when that breaks,
because this process died, it ends within a second or two, and its source goes into a safe state.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import threading
import traceback
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import cloudpickle

from labdaq.errors import LabdaqError, LayoutError, ResourceError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.choosing import new_worker
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.worker import Report, Worker
from labdaq.ring.warming import warm

__all__ = ["ProcessHost"]

_KEY_VARIABLE = "LABDAQ_WORKER_KEY"
# Ctrl-C at a terminal goes to all its processes: what it means for the run is decided in the first one.
_PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from labdaq.pipeline.running.processes import main; main()"
)
_SAFE_S = 1.0
"""So long a worker may take to end, its source in a safe state, when nobody wants its work any more."""


class ProcessHost:
    """A worker and its process, as the supervisor sees them."""

    is_killable = True

    def __init__(self, plan: WorkerPlan, board: Board, report: Report) -> None:
        self.plan = plan
        self._board, self._report = board, report
        try:
            self._payload = cloudpickle.dumps((plan, str(board.path)))
        except LabdaqError:
            raise
        except Exception as error:  # pickling raises whatever the object raises
            raise LayoutError(f"{plan.who} cannot go to another process: {error}") from error
        self._connection: Connection[Any, Any] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._listen, name=f"{plan.name} (process)", daemon=True)
        self._is_told = False
        self._lock = threading.Lock()
        self._unsent: list[tuple[str, Any]] = []

    def start(self) -> None:
        """Begin.

        Raises
        ------
        ResourceError
            The system has no room for another process.
        """
        key = secrets.token_bytes(32)
        try:
            self._listener = Listener(authkey=key)
        except OSError as error:
            raise ResourceError.of(error, f"making a connection for {self.plan.who}") from error
        arguments = [sys.executable, "-c", _PROGRAM, str(self._listener.address)]
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment = {**os.environ, _KEY_VARIABLE: key.hex(), "PYTHONPATH": paths}
        try:
            self._process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL)
        except OSError as error:
            self._listener.close()
            raise ResourceError.of(error, f"starting a process for {self.plan.who}") from error
        self._thread.start()

    def _listen(self) -> None:
        """Hand on what the process tells, until it has ended."""
        waiting = threading.Thread(target=self._give_up_on_death, name=f"{self.plan.name} (start)", daemon=True)
        waiting.start()
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            connection = self._listener.accept()
            self._listener.close()
            with self._lock:
                connection.send_bytes(self._payload)
                for message in self._unsent:
                    connection.send(message)
                self._connection = connection
            while True:
                kind, said = connection.recv()
                self._is_told = self._is_told or kind == "ended"
                self._report(kind, said)
        self._process.wait()  # type: ignore[union-attr]
        waiting.join()
        if not self._is_told:
            self._report("died", self._process.returncode)  # type: ignore[union-attr]

    def _give_up_on_death(self) -> None:
        """If the process ends before it calls, nobody may wait for its call."""
        self._process.wait()  # type: ignore[union-attr]
        if self._connection is None:
            with contextlib.suppress(OSError, EOFError, AuthenticationError):
                Client(self._listener.address).close()
            with contextlib.suppress(OSError):
                self._listener.close()

    @property
    def is_alive(self) -> bool:
        """Whether it still works, or has more to tell."""
        return self._thread.is_alive()

    def change(self, name: str, value: Any) -> None:
        """Set a parameter at the border of the next event."""
        self._send(("change", (name, value)))

    def interrupt(self) -> None:
        """Make a source that waits for its device return."""
        self._send(("interrupt", None))

    def _send(self, message: tuple[str, Any]) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._connection is None:
                self._unsent.append(message)
            else:
                self._connection.send(message)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def join(self, timeout: float) -> bool:
        """Wait for it to end; whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._listener.close()


# ------------------------------------------------------------------------------------ in the process


def main() -> None:
    """Run one worker: what the process executes."""
    try:
        connection = Client(sys.argv[1], authkey=bytes.fromhex(os.environ.pop(_KEY_VARIABLE)))
    except OSError:  # who wanted the work is gone already
        sys.exit(1)
    lock = threading.Lock()

    def report(kind: str, said: Any) -> None:
        with lock, contextlib.suppress(OSError, ValueError):
            connection.send((kind, said))

    try:
        plan, path = cloudpickle.loads(connection.recv_bytes())
        board = Board.open(Path(path))
        worker = new_worker(plan, board, report)
        warm()
    except Exception as error:  # noqa: BLE001 - whatever unpickling runs into
        report("error", "".join(traceback.format_exception(error)).rstrip())
        report("gone", f"this worker could not begin: {type(error).__name__}: {error}")
        report("ended", "failed")
        return
    threading.Thread(target=_listen, args=(connection, worker), daemon=True).start()
    worker.run()
    for ring in {*plan.reads, *plan.writes, *plan.observes}:
        ring.close()
    connection.close()


def _listen(connection: "Connection[Any, Any]", worker: Worker) -> None:
    """Obey, and end when the process that asked for the work is gone."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        while True:
            kind, said = connection.recv()
            if kind == "change":
                worker.changes.append(said)
            elif kind == "interrupt" and hasattr(worker.plan.work, "interrupt"):
                worker.plan.work.interrupt()
    if worker.row.get(b.W_STATE) in {b.STARTING, b.WORKING}:
        _leave(worker)


def _leave(worker: Worker) -> None:
    """Nobody wants the work any more: abort the run here, and end the process whatever the user's code does."""
    work, rings = worker.plan.work, {*worker.plan.reads, *worker.plan.writes, *worker.plan.observes}
    worker.board.words[b.IS_TAKING], worker.board.words[b.IS_ABORTED] = 0, 1
    with contextlib.suppress(Exception):
        for ring in rings:
            ring.end()
        if hasattr(work, "interrupt"):
            work.interrupt()
    threading.main_thread().join(_SAFE_S)
    if worker.plan.role == "source" and hasattr(work, "close"):
        closing = threading.Thread(target=work.close, daemon=True)
        closing.start()
        closing.join(_SAFE_S / 2)
    with contextlib.suppress(Exception):
        for ring in rings:
            ring.close()
    os._exit(1)
