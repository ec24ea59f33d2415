"""A run of another process, seen and controlled from here."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from labdaq.errors import ClosedError, DataError, NotFoundError, ResourceError, StateError, WaitTimeoutError
from labdaq.native.process import Identity, is_alive
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.detached import ATTACH_FILE, IS_PUT_AWAY, bury
from labdaq.pipeline.running.finding import folder_of
from labdaq.pipeline.running.requests import answered, ask
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.snapshots import Snapshot
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.running.watching import AttachedObservation
from labdaq.pipeline.views import view
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring
from labdaq.ring.observer import Observer

__all__ = ["AttachedRun", "attach"]

_PATIENCE_S = 5.0
_TOLD = ("role", "reads", "writes")


def attach(which: Any, store: str | os.PathLike[str] = "runs", name: str | None = None) -> "AttachedRun":
    """A run of another process, seen and controlled from here: one that was detached, or of ``labdaq run``.

    Parameters
    ----------
    which
        Folder of the run; its number; the name of its pipeline, when one run of it goes on; the key of its scan; or
        something that stands for the run or scan: what :func:`labdaq.runs`, `labdaq.open_run` or a store gave.
    store
        Where numbers, names and keys are looked for: folder or URL, as it was given to the pipeline.
    name
        Of the pipeline, where a number is not enough.

    Raises
    ------
    NotFoundError
        There is no such run, or several, which the message lists; or it cannot be attached to.
    DataError
        What stands in its folder is damaged.
    """
    return AttachedRun(folder_of(which, store, name))


class AttachedRun(RunControls):
    """A run of another process; a context manager that only stops looking.

    Attributes
    ----------
    name, number, folder, key
        Of the run.
    rings : dict
        Its rings by name, and what is known of their data: units, channels, ``sample_interval_ns``.
    nodes : dict
        Its workers by name: ``role``, and the names of the rings that they read and write.
    seconds_limit : float or None
        After which its intake ends.
    begin_frames : dict
        Events that were in each ring before this run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / ATTACH_FILE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            self.name, self.number, self.key = str(about["name"]), int(about["number"]), str(about["key"])
            self._process = Identity(int(about["pid"]), int(about["started"]))
            self._rings, self._nodes = dict(about["rings"]), list(about["nodes"])
            self._url = str(about.get("url", ""))
            self.seconds_limit = None if about.get("seconds") is None else float(about["seconds"])
            self.rings = {str(ring): dict(one.get("header") or {}) for ring, one in self._rings.items()}
            self.begin_frames = {str(ring): int(one.get("begin", 0)) for ring, one in self._rings.items()}
            self.nodes = {str(node["name"]): {what: node[what] for what in _TOLD} for node in self._nodes}
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no run in {folder} that can be attached to: one that was started with detached=True, or "
                "by labdaq run"
            ) from error
        except OSError as error:
            raise ResourceError.of(error, "reading how the run is found", path) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged: {error!r}") from error
        self._board: Board | None = Board.open(folder / "board")
        self._open_rings: dict[str, Ring] = {}
        self._observation = AttachedObservation(self)

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
        """Whether it has ended and everything is put away, or its process is gone; the process may live on."""
        is_put_away = self._board is not None and self._board.words[IS_PUT_AWAY]
        return bool(is_put_away) or not self.is_alive

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self.board.taken

    def counts(self) -> dict[str, dict[str, int]]:
        """What became of events so far, by node and outcome."""
        return {name: self._counts(self.rows_of(name)) for name in self.nodes}

    @staticmethod
    def _counts(rows: list[Row]) -> dict[str, int]:
        return {outcome: sum(row.counts()[outcome] for row in rows) for outcome in b.OUTCOMES}

    def rows_of(self, node: str) -> list[Row]:
        """The numbers of the workers of a node."""
        number = list(self.nodes).index(node) + 1
        return [row for row in self.board.rows() if row.get(b.W_GROUP) == number]

    def snapshot(self) -> Snapshot:
        """What it is doing, as numbers of this moment; rates are those since the last call."""
        return self._observation.now()

    @property
    def result(self) -> RunResult:
        """What it came to, as ``daq.run`` gives it; of a run that was killed, as far as its files tell.

        Raises
        ------
        StateError
            It goes on.
        NotFoundError
            Its record is gone.
        """
        if not self.is_over:
            raise StateError(f"run {self.number} of {self.name!r} goes on: there is a result when it is over")
        from labdaq.pipeline.kept.listing import open_run

        url = self._url if "://" in self._url and not self._url.startswith("labdaq:") else None
        with open_run(self.key, url) if self.key and url else open_run(self.folder) as kept:
            return replace(kept.result, folder=self.folder)

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
            if not about["token"]:
                raise NotFoundError(f"ring {name!r} of run {self.number} is in the memory of its own process")
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
        NotFoundError
            The run has no such parameter.
        LayoutError
            It cannot have this value.
        StateError
            The run is over.
        WaitTimeoutError
            Nobody heard.
        """
        self._ask({"parameter": name, "value": value}, f"a change of {name}")

    def note(self, text: str) -> None:
        """Keep what somebody wants to remember of this moment with the record of the run.

        Raises
        ------
        LayoutError
            There is nothing in it.
        StateError, WaitTimeoutError
            The run is over, or nobody heard.
        """
        self._ask({"note": text}, "a note")

    def command(self, command: Command) -> None:
        """Ask for a change of state, and wait until it was done. What several ask for is done in order.

        Raises
        ------
        StateError
            Not in this state, or it is over.
        WaitTimeoutError
            Nobody heard.
        """
        self._ask({"command": command.value}, command.value)

    def _ask(self, wish: dict[str, Any], what: str) -> None:
        if self.is_over:
            raise StateError(f"{what} is not possible: run {self.number} of {self.name!r} is over")
        answered(ask(self.folder, wish), what, _PATIENCE_S, lambda: not self.is_over)

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait until the run is over; the state it came to. A process that was started from here for it has ended, too.

        Raises
        ------
        WaitTimeoutError
            It goes on after ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_over:
            if deadline is not None and time.monotonic() > deadline:
                raise WaitTimeoutError(f"run {self.number} of {self.name!r} goes on after {timeout:g} s")
            time.sleep(0.02)
        bury(self._process.pid)
        return self.state

    def panel(self) -> Any:
        """The control panel, for a notebook."""
        return view("panel")(self)

    def close(self) -> None:
        """Look no more; the run goes on."""
        if self._board is not None and self.is_over:
            bury(self._process.pid)
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
