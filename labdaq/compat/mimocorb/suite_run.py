"""A run of a suite as labdaq's records, statistics, accounts and panels know runs."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from labdaq.compat.mimocorb.control import buffer_control
from labdaq.compat.mimocorb.crew import Worker
from labdaq.compat.mimocorb.hiring import rows_of
from labdaq.compat.mimocorb.run_folder import store_of
from labdaq.compat.mimocorb.suite import Suite
from labdaq.errors import NotFoundError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.recording.record import RunRecord
from labdaq.pipeline.running.any_run import RunHere
from labdaq.pipeline.running.closing import close_books
from labdaq.pipeline.running.detached import write_attach_file
from labdaq.pipeline.running.limits import Limits
from labdaq.pipeline.running.outside import obey, refuse_the_rest, show
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.snapshots import Snapshot, snapshot_of
from labdaq.pipeline.running.states import Command, RunState, next_state
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring

__all__ = ["LETTERS", "SuiteRun"]

LETTERS = {Command.PAUSE: "P", Command.RESUME: "R", Command.STOP: "S", Command.ABORT: "A"}
"""Commands of labdaq, as v1 has them."""

_STATES = {"Running": RunState.RUNNING, "Paused": RunState.PAUSED, "Stopped": RunState.DRAINING}
_LOOK_S, _DISK_S = 0.1, 1.0


class _Counted(NamedTuple):
    """A worker in the accounts."""

    node: Node
    number: int
    row: Row


class _Crew(NamedTuple):
    """Who works for which node."""

    members: dict[str, list[_Counted]]
    sources: list[_Counted]


class SuiteRun(RunHere):
    """A run of a suite of mimoCoRB: what :class:`labdaq.pipeline.running.run.Run` is to a pipeline.

    It has what is asked of that one, and so the same record keeps it, the same books are closed, the same panel shows
    it, and :func:`labdaq.attach` finds it from other processes.

    Parameters
    ----------
    suite
        What is run.
    folder
        Of the run.
    ask
        Takes commands of v1, as P and R.
    rings
        What stands for the buffers, from run to run.

    Attributes
    ----------
    bc : buffer_control
        Buffers and workers.
    reason : str
        Why it ends, or ended.
    is_aborted : bool
        Whether data are left behind on purpose.
    result : RunResult or None
        When it is over.
    has_begun : threading.Event
        Set when its workers are on their way: from then on it hears commands.
    is_left : threading.Event
        Set when whoever led it has left it.
    on_over : list
        Functions that are called when it is over.

    Raises
    ------
    LayoutError
        Functions feed each other in a circle.
    ResourceError
        The disk is nearly full, or the system refuses the files of the run.
    """

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        ask: Callable[[str], None],
        rings: Mapping[str, DeclaredRing] | None = None,
    ) -> None:
        self.name, self.folder, self._ask = suite.name, folder, ask
        self.limits = Limits(suite.runevents or None, suite.runtime or None)
        self.limits.check_disk(folder)
        self.board = Board.create(folder / "board", rows_of(suite))
        self.bc = buffer_control(suite=suite, output_directory=folder, rings=rings, board=self.board)
        self.nodes: Sequence[Node] = [team.node for team in self.bc.teams]
        self.record = RunRecord(self.name, store_of(suite), self.nodes, "", folder=folder)
        self.number = self.record.number
        self.reason = self.failure = ""
        self.is_aborted = False
        self.errors: list[str] = []
        self.nerror = 0
        self.stuck: list[str] = []
        self.losses: dict[str, dict[str, int]] = {}
        self.parameters: list[Any] = []
        self.undelivered: Counter[str] = Counter()
        self.result: RunResult | None = None
        self.on_over: list[Callable[[], None]] = []
        self.has_begun = threading.Event()
        self.is_left = threading.Event()
        self._last: Snapshot | None = None
        self._final: RunState | None = None
        self._asked: RunState | None = None
        self._told: dict[Worker, str] = {}
        self._told_state = RunState.IDLE
        self._next_look_s = self._next_disk_s = 0.0

    def set_up(self) -> None:
        """Make the buffers and what the workers need, and begin the record."""
        try:
            self.bc.setup_buffers()
            self.bc.setup_workers()
            self.bc.on_poll.append(self._look)
            self.bc.on_end.append(self._end)
            self.board.words[b.LIMIT] = self.limits.events or b.NO_LIMIT
            self.board.words[b.PID] = os.getpid()
            self.record.begin(self)
            write_attach_file(self)
        except BaseException as error:
            self._final = RunState.FAILED
            self.bc.on_end.clear()
            self.bc.shutdown()
            self.record.fail(error)
            raise

    def command(self, command: Command, reason: str = "") -> None:
        """Ask for a change of state, and say why; returns at once.

        Raises
        ------
        StateError
            Not in this state.
        """
        before = self.state if self._asked is None or self.is_over else self._asked
        after = next_state(before, command)
        if after == before:
            return
        self._asked = after
        if command is Command.ABORT:
            self.is_aborted = self.bc.is_hurried = True
        if after >= RunState.DRAINING:
            self.reason = self.reason or reason
        self._ask(LETTERS[command])

    def set_parameter(self, node: str, name: str, value: Any) -> None:  # noqa: ARG002
        """A NotFoundError: functions of suites have settings, no parameters that change while they run."""
        raise NotFoundError(f"no parameter {f'{node}.{name}'!r}; there are none")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        return self.is_left.wait(timeout)

    # -------------------------------------------------------------------------------- its numbers

    @property
    def state(self) -> RunState:
        """What it is doing."""
        return self._final if self._final is not None else _STATES.get(self.bc.status, RunState.IDLE)

    @property
    def is_over(self) -> bool:
        """Whether it has ended and everything is put away."""
        return self._final is not None

    @property
    def seconds(self) -> float:
        """How long data were taken."""
        return self.bc.active_s

    @property
    def restarts(self) -> int:
        """Processes that were killed and replaced."""
        return self.bc.restarts

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self.board.taken if self.result is None else self.result.events

    @property
    def rings(self) -> dict[DeclaredRing, Ring]:
        """The rings behind its buffers."""
        return {self.bc.rings[name]: buffer.ring for name, buffer in self.bc.ringbuffers.items()}

    @property
    def crew(self) -> _Crew:
        """Who works for which node."""
        members: dict[str, list[_Counted]] = {node.name: [] for node in self.nodes}
        for one in self.bc.process_list:
            if one.row is not None:
                members[one.node.name].append(_Counted(one.node, one.plan.number, one.row))
        return _Crew(members, [one for node in self.nodes if node.is_source for one in members[node.name]])

    def first_frame(self, ring: DeclaredRing) -> int:  # noqa: ARG002
        """None: the buffers of each run are new."""
        return 0

    def snapshot(self) -> Snapshot:
        """What it is doing now, as numbers; of a run that is over, at its end. Rates are those since the beginning."""
        return self._last or snapshot_of(self)

    # ------------------------------------------------------------------------------- while it runs

    def _look(self) -> None:
        """Write down how things stand, and hear what others ask for, when it is time."""
        now_s = time.monotonic()
        if now_s < self._next_look_s and self.state == self._told_state:
            return
        self._next_look_s = now_s + _LOOK_S
        self._note()
        obey(self)
        self.record.look(self)
        if now_s >= self._next_disk_s and self.state in {RunState.RUNNING, RunState.PAUSED}:
            self._next_disk_s = now_s + _DISK_S
            if self.limits.missing_nbytes(self.folder):
                self.reason = "the disk is nearly full"
                self.record.log("error", self.reason)
                self.command(Command.STOP)

    def _note(self) -> None:
        words = self.board.words
        words[b.STATE], words[b.HEARTBEAT_NS] = int(self.state), time.time_ns()
        words[b.TAKEN] = sum(self.bc.ringbuffers[name].statistics().frames_written for name in self.bc.suite.roots())
        if self.seconds and not words[b.STARTED_NS]:
            words[b.STARTED_NS] = time.monotonic_ns() - int(1e9 * self.seconds)
        if self.state >= RunState.DRAINING and not words[b.ENDED_NS]:
            words[b.ENDED_NS] = time.monotonic_ns()
        show(self)
        if self.state == self._asked:
            self._asked = None
        for worker in self.bc.process_list:
            worker.note()
            if worker.reason and self._told.get(worker) != worker.reason:
                self._told[worker] = worker.reason
                self.record.log("error", f"{worker.name}: {worker.reason.rstrip()}")
        if self.state != self._told_state:
            why = f": {self.reason}" if self.reason and self.state >= RunState.DRAINING else ""
            self.record.log("info", f"{self._told_state} -> {self.state}{why}")
            self._told_state = self.state

    # ------------------------------------------------------------------------------------ the end

    def _end(self) -> None:
        """Close books and record: all processes have ended, and the buffers are still there."""
        for (_, name), number in self.bc.left_behind.items():
            self.undelivered[name] += number
        self.errors = [f"{one.name}: {one.reason.rstrip()}" for one in self.bc.failures]
        self.nerror = len(self.errors)
        is_bad = self.is_aborted or self.nerror or self.undelivered.total()
        final = RunState.FAILED if is_bad else RunState.ENDED
        try:
            self._told_state, self._final = self.state, final
            self._note()
            self.result = close_books(self)
            self._last = snapshot_of(self)
            self.record.end(self)
        finally:
            self._final = final
            for then in self.on_over:
                then()
            refuse_the_rest(self)
            self.board.close()
