"""One run, from start to end: its state, its clock, and the result that it comes to."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from labdaq.errors import LabdaqError, StateError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node, upstream_order
from labdaq.pipeline.recording.record import Record
from labdaq.pipeline.running.any_run import RunHere
from labdaq.pipeline.running.changes import ParameterChanges
from labdaq.pipeline.running.closing import close_books, flush
from labdaq.pipeline.running.crew import Crew, Member
from labdaq.pipeline.running.limits import Limits
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.snapshots import Snapshot, snapshot_of
from labdaq.pipeline.running.states import Command, RunState, next_state
from labdaq.pipeline.running.supervision import Supervisor
from labdaq.pipeline.workers import board as b
from labdaq.ring.warming import warm

__all__ = ["Run"]

_MOST_ERRORS = 100
_LAST_S = 1.0
ABORT_S = 0.7
"""So long everything may take to end by itself when a run is aborted; then it is ended."""


class Run(RunHere):
    """One run of a pipeline. Made and started by the pipeline.

    Parameters
    ----------
    name
        Of the pipeline.
    nodes, rings
        What it is made of.
    limits
        When it ends.
    record
        What is kept of it: its folder, its log.
    is_shared
        Other processes look at the rings.

    Attributes
    ----------
    state : RunState
    reason : str
        Why it ends, or ended.
    result : RunResult or None
        When it is over.
    losses : dict
        What devices lost, by node and reason.
    parameters : list
        Changes while it ran: node, name, value, counter from which it holds.
    """

    def __init__(
        self,
        name: str,
        nodes: Sequence[Node],
        rings: Sequence[DeclaredRing],
        limits: Limits,
        record: Record,
        *,
        is_shared: bool = False,
    ) -> None:
        self.name, self.limits, self.record = name, limits, record
        self.number, self.folder = record.number, record.folder
        self.nodes = upstream_order(nodes)
        self.state = RunState.IDLE
        self.reason = self.failure = ""
        self.errors: list[str] = []
        self.nerror = self.restarts = 0
        self.stuck: list[str] = []
        self.losses: dict[str, dict[str, int]] = {}
        self.parameters: list[tuple[str, str, Any, int]] = []
        self.undelivered: Counter[str] = Counter()
        self.result: RunResult | None = None
        self.on_over: list[Callable[[], None]] = []
        """Called when it is over, by its supervisor."""
        self.deadline: float | None = None
        limits.check_disk(self.folder)
        self.is_shared = is_shared
        has_processes = any(node.run_in == "processes" for node in nodes)
        self.rings = {ring: ring.memory(shared=is_shared or has_processes) for ring in rings}
        self._first_frames = {ring: self.rings[ring].statistics().frames_written for ring in rings}
        self.messages: queue.SimpleQueue[tuple[Member, str, Any]] = queue.SimpleQueue()
        self.crew = Crew(self.nodes, self.rings, self.folder, lambda *message: self.messages.put(message))
        self.changes = ParameterChanges(self.nodes, self.crew)
        self.board = self.crew.board
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._started_ns = 0
        self._paused_s = self._paused_at = 0.0
        self._interrupting: list[threading.Thread] = []
        self._thread = threading.Thread(target=Supervisor(self).run, name=f"run {self.number} of {name}", daemon=True)

    # --------------------------------------------------------------------------------- beginning

    def start(self) -> None:
        """Make everything ready, and let the supervisor begin."""
        warm()
        if self.limits.events is not None:
            self.board.words[b.LIMIT] = int(self.limits.events)
        try:
            self._prepare_rings()
            self.crew.hire_all()
            self.record.begin(self)
            for member in (*self.crew.others, *self.crew.sources):
                member.host.start()
        except BaseException:
            self._give_up_start()
            raise
        self._change(Command.START, "")
        self._thread.start()

    def _prepare_rings(self) -> None:
        """Every group is declared before anything is written, and nothing is left of an earlier run."""
        for declared, ring in self.rings.items():
            groups = [node.name for node in self.nodes if declared in node.reads]
            for group in groups:
                ring.group(group)
            ring.end()
            for group in groups:
                flush(ring, group)
            ring.reopen()

    def _give_up_start(self) -> None:
        self.board.words[b.IS_ABORTED] = 1
        self.end_rings()
        for member in self.crew.everyone:
            if not member.host.join(0.2):
                member.host.kill()
        self.crew.dismiss(1.0)
        self.board.close()

    def begin_intake(self) -> None:
        """Let the sources begin, unless the run was stopped before: from now on the clock runs."""
        with self._lock:
            if self.has_begun:
                return
            self._started_ns = time.monotonic_ns()
            self.board.words[b.IS_TAKING] = 1
            self.board.words[b.STARTED_NS] = self._started_ns  # for which they wait

    @property
    def has_started(self) -> bool:
        """Whether its supervisor looks after it."""
        return self._thread.ident is not None

    @property
    def has_begun(self) -> bool:
        """Whether the sources were let begin, or will never be."""
        return self._started_ns != 0

    # ----------------------------------------------------------------------------------- control

    def command(self, command: Command, reason: str = "asked to") -> None:
        """Pause, resume, stop or abort; returns at once.

        Raises
        ------
        StateError
            Not in this state.
        """
        self._change(command, reason)

    def fail(self, why: str) -> None:
        """Go on no longer: everything ends now."""
        try:
            self._change(Command.FAIL, why)
        except StateError:
            return

    def _change(self, command: Command, reason: str) -> None:
        with self._lock:
            old, new = self.state, next_state(self.state, command)
            if new == old:
                return
            self.state = new
            self.board.words[b.STATE] = int(new)
            self._count_pause(old, new)
            if new in {RunState.DRAINING, RunState.FAILED}:
                if reason:
                    self.reason = f"{self.reason}; {reason}" if self.reason else reason
                self._end_intake()
            if new == RunState.DRAINING:
                self.deadline = time.monotonic() + self.limits.drain_timeout_s
            elif new == RunState.FAILED:
                self.deadline = time.monotonic() + ABORT_S
                self.board.words[b.IS_ABORTED] = 1
                self.end_rings()
        text = f"{old.name.lower()} -> {new.name.lower()}"
        self.record.log("info", f"{text}: {reason}" if reason else text)

    def _count_pause(self, old: RunState, new: RunState) -> None:
        now = time.monotonic()
        if new == RunState.PAUSED:
            self._paused_at = now
            self.board.words[b.IS_PAUSED] = 1
        elif old == RunState.PAUSED:
            self._paused_s += now - self._paused_at
            self.board.words[b.IS_PAUSED] = 0

    def _end_intake(self) -> None:
        if self.board.words[b.ENDED_NS]:
            return
        self.board.words[b.IS_TAKING] = 0
        if not self.has_begun:
            self.board.words[b.STARTED_NS] = self._started_ns = time.monotonic_ns()
        self.board.words[b.ENDED_NS] = time.monotonic_ns()
        for member in self.crew.sources:
            # It is the user's code, and may take its time: nobody waits for it, but for a moment at the end.
            name = f"interrupt {member.plan.name}"
            thread = threading.Thread(target=self._interrupt, args=(member,), name=name, daemon=True)
            thread.start()
            self._interrupting.append(thread)

    def _interrupt(self, member: Member) -> None:
        try:
            member.host.interrupt()
        except Exception as error:  # noqa: BLE001 - the user's code; the source is ended otherwise
            self.record.log("warning", f"{member.plan.who}: interrupt() raised {type(error).__name__}: {error}")

    def end_rings(self) -> None:
        """Nothing will be written any more."""
        for ring in self.rings.values():
            ring.end()

    def set_parameter(self, node: str, name: str, value: Any) -> None:
        """Change a parameter at the border of the next event of all workers that use it."""
        changed = self.changes.ask(node, name, value)
        if self.is_over:
            changed.apply(value)

    def note_error(self, text: str) -> None:
        """Something went wrong that the result has to tell."""
        self.nerror += 1
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(text)
        self.record.log("error", text)

    # -------------------------------------------------------------------------------- its numbers

    @property
    def events(self) -> int:
        """Events taken in so far."""
        return self.board.taken if self.result is None else self.result.events

    def snapshot(self) -> Snapshot:
        """What it is doing now, as numbers; also when it is over. Rates are those since the beginning."""
        return snapshot_of(self)

    @property
    def seconds(self) -> float:
        """How long the intake has lasted, without pauses."""
        if self.result is not None:
            return self.result.seconds
        if not self._started_ns:
            return 0.0
        end = self.board.words[b.ENDED_NS] or time.monotonic_ns()
        paused = self._paused_s + (time.monotonic() - self._paused_at if self.state == RunState.PAUSED else 0.0)
        return max((end - self._started_ns) / 1e9 - paused, 0.0)

    def first_frame(self, ring: DeclaredRing) -> int:
        """How many frames were written into a ring before this run."""
        return self._first_frames[ring]

    # ------------------------------------------------------------------------------------ the end

    @property
    def is_over(self) -> bool:
        """Whether the run has ended and everything is put away."""
        return self._over.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        is_over = self._over.wait(timeout)
        if is_over and threading.current_thread() is not self._thread:
            self._thread.join(_LAST_S)  # it answers those who ask too late
        return is_over

    def finish(self) -> None:
        """Close the books, once all workers have ended or were given up. Called by the supervisor."""
        self.end_rings()
        self.crew.dismiss(2.0 if not self.stuck else 0.1)
        for thread in list(self._interrupting):
            thread.join(0.1)
        try:
            self.changes.settle()
            self.result = close_books(self)
            self.state, self.reason = self.result.state, self.result.reason
            self._end_record()
        finally:
            self._leave_to_the_stuck()
            self.board.close()
            for then in self.on_over:
                then()
            self._over.set()

    def _leave_to_the_stuck(self) -> None:
        """A thread that did not return may still write where it was: its rings get new memory for the next run."""
        for member in self.crew.everyone:
            if member.plan.name in self.stuck:
                for declared in (*member.node.reads, *member.node.writes, *member.node.observes):
                    declared.close()

    def _end_record(self) -> None:
        try:
            self.record.end(self)
        except (LabdaqError, OSError) as error:
            self.note_error(f"the record of the run could not be completed: {error}")
            self.result = replace(self.over(), errors=tuple(self.errors), nerror=self.nerror)
