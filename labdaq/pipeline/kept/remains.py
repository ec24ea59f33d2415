"""What is left of a run whose process died, or which goes on: its board, its log, and files that may be incomplete."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labdaq.errors import DataError, LabdaqError, ResourceError
from labdaq.files import rows_in_part
from labdaq.files.table import reading
from labdaq.pipeline.nodes import upstream_order
from labdaq.pipeline.running.ledger import Ledger, NodeBalance
from labdaq.pipeline.running.states import RunState
from labdaq.pipeline.sinks.journal import ROWS, rows_in
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board

__all__ = ["BoardLeft", "KeptFile", "WorkerLeft", "board_left", "changes_in_log", "files_of", "ledger_left"]

_CHANGE = re.compile(r"^\S+ info +(.+?): (\w+) = (.*) from event (\d+) on$")


@dataclass(frozen=True)
class WorkerLeft:
    """What one worker had noted."""

    node: str
    """Whose worker it is."""
    state: str
    """starting, working, done, failed, killed or stuck."""
    counts: Mapping[str, int]
    """What became of its events: accepted, rejected, quarantined, repeated, discarded."""
    written: int
    nerror: int


@dataclass(frozen=True)
class BoardLeft:
    """The numbers of a run as they stand on its board."""

    state: RunState
    events: int
    """Events that were taken in."""
    seconds: float
    """Of intake, without pauses; of a run that died, until its last sign of life."""
    waited_s: float
    """In which the sources waited for room, or copied."""
    workers: tuple[WorkerLeft, ...]
    alive_ns: int = 0
    """When its process was last seen at work: nanoseconds since 1970, UTC; 0: never."""

    def __str__(self) -> str:
        lines = [f"{self.events} events in {self.seconds:.3g} s, {self.state.name.lower()}"]
        for worker in self.workers:
            counts = ", ".join(f"{name} {count}" for name, count in worker.counts.items() if count)
            lines.append(f"{worker.node}: {worker.state}; wrote {worker.written}; {counts or 'nothing counted'}")
        return "\n".join(lines)


def board_left(folder: Path, info: Mapping[str, Any]) -> BoardLeft:
    """Read the board of a run.

    Parameters
    ----------
    folder
        Of the run.
    info
        What its scan says: the names of its workers, and its clocks.

    Raises
    ------
    ResourceError, DataError
        There is no board, or it is damaged.
    """
    try:
        board = Board.open(folder / "board")
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, LabdaqError):
            raise
        raise DataError(f"{folder / 'board'} is no board of a run: {error}") from error
    try:
        return _read(board, _names_of(info), info)
    except (IndexError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / 'board'} is damaged: {error}") from error
    finally:
        board.close()


def _read(board: Board, names: Sequence[str], info: Mapping[str, Any]) -> BoardLeft:
    words = board.words
    workers = []
    waited_ns = 0
    for row in board.rows():
        origin = row.get(b.W_GROUP)
        if not origin:  # kept for a worker that was never needed
            continue
        name = names[origin - 1] if origin <= len(names) else f"worker {origin}"
        workers.append(WorkerLeft(name, row.state, row.counts(), row.get(b.W_WRITTEN), row.get(b.W_ERRORS)))
        waited_ns += row.get(b.W_WAITED_NS)
    seconds, alive_ns = _seconds(board, info), int(words[b.HEARTBEAT_NS])
    return BoardLeft(RunState(words[b.STATE]), board.taken, seconds, waited_ns / 1e9, tuple(workers), alive_ns)


def _seconds(board: Board, info: Mapping[str, Any]) -> float:
    """Between begin and end of the intake; the heart beats in UTC, all else is monotonic."""
    words = board.words
    if words[b.SECONDS_NS]:
        return words[b.SECONDS_NS] / 1e9
    clocks = info.get("clock_begin") or {"utc_ns": 0, "monotonic_ns": 0}
    alive_ns = words[b.HEARTBEAT_NS] - clocks["utc_ns"] + clocks["monotonic_ns"] if clocks["utc_ns"] else 0
    end_ns = words[b.ENDED_NS] or alive_ns
    return max(end_ns - words[b.STARTED_NS], 0) / 1e9 if words[b.STARTED_NS] else 0.0


def _nodes_of(info: Mapping[str, Any]) -> list[Any]:
    """The nodes of the pipeline, as they were described, in the order in which the board counts them."""
    workers = (info.get("configuration") or {}).get("workers") or {}
    nodes = [
        SimpleNamespace(name=name, role=one["role"], who=name, reads=tuple(one["reads"]), writes=tuple(one["writes"]))
        for name, one in workers.items()
    ]
    return list(upstream_order(nodes))  # type: ignore[arg-type] # it looks at reads and writes only


def _names_of(info: Mapping[str, Any]) -> list[str]:
    with reading(Path("configuration"), "the description of a pipeline", KeyError, TypeError, AttributeError):
        return [node.name for node in _nodes_of(info)]


def ledger_left(left: BoardLeft, info: Mapping[str, Any]) -> Ledger:
    """The balance as far as a board tells it.

    What a node received is what those before it wrote, where each of them writes one ring only; what of it is not
    accounted for was in the rings when the run ended, and counts as undelivered.
    """
    nodes = _nodes_of(info)
    sums = {node.name: _sum_of(node.name, left) for node in nodes}
    balances = []
    for node in nodes:
        counts, written = sums[node.name]
        if not node.reads:
            counts["accepted"] = written
        accounted = sum(counts.values())
        writers = [one for one in nodes if set(one.writes) & set(node.reads)]
        is_known = bool(node.reads) and all(len(one.writes) == 1 for one in writers)
        received = max(accounted, sum(sums[one.name][1] for one in writers)) if is_known else accounted
        undelivered = received - accounted
        balances.append(NodeBalance(node.name, node.role, received, **counts, undelivered=undelivered, written=written))
    return Ledger.of(balances)


def _sum_of(name: str, left: BoardLeft) -> tuple[dict[str, Any], int]:
    workers = [worker for worker in left.workers if worker.node == name]
    counts = {outcome: sum(worker.counts[outcome] for worker in workers) for outcome in b.OUTCOMES}
    return counts, sum(worker.written for worker in workers)


def changes_in_log(text: str) -> list[tuple[str, str, Any, int]]:
    """Changes of parameters that a log tells: worker, name, value, and from which counter on.

    Examples
    --------
    >>> changes_in_log("2026-11-21T17:45:51 info    find: level = 35.0 from event 20 on")
    [('find', 'level', 35.0, 20)]
    """
    found = [match.groups() for line in text.splitlines() if (match := _CHANGE.match(line))]
    return [(worker, name, _value(value), int(counter)) for worker, name, value, counter in found]


def _value(text: str) -> Any:
    """A number or a switch; all else is a text."""
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text


@dataclass(frozen=True)
class KeptFile:
    """A file of a run."""

    name: str
    """In the folder of the run."""
    path: Path
    nbytes: int
    is_complete: bool
    note: str = ""
    """What of it can be read, if it is not complete."""


def files_of(folder: Path) -> list[KeptFile]:
    """The files that a run wrote, in alphabetical order; a Zarr group counts as one.

    Raises
    ------
    ResourceError
        The folder cannot be read.
    """
    try:
        return [_file(folder, path) for path in sorted(_paths(folder))]
    except OSError as error:
        raise ResourceError.of(error, "looking at the files of a run", folder) from error


def _paths(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in folder.iterdir():
        is_group = path.name.removesuffix(".part").endswith(".zarr")
        found += _paths(path) if path.is_dir() and not is_group else [path]
    return [path for path in found if path != folder / "board"]


def _file(folder: Path, path: Path) -> KeptFile:
    inner = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    nbytes = sum(one.stat().st_size for one in inner)
    note = _lacks(path, nbytes)
    return KeptFile(path.relative_to(folder).as_posix(), path, nbytes, not note, note)


def _lacks(path: Path, nbytes: int) -> str:
    """What is missing of a file; nothing if it is complete."""
    if path.suffix in {".part", ROWS}:
        return _lacks_end(path)
    if path.suffix in {".csv", ".txt"} and not _end_of(path, 1).endswith(b"\n"):
        return "its last line was cut: the whole lines can be read"
    if path.suffix == ".tar" and (nbytes < 1024 or _end_of(path, 1024).strip(b"\0")):
        return "its end is missing: the whole events can be read"
    if path.suffix == ".parquet" and _end_of(path, 4) != b"PAR1":
        return "its end is missing, and this format cannot be read without it"
    return ""


def _lacks_end(path: Path) -> str:
    """Of a file that was not completed: what of it can be read."""
    if path.suffix == ROWS:
        return f"its file was not completed: {rows_in(path)} rows can be read"
    if not path.name.endswith(".parquet.part"):
        return "it was not completed, and this format cannot be read without its end"
    nrow = rows_in_part(path)
    return f"it was not completed: {nrow} rows can be read" if nrow else "it was not completed, and has no rows yet"


def _end_of(path: Path, nbytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - nbytes))
        return file.read()
