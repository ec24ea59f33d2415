"""The supervisor of a run: hears what its workers tell, replaces those that were killed, and ends it in time."""

import contextlib
import queue
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from labdaq.errors import LabdaqError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.running.closing import flush
from labdaq.pipeline.running.crew import Member
from labdaq.pipeline.running.outside import obey, refuse_the_rest, show
from labdaq.pipeline.running.replacing import replacement_of
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.workers import board as b

if TYPE_CHECKING:
    from labdaq.pipeline.running.run import Run

__all__ = ["Supervisor"]

_LOOK_S = 0.05
_MOST_MESSAGES = 100
INTAKE_S = 0.7
"""So long sources may take to notice that they are to stop; then they are ended."""
_DISK_S = 1.0
_GRACE_S = 0.1
"""So long a thread from which everything was taken away may take to end."""


class Supervisor:
    """Watches one run, in a thread of its own."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._waiting = {node.name for node in run.nodes}
        self._helpers: list[threading.Thread] = []
        self._intake_ends: float | None = None
        self._next_disk = 0.0

    def run(self) -> None:
        """Watch until all have ended, then let the run be closed."""
        run = self._run
        try:
            while self._waiting:
                self._look()
                with contextlib.suppress(queue.Empty):
                    self._hear(*run.messages.get(timeout=_LOOK_S))
                    for _ in range(_MOST_MESSAGES):  # then it is time to look again
                        self._hear(*run.messages.get_nowait())
        except Exception as error:  # noqa: BLE001 - a defect here must not leave workers running
            run.note_error(f"the supervisor failed: {type(error).__name__}: {error}")
            run.failure = f"the supervisor failed: {error}"
            run.fail(run.failure)
            self._cut(run.crew.everyone)
        finally:
            run.end_rings()
            for thread in self._helpers:
                thread.join()
            show(run)
            run.finish()
            refuse_the_rest(run)

    # ------------------------------------------------------------------------------------ looking

    def _look(self) -> None:
        run, now = self._run, time.monotonic()
        run.board.words[b.HEARTBEAT_NS] = time.time_ns()
        obey(run)
        show(run)
        if not run.has_begun and all(member.is_ready for member in run.crew.everyone):
            run.begin_intake()
        if run.state == RunState.DRAINING:
            self._let_beginners_go()
        if run.state in {RunState.RUNNING, RunState.PAUSED}:
            self._look_at_limits(now)
        elif self._intake_ends is None:
            self._intake_ends = now + INTAKE_S
        elif now > self._intake_ends:
            self._intake_ends = float("inf")
            self._cut(run.crew.sources)
        if run.deadline is not None and now > run.deadline:
            run.deadline = None
            if run.state == RunState.DRAINING:
                run.fail(f"not drained after {run.limits.drain_timeout_s:g} s")
            else:
                self._cut(run.crew.everyone)
        if run.state == RunState.FAILED:  # a worker that was about to begin opens its ring again
            run.end_rings()
        run.record.look(run)

    def _look_at_limits(self, now: float) -> None:
        run = self._run
        if run.limits.seconds is not None and run.seconds >= run.limits.seconds:
            run.command(Command.STOP, f"{run.limits.seconds:g} s are over")
        elif not run.board.left:
            run.command(Command.STOP, f"{run.limits.events} events taken")
        elif now >= self._next_disk:
            self._next_disk = now + _DISK_S
            if run.limits.missing_nbytes(run.folder):
                run.note_error(f"the disk of {run.folder} is nearly full")
                run.command(Command.STOP, "the disk is nearly full")

    def _let_beginners_go(self) -> None:
        """At the end: who is still loading what he needs, and has nothing left to do, need not come any more."""
        for member in self._run.crew.everyone:
            if member.host.is_killable and not member.is_ready and not member.is_cut and self._is_done(member.node):
                member.is_cut = True
                member.host.kill()

    def _is_done(self, node: Node) -> bool:
        """Whether nothing is left of what a node reads, and nothing more will come."""
        run = self._run
        if any(set(node.reads) & set(one.writes) and one.name in self._waiting for one in run.nodes):
            return False
        groups = [group for ring in node.reads for group in run.rings[ring].statistics().groups]
        return all(group.lag == 0 for group in groups if group.name == node.name)

    def _cut(self, members: list[Member]) -> None:
        """End workers that did not end by themselves; of threads, only what they hold can be taken away."""
        late = [member for member in members if not member.has_ended and member.node.name in self._waiting]
        for member in late:
            member.is_cut = True
            member.host.kill()
        until = time.monotonic() + _GRACE_S
        for member in late:
            if not member.host.is_killable and not member.host.join(max(until - time.monotonic(), 0.0)):
                self._run.messages.put((member, "stuck", None))

    # ------------------------------------------------------------------------------------ hearing

    def _hear(self, member: Member, kind: str, said: Any) -> None:
        run = self._run
        if kind == "error":
            run.note_error(said)
        elif kind == "log":
            run.record.log("info", str(said))
        elif kind == "gone":
            run.record.log("error", said)
            member.lost = said
        elif kind == "parameter":
            run.parameters.append((member.node.name, *said))
            run.changes.show(member, *said[:2])
            run.record.log("info", "{}: {} = {} from event {} on".format(member.node.name, *said))
        elif kind == "losses":
            known = Counter(run.losses.get(member.node.name, {}))
            run.losses[member.node.name] = dict(known + Counter(said))
        elif kind in {"ended", "died", "stuck"}:
            self._hear_of_end(member, kind, said)

    def _hear_of_end(self, member: Member, kind: str, said: Any) -> None:
        run = self._run
        if member.has_ended:
            return
        if kind == "stuck":
            member.row.put(b.W_STATE, b.STUCK)
            run.stuck.append(member.plan.name)
            run.note_error(f"{member.plan.who} did not return; its thread {member.plan.name!r} is left alone")
        elif kind == "died":
            self._replace(member, said)
        member.has_ended = True
        if run.crew.has_ended(member.node):
            self._end_node(member.node)

    def _replace(self, member: Member, code: Any) -> None:
        """Put another worker in the place of one that was killed."""
        run, had_begun = self._run, member.is_ready
        member.row.put(b.W_STATE, b.KILLED if had_begun or not member.is_cut else b.DONE)
        for ring in run.rings.values():
            ring.recover()  # what the dead held is delivered again
        if member.is_cut and had_begun:
            run.note_error(f"{member.plan.who} did not return; its process was ended")
        elif member.is_cut:
            run.record.log("info", f"{member.plan.who} had not begun yet when the run ended; its process was ended")
        if member.is_cut or run.board.words[b.IS_ABORTED]:
            return
        text = f"{member.plan.who} was killed (exit code {code})"
        if member.node.is_source and run.has_begun and not run.board.words[b.IS_TAKING]:  # nothing more was wanted
            run.record.log("warning", f"{text}, after the intake had ended")
            return
        replacement = replacement_of(member, run)
        if not replacement.is_possible:
            member.lost = f"{text}; {replacement.says}"
            run.note_error(member.lost)
            return
        run.record.log("warning", f"{text}; {replacement.says}")
        run.restarts += 1
        try:
            new = run.crew.hire(member.node, member.number, **replacement.options)
            run.changes.tell(new)
            new.host.start()
        except LabdaqError as error:
            run.note_error(str(error))
            member.lost = text

    # ------------------------------------------------------------------------------ nodes that end

    def _end_node(self, node: Node) -> None:
        """All who worked for it have ended."""
        run = self._run
        self._waiting.discard(node.name)
        members = run.crew.members[node.name]
        lost = next((member.lost for member in members if member.lost), "")
        if lost and not any(member.is_done for member in members):
            self._lose(node, lost)
        if run.state in {RunState.RUNNING, RunState.PAUSED} and not self._is_fed():
            taken = f"{run.limits.events} events taken"
            run.command(Command.STOP, "the source has ended" if run.board.left else taken)
        for declared in node.writes:
            if not any(declared in n.writes and n.name in self._waiting for n in run.nodes):
                run.rings[declared].end()
        if not self._waiting and run.state == RunState.DRAINING:
            if run.failure:
                run.fail("" if run.failure in run.reason else run.failure)
            else:
                run.command(Command.EMPTY, "")

    def _is_fed(self) -> bool:
        """Whether any source goes on."""
        return any(node.is_source and node.name in self._waiting for node in self._run.nodes)

    def _lose(self, node: Node, why: str) -> None:
        """Nobody is left to do this: what comes for it is counted, and the rest of the run drains."""
        run = self._run
        run.failure = run.failure or why
        for declared in node.reads:
            self._pass_over(declared, node.name)
        if run.state in {RunState.RUNNING, RunState.PAUSED}:
            run.command(Command.STOP, why)

    def _pass_over(self, declared: DeclaredRing, group: str) -> None:
        """Count what comes for a group without workers, so that writers and other groups can go on."""
        run = self._run
        rows = [member.row for member in run.crew.members[group]]

        def count() -> None:
            run.undelivered[group] += flush(run.rings[declared], group, rows)

        thread = threading.Thread(target=count, name=f"pass over {group}", daemon=True)
        self._helpers.append(thread)
        thread.start()
