"""One run: its workers, from start to end, and the supervisor that watches them."""

import contextlib
import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from labdaq.errors import LabdaqError, ResourceError, StateError
from labdaq.pipeline import board as b
from labdaq.pipeline.board import Board
from labdaq.pipeline.closing import balance_of, flush, settle_the_dead
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.ledger import Ledger
from labdaq.pipeline.nodes import Node, upstream_order
from labdaq.pipeline.plan import WorkerPlan
from labdaq.pipeline.processes import ProcessHost
from labdaq.pipeline.record import Record
from labdaq.pipeline.result import RunResult
from labdaq.pipeline.states import Command, RunState, next_state
from labdaq.pipeline.threads import ThreadHost
from labdaq.ring.warming import warm

__all__ = ["Limits", "Run"]

_LOOK_S = 0.05
_INTAKE_S = 0.9
"""So long sources may take to notice that they are to stop."""
_ABORT_S = 0.9
_MOST_ERRORS = 100
_REQUESTS = {command: number for number, command in enumerate(Command)}


class Limits:
    """When a run ends by itself, and how long it may take to.

    Parameters
    ----------
    events
        So many events are taken in.
    seconds
        The intake lasts so long, pauses not counted.
    drain_timeout_s
        After so long what was not processed is given up and counted as undelivered.
    min_free_nbytes
        The run stops when less than this is free on the disk.
    """

    def __init__(
        self,
        events: int | None = None,
        seconds: float | None = None,
        drain_timeout_s: float = 10.0,
        min_free_nbytes: int = 100 << 20,
    ) -> None:
        self.events, self.seconds = events, seconds
        self.drain_timeout_s, self.min_free_nbytes = drain_timeout_s, min_free_nbytes


Host = ThreadHost | ProcessHost


class Run:
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
    """

    def __init__(
        self, name: str, nodes: Sequence[Node], rings: Sequence[DeclaredRing], limits: Limits, record: Record
    ) -> None:
        self.name, self.limits, self.record = name, limits, record
        self.number, self.folder = record.number, record.folder
        self.nodes = upstream_order(nodes)
        self.state = RunState.IDLE
        self.reason = ""
        self.errors: list[str] = []
        self.nerror = 0
        self.restarts = 0
        self.stuck: list[str] = []
        self._failure = ""
        self._left: Counter[str] = Counter()
        self._helpers: list[threading.Thread] = []
        self.losses: dict[str, dict[str, int]] = {}
        self.parameters: list[tuple[str, str, Any, int]] = []
        self.result: RunResult | None = None
        self._log = record.log
        self._messages: queue.SimpleQueue[tuple[Any, str, Any]] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._deadline: float | None = None
        self._intake_ends: float | None = None
        self._paused_s, self._paused_at = 0.0, 0.0
        self._is_shared = any(node.run_in == "processes" for node in nodes)
        self.rings = {ring: ring.memory(shared=self._is_shared) for ring in rings}
        self._begin_frames = {ring: self.rings[ring].statistics().frames_written for ring in rings}
        self.hosts: dict[str, list[Host]] = {node.name: [] for node in self.nodes}
        self.rows: dict[str, list[int]] = {node.name: [] for node in self.nodes}
        self._tables = self._needed_tables()
        self._has_begun = False
        self._started_ns = 0
        self.board = Board.create(self.folder / "board", self._nrows(), len(self._tables))
        self._next_row = 0
        self._waiting = {node.name for node in self.nodes}
        self._check_disk()
        self._thread = threading.Thread(target=self._supervise, name=f"run {self.number} of {name}", daemon=True)

    # --------------------------------------------------------------------------------- beginning

    def _nrows(self) -> int:
        return sum(n.workers * (1 + (n.max_restarts if n.run_in == "processes" else 0)) for n in self.nodes)

    def _needed_tables(self) -> dict[str, int]:
        """Nodes that may get a record twice: what they read is written by readers that can be killed."""
        writers = {ring for n in self.nodes if n.reads and n.run_in == "processes" for ring in n.writes}
        below = [n.name for n in self.nodes if self._upstream(n) & writers and n.role != "task"]
        return {name: number for number, name in enumerate(below)}

    def _upstream(self, node: Node) -> set[DeclaredRing]:
        """All rings that come before a node."""
        found, new = set(node.reads), set(node.reads)
        while new:
            new = {ring for n in self.nodes if set(n.writes) & new for ring in n.reads} - found
            found |= new
        return found

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < self.limits.min_free_nbytes:
            self.board.close()
            raise ResourceError(
                f"only {free >> 20} MiB are free in {self.folder}, and a run begins with at least "
                f"{self.limits.min_free_nbytes >> 20} MiB: make room, or lower min_free_nbytes"
            )

    def start(self) -> None:
        """Start all workers, sinks first, so that nothing waits for one that is not there."""
        warm()
        if self.limits.events is not None:
            self.board.words[b.LIMIT] = self.limits.events
        for node in self.nodes:
            for declared in node.reads:
                ring = self.rings[declared]
                ring.group(node.name)
        for declared, ring in self.rings.items():
            ring.end()
            for node in self.nodes:
                if declared in node.reads:
                    flush(ring, node.name)
            ring.reopen()
        try:
            for node in reversed(self.nodes):
                for number in range(node.workers):
                    self._new_worker(node, number)
            self.record.begin(self)
            for host in self._all_hosts():
                if not self._is_source(host):
                    host.start()
        except BaseException:
            self._give_up_start()
            raise
        self._change(Command.START, "")
        self._thread.start()

    def _is_source(self, host: Host) -> bool:
        return bool(host.plan.writes) and not host.plan.reads

    def _begin_intake(self) -> None:
        """Let the sources begin, once everybody else is ready: what they wait for is no dead time."""
        others = [host for host in self._all_hosts() if not self._is_source(host)]
        if any(self.board.row(host.plan.row).get(b.W_STATE) == b.STARTING for host in others):
            return
        self._has_begun = True
        self._started_ns = time.monotonic_ns()
        self.board.words[b.STARTED_NS] = self._started_ns
        self.board.words[b.IS_TAKING] = 1
        for host in self._all_hosts():
            if self._is_source(host):
                host.start()

    def _give_up_start(self) -> None:
        self.board.words[b.IS_TAKING], self.board.words[b.IS_ABORTED] = 0, 1
        for ring in self.rings.values():
            ring.end()
        for host in self._all_hosts():
            if not host.join(0.2):
                host.kill()
                host.join(1.0)
            host.close()
        self.board.close()

    def _new_worker(self, node: Node, number: int) -> Host:
        row = self._next_row
        self._next_row += 1
        self.rows[node.name].append(row)
        plan = WorkerPlan(
            role=node.role,
            group=node.name,
            number=number,
            row=row,
            work=node.work,
            reads=tuple(self.rings[ring] for ring in node.reads),
            writes=tuple(self.rings[ring] for ring in node.writes),
            observes=tuple(self.rings[ring] for ring in node.observes),
            folder=self.folder,
            origin=self.nodes.index(node) + 1,
            table=self._tables.get(node.name),
            run_in=node.run_in,
            max_errors=node.max_errors,
            options=node.options,
        )
        self.board.row(row).put(b.W_GROUP, plan.origin)
        box: list[Host] = []  # a worker tells by whom, and may do so at once

        def report(kind: str, said: Any) -> None:
            self._messages.put((box[0], kind, said))

        box.append((ProcessHost if node.run_in == "processes" else ThreadHost)(plan, self.board, report))
        self.hosts[node.name].append(box[0])
        return box[0]

    def _all_hosts(self) -> list[Host]:
        return [host for hosts in self.hosts.values() for host in hosts]

    # ----------------------------------------------------------------------------------- control

    def command(self, command: Command, reason: str = "asked to") -> None:
        """Pause, resume, stop or abort; returns at once.

        Raises
        ------
        StateError
            Not in this state.
        """
        with self._lock:
            self._change(command, reason)

    def _change(self, command: Command, reason: str) -> None:
        with self._lock:
            old = self.state
            new = next_state(old, command)
            if new == old:
                return
            self.state = new
            words, now = self.board.words, time.monotonic()
            words[b.STATE] = int(new)
            if new == RunState.PAUSED:
                self._paused_at = now
                words[b.IS_PAUSED] = 1
            elif old == RunState.PAUSED:
                self._paused_s += now - self._paused_at
                words[b.IS_PAUSED] = 0
            if new >= RunState.DRAINING:
                self._end_intake(now)
            if new in {RunState.DRAINING, RunState.FAILED}:
                self.reason = reason if new == RunState.DRAINING or not self.reason else f"{self.reason}; {reason}"
            if new == RunState.DRAINING:
                self._deadline = now + self.limits.drain_timeout_s
            elif new == RunState.FAILED:
                self._deadline = now + _ABORT_S
                words[b.IS_ABORTED] = 1
                self._end_rings()
            text = f"{old.name.lower()} -> {new.name.lower()}"
            self._log("info", f"{text}: {reason}" if reason else text)

    def _end_intake(self, now: float) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._started_ns = time.monotonic_ns()
            for host in self._all_hosts():
                if self._is_source(host):
                    self._messages.put((host, "ended", "done"))
        if self.board.words[b.ENDED_NS]:
            return
        self.board.words[b.IS_TAKING] = 0
        self.board.words[b.ENDED_NS] = time.monotonic_ns()
        self._intake_ends = now + _INTAKE_S
        for node in self.nodes:
            if node.is_source:
                for host in self.hosts[node.name]:
                    self._interrupt(host)

    def _interrupt(self, host: Host) -> None:
        try:
            host.interrupt()
        except Exception as error:  # noqa: BLE001 - the user's code; the source is stopped otherwise
            self._log("warning", f"{host.plan.who}: interrupt() raised {type(error).__name__}: {error}")

    def _end_rings(self) -> None:
        for ring in self.rings.values():
            with contextlib.suppress(LabdaqError):
                ring.end()

    def set_parameter(self, node: str, name: str, value: Any) -> None:
        """Change a parameter of all workers of a node at the border of their next event."""
        for host in self.hosts[node]:
            host.change(name, value)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        return self._over.wait(timeout)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended and everything is put away."""
        return self._over.is_set()

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

    # ------------------------------------------------------------------------------- supervision

    def _supervise(self) -> None:
        try:
            while not self._is_done():
                self._obey()
                self._look()
                self.record.look(self)
                with contextlib.suppress(queue.Empty):
                    self._handle(*self._messages.get(timeout=_LOOK_S))
                    while True:
                        self._handle(*self._messages.get_nowait())
        except Exception as error:  # noqa: BLE001 - a defect here must not leave workers running
            self._note_error(f"the supervisor failed: {type(error).__name__}: {error}")
            self._fail(f"the supervisor failed: {error}")
        finally:
            self._finish()

    def _is_done(self) -> bool:
        return not self._waiting

    def _obey(self) -> None:
        """Do what was asked for from another process."""
        wanted = self.board.words[b.REQUEST]
        if wanted:
            self.board.words[b.REQUEST] = 0
            command = list(Command)[wanted]
            try:
                self.command(command, "asked to from outside")
            except LabdaqError as error:
                self._log("warning", str(error))

    def _look(self) -> None:
        now = time.monotonic()
        self.board.words[b.HEARTBEAT_NS] = time.time_ns()
        if not self._has_begun:
            self._begin_intake()
        if self.state in {RunState.RUNNING, RunState.PAUSED}:
            self._look_at_limits()
        if self._intake_ends is not None and now > self._intake_ends:
            self._intake_ends = None
            self._cut_sources()
        if self._deadline is not None and now > self._deadline:
            self._deadline = None
            if self.state == RunState.DRAINING:
                self._fail(f"not drained after {self.limits.drain_timeout_s:g} s")
            else:
                self._cut(self._all_hosts())

    def _look_at_limits(self) -> None:
        if self.limits.seconds is not None and self.seconds >= self.limits.seconds:
            self._change(Command.STOP, f"{self.limits.seconds:g} s are over")
            return
        free = shutil.disk_usage(self.folder).free
        if free < self.limits.min_free_nbytes:
            self._note_error(f"the disk is nearly full: {free >> 20} MiB are free in {self.folder}")
            self._change(Command.STOP, "the disk is nearly full")

    def _cut_sources(self) -> None:
        self._cut([host for node in self.nodes if node.is_source for host in self.hosts[node.name]])

    def _cut(self, hosts: list[Host]) -> None:
        """End workers that did not end by themselves."""
        for host in hosts:
            if host.is_alive and host.plan.group in self._waiting:
                host.kill()
                if not host.is_killable:
                    self._messages.put((host, "stuck", None))

    def _handle(self, host: Host, kind: str, said: Any) -> None:
        if kind == "error":
            self._note_error(said)
        elif kind == "log":
            self._log("info", str(said))
        elif kind == "gone":
            self._log("error", said)
            host.lost = said  # type: ignore[union-attr]
        elif kind == "parameter":
            name, value, counter = said
            self.parameters.append((host.plan.group, name, value, counter))
            self._log("info", f"{host.plan.group}: {name} = {value} from event {counter} on")
        elif kind == "losses":
            known = Counter(self.losses.get(host.plan.group, {}))
            self.losses[host.plan.group] = dict(known + Counter(said))
        elif kind != "ready":  # which only wakes the supervisor
            self._handle_end(host, kind, said)

    def _handle_end(self, host: Host, kind: str, said: Any) -> None:
        """ended, died or stuck."""
        row = self.board.row(host.plan.row)
        if kind == "stuck":
            if not host.is_alive:
                return
            row.put(b.W_STATE, b.STUCK)
            self.stuck.append(host.plan.name)
            self._log("error", f"{host.plan.who} did not return: thread {host.plan.name!r} is left alone")
        elif kind == "died":
            row.put(b.W_STATE, b.KILLED)
            if self._replace(host, said):
                return
        host.has_ended = True  # type: ignore[union-attr]
        node = next(n for n in self.nodes if n.name == host.plan.group)
        if all(getattr(h, "has_ended", False) for h in self.hosts[node.name]):
            self._end_node(node)

    def _replace(self, host: Host, code: Any) -> bool:
        """Start another worker in place of one that was killed."""
        node = next(n for n in self.nodes if n.name == host.plan.group)
        text = f"{host.plan.who} was killed (exit code {code})"
        for ring in self.rings.values():
            ring.statistics()  # looks after the dead: what they held is delivered again
        may = self.state < RunState.ENDED and not self.board.words[b.IS_ABORTED]
        used = len(self.hosts[node.name]) - node.workers
        if may and bool(node.reads) and used < node.max_restarts * node.workers:
            self._log("warning", f"{text}; another one takes its place")
            self.restarts += 1
            host.has_ended = True  # type: ignore[union-attr]
            try:
                self._new_worker(node, host.plan.number).start()
            except LabdaqError as error:
                self._note_error(str(error))
                return False
            return True
        if not self.board.words[b.IS_ABORTED]:
            self._note_error(text)
            host.lost = text  # type: ignore[union-attr]
        return False

    def _end_node(self, node: Node) -> None:
        """All its workers have ended."""
        self._waiting.discard(node.name)
        lost = [getattr(host, "lost", "") for host in self.hosts[node.name]]
        alive = [self.board.row(row).get(b.W_STATE) == b.DONE for row in self.rows[node.name]]
        if any(lost) and not any(alive):
            self._lose(node, next(filter(None, lost)))
        if self.state in {RunState.RUNNING, RunState.PAUSED} and not self._is_fed():
            full = self.board.words[b.TAKEN] >= self.board.words[b.LIMIT]
            self._change(Command.STOP, f"{self.limits.events} events taken" if full else "the source has ended")
        for declared in node.writes:
            if not any(declared in n.writes and n.name in self._waiting for n in self.nodes):
                self.rings[declared].end()
        if not self._waiting and self.state == RunState.DRAINING:
            self._change(Command.EMPTY, self.reason)

    def _is_fed(self) -> bool:
        """Whether any source goes on."""
        return any(node.is_source and node.name in self._waiting for node in self.nodes)

    def _lose(self, node: Node, why: str) -> None:
        """A node has no worker left: what came for it is given up, the rest of the run drains."""
        self._note_failure(why)
        for declared in node.reads:
            self._pass_over(declared, node.name)
        if self.state in {RunState.RUNNING, RunState.PAUSED}:
            self._change(Command.STOP, why)

    def _note_failure(self, why: str) -> None:
        self._failure = self._failure or why

    def _pass_over(self, declared: DeclaredRing, group: str) -> None:
        """Count what comes for a group without workers, so that writers and other groups can go on."""

        def count() -> None:
            with contextlib.suppress(LabdaqError):
                self._left[group] += flush(self.rings[declared], group, self.board)

        thread = threading.Thread(target=count, name=f"pass over {group}", daemon=True)
        self._helpers.append(thread)
        thread.start()

    def _note_error(self, text: str) -> None:
        self.nerror += 1
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(text)
        self._log("error", text)

    def _fail(self, why: str) -> None:
        with contextlib.suppress(LabdaqError):
            self._change(Command.FAIL, why)

    # ------------------------------------------------------------------------------------ the end

    def _finish(self) -> None:
        self._end_rings()
        for host in self._all_hosts():
            if host.join(0.0 if host.plan.name in self.stuck else 2.0):
                host.close()
        self._close_books()
        try:
            self.record.end(self)
        except LabdaqError as error:
            self._note_error(f"the record of the run could not be completed: {error}")
        finally:
            self.board.close()
            self._over.set()

    def over(self) -> RunResult:
        """The result of a run that is over."""
        if self.result is None:
            raise StateError(f"run {self.number} of {self.name!r} is not over")
        return self.result

    def _close_books(self) -> None:
        for thread in self._helpers:
            thread.join()
        for node in self.nodes:
            for declared in node.reads:
                self._left[node.name] += flush(self.rings[declared], node.name, self.board)
        settle_the_dead(self.board)
        balances = [balance_of(node, self, self._left[node.name]) for node in self.nodes]
        state = RunState.FAILED if self._failure or self.state == RunState.FAILED else RunState.ENDED
        if state == RunState.FAILED and self._failure and self._failure not in self.reason:
            self.reason = f"{self.reason}; {self._failure}" if self.reason else self._failure
        seconds = self.seconds
        deadtime = self.deadtime()
        self.state = state
        self.board.words[b.STATE] = int(state)
        self.result = RunResult(
            name=self.name,
            number=self.number,
            state=state,
            reason=self.reason or "ended",
            events=sum(x.received for x in balances if x.role == "source"),
            seconds=seconds,
            live_time_s=seconds * (1 - deadtime),
            deadtime=deadtime,
            ledger=Ledger.of(balances),
            errors=tuple(self.errors),
            nerror=self.nerror,
            stuck=tuple(self.stuck),
            restarts=self.restarts,
            folder=self.folder if self.record.key else None,
            key=self.record.key,
        )

    def deadtime(self) -> float:
        """Fraction of the intake in which sources waited for room or copied; the mean of several."""
        rows = [self.board.row(n) for node in self.nodes if node.role == "source" for n in self.rows[node.name]]
        seconds = self.seconds * len(rows)
        return min(sum(row.get(b.W_WAITED_NS) for row in rows) / 1e9 / seconds, 1.0) if seconds else 0.0

    def is_only_writer(self, node: Node) -> bool:
        """Whether nobody else writes what a node writes."""
        return not any(set(other.writes) & set(node.writes) for other in self.nodes if other is not node)

    def written_to(self, ring: DeclaredRing) -> int:
        """Events that this run wrote into a ring."""
        return self.rings[ring].statistics().frames_written - self._begin_frames[ring]
