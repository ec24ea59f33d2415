"""Closing the books of a run: what is left in the rings, what the dead had noted, dead time and the balance."""

from collections.abc import Iterable

from labdaq.errors import EndOfDataError
from labdaq.pipeline.nodes import Node, is_only_writer
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.ledger import Ledger, NodeBalance
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.states import RunState
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring

__all__ = ["close_books", "deadtime_of", "flush"]


def close_books(run: AnyRun) -> RunResult:
    """What a run comes to, once all its workers have ended or were given up."""
    for node in run.nodes:
        for declared in node.reads:
            rows = [member.row for member in run.crew.members[node.name]]
            run.undelivered[node.name] += flush(run.rings[declared], node.name, rows)
    _settle_the_dead(run.board)
    ledger = Ledger.of(_balance_of(node, run) for node in run.nodes)
    state = RunState.FAILED if run.failure else run.state
    reason = run.reason if run.failure in run.reason else "; ".join(filter(None, (run.reason, run.failure)))
    run.board.words[b.STATE] = int(state)
    seconds, deadtime = run.seconds, deadtime_of(run)
    return RunResult(
        name=run.name,
        number=run.number,
        state=state,
        reason=reason,
        events=sum(ledger[node.name].accepted for node in run.nodes if node.is_source),
        seconds=seconds,
        live_time_s=seconds * (1 - deadtime),
        deadtime=deadtime,
        ledger=ledger,
        errors=tuple(run.errors),
        nerror=run.nerror,
        stuck=tuple(run.stuck),
        restarts=run.restarts,
        folder=run.folder if run.record.key else None,
        key=run.record.key,
    )


def deadtime_of(run: AnyRun) -> float:
    """Fraction of the intake in which events could not be taken; the mean of several sources.

    Sources waited for room, or copied; those that cannot wait lost events because there was no room.
    """
    seconds = run.seconds
    sources = [member for member in run.crew.sources if member.node.role == "source"]
    places = {(member.node.name, member.number) for member in sources}  # one after the other may have had each
    return sum(_deadtime_of(member.row, seconds) for member in sources) / len(places) if places else 0.0


def _deadtime_of(row: Row, seconds: float) -> float:
    waited = row.get(b.W_WAITED_NS) / 1e9 / seconds if seconds else 0.0
    refused = row.get(b.W_REFUSED)
    lost = refused / (refused + row.get(b.W_WRITTEN)) if refused else 0.0
    return 1.0 - (1.0 - min(waited, 1.0)) * (1.0 - lost)


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


def _settle_the_dead(board: Board) -> None:
    """Count for good what workers had noted when they died: they had released it, or it would have been found."""
    for row in board.rows():
        row.settle()


def _balance_of(node: Node, run: AnyRun) -> NodeBalance:
    """The balance of a node at the end."""
    rows = [member.row for member in run.crew.members[node.name]]
    counts = {name: sum(row.counts()[name] for row in rows) for name in b.OUTCOMES}
    written = sum(row.get(b.W_WRITTEN) for row in rows)
    losses = run.losses.get(node.name, {})
    if node.is_source:
        if is_only_writer(node, run.nodes):  # what a process wrote and did not come to count
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
