"""A run of another process, seen and controlled from here."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from labdaq.errors import ClosedError, DataError, NotFoundError, ResourceError, StateError, WaitTimeoutError
from labdaq.native.process import Identity, is_alive
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.detached import ATTACH_FILE, bury
from labdaq.pipeline.running.requests import ask
from labdaq.pipeline.running.states import Command, RunState, next_state
from labdaq.pipeline.views import view
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring
from labdaq.ring.observer import Observer

__all__ = ["AttachedRun", "attach"]

_PATIENCE_S = 5.0


def attach(folder: str | os.PathLike[str]) -> "AttachedRun":
    """A run that goes on in another process, by its folder: one that was detached, or of ``labdaq run``.

    Raises
    ------
    NotFoundError
        There is no detached run in this folder.
    DataError
        What stands there is damaged.
    """
    return AttachedRun(Path(folder))


class AttachedRun(RunControls):
    """A run of another process; a context manager that only stops looking.

    Attributes
    ----------
    name, number, folder, key
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / ATTACH_FILE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            self.name, self.number, self.key = str(about["name"]), int(about["number"]), str(about["key"])
            self._process = Identity(int(about["pid"]), int(about["started"]))
            self._rings, self._nodes = dict(about["rings"]), list(about["nodes"])
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no detached run in {folder}: give the folder of one") from error
        except OSError as error:
            raise ResourceError.of(error, "reading how the run is found", path) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error!r}") from error
        self._board: Board | None = Board.open(folder / "board")
        self._open_rings: dict[str, Ring] = {}

    # ----------------------------------------------------------------------------------- seeing

    @property
    def board(self) -> Board:
        """The numbers of the run."""
        if self._board is None:
            raise ClosedError(f"this view of run {self.number} of {self.name!r} was closed")
        return self._board

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        alive = is_alive(self._process)
        if not alive:
            bury(self._process.pid)
        return alive

    @property
    def state(self) -> RunState:
        """What it is doing; FAILED when its process was killed."""
        state = RunState(self.board.words[b.STATE])
        return state if state.is_over or self.is_alive else RunState.FAILED

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and its process with it."""
        return not self.is_alive

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self.board.taken

    def counts(self) -> dict[str, dict[str, int]]:
        """What became of events so far, by node and outcome."""
        return {
            node["name"]: {outcome: sum(row.counts()[outcome] for row in self._rows(number)) for outcome in b.OUTCOMES}
            for number, node in enumerate(self._nodes, 1)
        }

    def _rows(self, number: int) -> Iterator[Row]:
        return (row for row in self.board.rows() if row.get(b.W_GROUP) == number)

    def ring(self, name: str) -> Ring:
        """A ring of the run, shared with its process: for statistics and observers.

        Raises
        ------
        NotFoundError
            It has none of this name.
        ClosedError
            The run is over and its memory gone.
        """
        if name not in self._rings:
            raise NotFoundError(f"run {self.number} has no ring {name!r}; it has {', '.join(self._rings)}")
        if name not in self._open_rings:
            about = self._rings[name]
            self._open_rings[name] = Ring._attach("shared", about["token"], about["label"])
        return self._open_rings[name]

    def observe(self, name: str, *, latest: bool = False) -> Observer:
        """See the events of a ring without disturbing anyone."""
        return self.ring(name).observer(latest=latest, label="attached")

    # ---------------------------------------------------------------------------------- control

    def set_parameter(self, name: str, value: Any) -> None:
        """Change a parameter, by ``worker.name``, at the border of the next event; the log of the run tells of it.

        Raises
        ------
        StateError
            The run is over.
        """
        if self.is_over:
            raise StateError(f"{name} cannot be changed: run {self.number} of {self.name!r} is over")
        ask(self.folder, {"parameter": name, "value": value})

    def command(self, command: Command) -> None:
        """Ask for a change of state, and wait until it is heard.

        Raises
        ------
        StateError
            Not in this state, or it is over.
        WaitTimeoutError
            Nobody heard.
        """
        if self.is_over:
            raise StateError(f"{command.value} is not possible: run {self.number} of {self.name!r} is over")
        next_state(self.state, command)
        words = self.board.words
        words[b.REQUEST] = list(Command).index(command) + 1
        deadline = time.monotonic() + _PATIENCE_S
        while words[b.REQUEST] and self.is_alive:
            if time.monotonic() > deadline:
                raise WaitTimeoutError(f"run {self.number} did not hear of {command.value} in {_PATIENCE_S:g} s")
            time.sleep(0.01)

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait until the run and its process have ended; the state it came to.

        Raises
        ------
        WaitTimeoutError
            It goes on after ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_alive:
            if deadline is not None and time.monotonic() > deadline:
                raise WaitTimeoutError(f"run {self.number} of {self.name!r} goes on after {timeout:g} s")
            time.sleep(0.02)
        return self.state

    def panel(self) -> Any:
        """The control panel, for a notebook."""
        return view("panel")(self)

    def close(self) -> None:
        """Look no more; the run goes on."""
        for ring in self._open_rings.values():
            ring.close()
        self._open_rings = {}
        if self._board is not None:
            self._board.close()
            self._board = None

    def __enter__(self) -> "AttachedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<run {self.number} of {self.name!r} in {self.folder}>"
