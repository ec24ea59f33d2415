"""Closing the books of a run: what is left in the rings, what the dead had noted, and the balance."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from labdaq.errors import EndOfDataError
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.running.ledger import NodeBalance
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring

if TYPE_CHECKING:
    from labdaq.pipeline.running.run import Run

__all__ = ["balance_of", "flush", "settle_the_dead"]


def flush(ring: Ring, group: str, rows: Iterable[Row] = ()) -> int:
    """Pass over what is left in an ended ring for a group; how many events that were.

    What the dead of the group noted, in their rows, of events that are found here is struck out: they are
    undelivered.
    """
    left, rows = 0, list(rows)
    with ring.reader(group=group, label="flush") as reader:
        while True:
            try:
                events = reader.read_span(ring.capacity)
            except EndOfDataError:
                return left
            left += events.nframe
            if events.redelivered:
                for row in rows:
                    row.strike_out(reader.claim)


def settle_the_dead(board: Board) -> None:
    """Count for good what workers had noted when they died: they had released it, or it would have been found."""
    for row in board.rows():
        row.settle()


def balance_of(node: Node, run: "Run") -> NodeBalance:
    """The balance of a node at the end."""
    rows = [member.row for member in run.crew.members[node.name]]
    counts = {name: sum(row.counts()[name] for row in rows) for name in b.OUTCOMES}
    written = sum(row.get(b.W_WRITTEN) for row in rows)
    losses = run.losses.get(node.name, {})
    if node.is_source:
        if run.is_only_writer(node):  # what a process wrote and did not come to count
            written = sum(run.written_to(ring) for ring in node.writes)
        counts["accepted"] = written
        received = written + counts["discarded"]
    else:
        received = sum(run.written_to(ring) for ring in node.reads)
    if node.role == "task" and node.reads:  # it need not count: what it read and says nothing of, it accepted
        counts["accepted"] += max(received - run.undelivered[node.name] - sum(counts.values()), 0)
    return NodeBalance(
        name=node.name,
        role=node.role,
        received=received,
        **counts,
        undelivered=run.undelivered[node.name],
        written=written,
        device_losses=losses,
    )
