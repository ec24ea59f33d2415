"""The crew of a run: who works for which node, where, and in which row of the board."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.running.processes import ProcessHost
from labdaq.pipeline.running.threads import ThreadHost
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.plan import Upstream, WorkerPlan
from labdaq.ring import Ring

__all__ = ["Crew", "Member", "Post"]

Host = ThreadHost | ProcessHost


class Post(Protocol):
    """Where members tell what happens."""

    def __call__(self, member: "Member", kind: str, said: Any) -> None:
        """Take a message, from any thread."""


class Member:
    """One worker: its plan, its row, and whether it has ended.

    Attributes
    ----------
    lost : str
        Why it gave up; empty as long as it did not.
    has_ended : bool
        Nothing more will come from it.
    is_cut : bool
        It did not end in time and was ended.
    """

    def __init__(self, node: Node, plan: WorkerPlan, board: Board, post: Post) -> None:
        self.node, self.plan = node, plan
        self.row = board.row(plan.row)
        self.lost = ""
        self.has_ended = self.is_cut = False
        kind = ProcessHost if node.run_in == "processes" else ThreadHost
        self.host: Host = kind(plan, board, lambda what, said: post(self, what, said))

    @property
    def number(self) -> int:
        """Of those who work for its node."""
        return self.plan.number

    @property
    def is_ready(self) -> bool:
        """Whether it is past its beginning."""
        return self.has_ended or self.row.get(b.W_STATE) != b.STARTING

    @property
    def is_done(self) -> bool:
        """Whether it did all its work."""
        return self.row.get(b.W_STATE) == b.DONE


class Crew:
    """All workers of a run, and those that took the place of others.

    Parameters
    ----------
    nodes
        Sources first.
    rings
        The memory of the rings that they use.
    folder
        Of the run; the board is made there.
    post
        Where all tell what happens.
    """

    def __init__(self, nodes: Sequence[Node], rings: Mapping[DeclaredRing, Ring], folder: Path, post: Post) -> None:
        self.nodes, self.rings, self.folder = list(nodes), rings, folder
        self.members: dict[str, list[Member]] = {node.name: [] for node in self.nodes}
        self._post = post
        self._tables = _needed_tables(self.nodes)
        rows = sum(n.workers * (1 + (n.max_restarts if n.run_in == "processes" else 0)) for n in self.nodes)
        self.board = Board.create(folder / "board", rows, len(self._tables))
        self._next_row = 0

    def hire(self, node: Node, number: int, **options: Any) -> Member:
        """A new worker, who does not begin yet.

        Parameters
        ----------
        node
            For which it works.
        number
            Its place there.
        **options
            Settings of the role that hold for this worker only.

        Raises
        ------
        LayoutError
            What the node is to do cannot be done so.
        """
        row, self._next_row = self._next_row, self._next_row + 1
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
            upstream=self._before(node),
            run_in=node.run_in,
            max_errors=node.max_errors,
            options={**node.options, **options},
        )
        member = Member(node, plan, self.board, self._post)
        member.row.put(b.W_GROUP, plan.origin)
        self.members[node.name].append(member)
        return member

    def _before(self, node: Node) -> tuple[Upstream, ...]:
        """Where the events of a node come from, and by whose hands."""
        above = _upstream(node, self.nodes)
        first = {ring for n in self.nodes if n.is_source for ring in n.writes}
        feeding = [n for n in self.nodes if set(n.writes) & above]
        return tuple(Upstream(self.rings[ring], n.name, ring in first) for n in feeding for ring in n.reads)

    def hire_all(self) -> None:
        """A worker for every place."""
        for node in self.nodes:
            for number in range(node.workers):
                self.hire(node, number)

    @property
    def everyone(self) -> list[Member]:
        """All there are and were."""
        return [member for members in self.members.values() for member in members]

    @property
    def sources(self) -> list[Member]:
        """Those by whom events come in."""
        return [member for member in self.everyone if member.node.is_source]

    @property
    def others(self) -> list[Member]:
        """All but the sources; those at the end of the flow first, so that nobody waits for one who is not there."""
        return [m for node in reversed(self.nodes) if not node.is_source for m in self.members[node.name]]

    def has_ended(self, node: Node) -> bool:
        """Whether nobody works for a node any more."""
        return all(member.has_ended for member in self.members[node.name])

    def may_replace(self, member: Member) -> bool:
        """Whether one who was killed may be followed by another, as far as their number goes."""
        replaced = len(self.members[member.node.name]) - member.node.workers
        return replaced < member.node.max_restarts * member.node.workers

    def dismiss(self, patience_s: float) -> None:
        """Wait for those who end, and give back what is left of all of them."""
        for member in self.everyone:
            if not member.host.join(patience_s) and member.host.is_killable:
                member.host.kill()  # it told its end, and something of the user's keeps its process
                member.host.join(patience_s)
            member.host.close()


def _needed_tables(nodes: Sequence[Node]) -> dict[str, int]:
    """Nodes that may get a record twice: below readers that can be killed, who leave their work half done."""
    doubtful = {ring for node in nodes if node.reads and node.run_in == "processes" for ring in node.writes}
    names = [n.name for n in nodes if n.role != "task" and _upstream(n, nodes) & doubtful]
    return {name: number for number, name in enumerate(names)}


def _upstream(node: Node, nodes: Sequence[Node]) -> set[DeclaredRing]:
    """All rings that come before a node."""
    found, new = set(node.reads), set(node.reads)
    while new:
        new = {ring for n in nodes if set(n.writes) & new for ring in n.reads} - found
        found |= new
    return found
