"""Who takes the place of a worker that was killed, and where he goes on."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from labdaq.pipeline.nodes import Node, is_only_writer
from labdaq.pipeline.running.crew import Member
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.resuming import Resumption, resumption_of
from labdaq.roles import parameters_of

if TYPE_CHECKING:
    from labdaq.pipeline.running.run import Run

__all__ = ["Replacement", "replacement_of"]

_LOST = "taken by a source that was killed"
_REMEDY = (
    "nobody knows where it stood: give it a seed if it gives the same events each time, or acquire(event) if it reads "
    "a device, and it is started again"
)


class Replacement:
    """How the work of a killed worker goes on.

    Attributes
    ----------
    is_possible : bool
        Whether another one may take its place.
    says : str
        For the log: how it goes on, or why it does not.
    options : dict
        For the worker that takes its place.
    """

    def __init__(self, is_possible: bool, says: str, **options: Any) -> None:
        self.is_possible, self.says, self.options = is_possible, says, options


def replacement_of(member: Member, run: "Run") -> Replacement:
    """How the work of a killed worker goes on; call it when the rings have looked after the dead.

    Readers begin with the events that the dead one had. A source goes on after the last event that it committed:
    of one that repeats itself so many are passed over, of a device what was on its way is lost and counted.
    """
    node = member.node
    if not run.crew.may_replace(member):
        return Replacement(False, "no more are started")
    if node.reads:
        return Replacement(True, "another one takes its place")
    kind = resumption_of(node.work) if node.role == "source" else Resumption.NONE
    if kind is Resumption.NONE:
        return Replacement(False, _REMEDY)
    if kind is Resumption.REPEATS and (why_not := _why_not_anew(node, run)):
        return Replacement(False, why_not)
    written = sum(run.written_to(ring) for ring in node.writes)
    lost = _take_numbers_back(member, run, written)
    if kind is Resumption.REPEATS:
        rows = [one.row for one in run.crew.members[node.name]]
        passed = written + sum(row.counts()["discarded"] for row in rows)
        return Replacement(True, f"it is begun anew, and its first {passed} events are passed over", passed=passed)
    if lost:
        run.losses[node.name] = dict(Counter(run.losses.get(node.name, {})) + Counter({_LOST: lost}))
    return Replacement(True, f"it is opened again and goes on with number {run.board.words[b.TAKEN]}; {lost} are lost")


def _why_not_anew(node: Node, run: "Run") -> str:
    """Why nobody knows which events of a source that repeats itself are there; empty if one does."""
    if not is_only_writer(node, run.nodes):
        return "others write its ring, too, and nobody knows how many of the events are its own"
    changed = _changed_parameters(node, run)
    if changed:
        names = ", ".join(map(repr, changed))
        return f"its parameter {names} was changed in this run, and begun anew it would give other events: run it again"
    return ""


def _changed_parameters(node: Node, run: "Run") -> list[str]:
    """Those that were changed while the run was on, by whichever node that uses them, too."""
    works = {one.name: one.work for one in run.nodes}
    changed = [parameters_of(works[name]).get(parameter) for name, parameter, _, _ in run.parameters]
    return [name for name, own in parameters_of(node.work).items() if any(own is one for one in changed)]


def _take_numbers_back(member: Member, run: "Run", written: int) -> int:
    """Numbers that were taken for events that never came are given to the next ones; how many these are.

    With several sources nobody knows whose they are: they stay empty.
    """
    if sum(node.is_source for node in run.nodes) > 1 or len(member.node.writes) != 1:
        return 0
    lost = max(run.board.taken - written, 0)
    run.board.words[b.TAKEN] = written
    return lost
