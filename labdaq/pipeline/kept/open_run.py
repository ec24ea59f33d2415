"""A run that was kept, opened again: what was said about it, what it came to, and its data."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from labdaq.errors import LabdaqError
from labdaq.files.table import reading
from labdaq.pipeline.kept.data import KeptData
from labdaq.pipeline.kept.remains import BoardLeft, board_left, changes_in_log, ledger_left
from labdaq.pipeline.kept.tables import KeptTable, read_table
from labdaq.pipeline.recording.notes import Note, kept_notes, notes_in
from labdaq.pipeline.recording.owner import is_lost
from labdaq.pipeline.running.ledger import Ledger, NodeBalance
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.states import RunState
from labdaq.store import DataStore, Scan

__all__ = ["OpenRun", "ParameterChange", "state_of"]

_SILENT_S = 10.0
"""A process that goes on notes several times a second that it lives; one that did not for so long has died."""


@dataclass(frozen=True)
class ParameterChange:
    """From which event on a parameter had a value."""

    worker: str
    name: str
    value: Any
    unit: str
    from_counter: int
    """0 for what it was at the beginning."""


def state_of(scan: Scan | None, store: DataStore | None, folder: Path) -> str:
    """What became of a run: ended, failed, or cut, when its process died; or what it is doing at this moment.

    Of a run whose scan was not found, as its board tells; unknown, when that tells nothing.
    """
    if scan is None:
        return _state_left(folder)
    result = scan.info.get("result")
    if isinstance(result, Mapping):
        return str(result.get("state", "failed")).lower()
    if store is None or scan.state.name == "CLOSED" or store.engine.lost_owner(scan.key) is not None:
        return "cut"
    if is_lost(scan.info.get("process")):  # a store of several machines does not tell
        return "cut"
    try:
        return board_left(folder, {}).state.name.lower()
    except LabdaqError:
        return "running"


def _state_left(folder: Path) -> str:
    """What the board of a run says, if anybody still keeps it."""
    try:
        left = board_left(folder, {})
    except LabdaqError:
        return "unknown"
    is_kept = left.state.is_over or time.time_ns() - left.alive_ns < _SILENT_S * 1e9
    return left.state.name.lower() if is_kept else "cut"


class OpenRun(KeptData):
    """A run that was kept; from :func:`labdaq.pipeline.open_run`.

    Also one that was cut, by ``kill -9`` or a loss of power: then `state` is ``"cut"``, `left` tells what its
    workers had counted, `files` which of its files are complete, and streams of the store are read up to the last
    point that was acknowledged. A Parquet file is written a block at a time: it may lack the last events that its
    sink had accepted. It shows how things stood when it was opened.

    Attributes
    ----------
    name : str
        Of the pipeline.
    number : int
    folder : Path
        Where its files are.
    key : str
        Of its scan; empty when only the folder is left.
    state : str
        ended, failed, cut; or of a run that goes on: running, paused, draining. Unknown, when its scan was not found
        and its board cannot be read.
    info : dict
        What was said about it: comment, operator, configuration, versions, machine, clocks.
    """

    def __init__(self, folder: Path, name: str, number: int, scan: Scan | None, store: DataStore | None) -> None:
        super().__init__(folder, name, number, scan)
        self.key = "" if scan is None else scan.key
        self.state = state_of(scan, store, folder)
        self._store = store

    # ---------------------------------------------------------------------------- what is known of it

    @property
    def comment(self) -> str:
        """What was said when it began."""
        return str(self.info.get("comment", ""))

    @property
    def begun(self) -> datetime:
        """When it began, UTC."""
        with self._reading("clocks"):
            known = self.info.get("clock_begin", {}).get("utc_ns")
            if known is None and self._scan is not None:
                known = self._scan.created_ns
            return self._begun_left() if known is None else datetime.fromtimestamp(known / 1e9, UTC)

    def _begun_left(self) -> datetime:
        """When its log began; its folder changes with each file."""
        with contextlib.suppress(LabdaqError, ValueError):
            return datetime.fromisoformat(self.log.partition(" ")[0])
        return datetime.fromtimestamp(self.folder.stat().st_mtime, UTC)

    @cached_property
    def left(self) -> BoardLeft:
        """What its workers had counted.

        Raises
        ------
        ResourceError, DataError
            Its board is gone, or damaged.
        """
        return board_left(self.folder, self.info)

    @cached_property
    def result(self) -> RunResult:
        """What it came to; of a run that was cut or goes on, as far as its board tells."""
        kept = self.info.get("result")
        known: dict[str, Any] = {"name": self.name, "number": self.number, "folder": self.folder, "key": self.key}
        if kept is None:
            return self._result_left(known)
        with self._reading("result"):
            return RunResult(
                **known,
                state=RunState[kept["state"]],
                reason=kept["reason"],
                events=kept.get("events", 0),
                seconds=kept.get("seconds", 0.0),
                live_time_s=kept.get("live_time_s", 0.0),
                deadtime=kept.get("deadtime", 0.0),
                ledger=Ledger.of(NodeBalance(**one) for one in kept.get("ledger", {}).values()),
                errors=tuple(kept.get("errors", ())),
                nerror=kept.get("nerror", len(kept.get("errors", ()))),
                stuck=tuple(kept.get("stuck", ())),
                restarts=kept.get("restarts", 0),
            )

    def _result_left(self, known: dict[str, Any]) -> RunResult:
        left = self.left
        is_cut = self.state == "cut"
        sources = len(self._sources()) or 1
        deadtime = min(left.waited_s / left.seconds / sources, 1.0) if left.seconds else 0.0
        return RunResult(
            **known,
            state=RunState.FAILED if is_cut else left.state,
            reason=self._reason_left(left.state),
            events=left.events,
            seconds=left.seconds,
            live_time_s=left.seconds * (1 - deadtime),
            deadtime=deadtime,
            ledger=ledger_left(left, self.info),
            nerror=sum(worker.nerror for worker in left.workers),
        )

    def _reason_left(self, state: RunState) -> str:
        if self.state != "cut":
            return "its scan was not found, and its board tells no more" if state.is_over else "it goes on"
        parts = [file.name.removesuffix(".part") for file in self.files if file.name.endswith(".parquet.part")]
        lacks = f"; {', '.join(parts)} may lack the last events that were accepted for it: see files"
        return f"it was cut: its process died{lacks if parts else ''}"

    def _sources(self) -> list[str]:
        return [name for name, one in self._described("workers").items() if one.get("role") == "source"]

    @property
    def ledger(self) -> Ledger:
        """What became of everything; of a run that was cut, what is not accounted for is undelivered."""
        return self.result.ledger

    @property
    def log(self) -> str:
        """Its log, a line for each thing that happened."""
        with reading(self.folder / "log.txt", "a text file", UnicodeDecodeError):
            return (self.folder / "log.txt").read_text(encoding="utf-8")

    @property
    def statistics(self) -> KeptTable:
        """A line a second: rates, fill levels, dead time, processor time."""
        return read_table(self.folder / "statistics.csv")

    @property
    def parameters(self) -> list[ParameterChange]:
        """Values of all parameters at the beginning, and each change with the event from which on it holds."""
        with self._reading("parameters"):
            known = {
                (worker, name): about for worker, one in self._described("workers").items()
                for name, about in one.get("parameters", {}).items()
            }  # fmt: skip
            first = [ParameterChange(*who, about["value"], about["unit"], 0) for who, about in known.items()]
            kept = self.info.get("result", {}).get("parameters")
            if kept is None:
                changes = changes_in_log(self.log)
            else:
                changes = [(one["worker"], one["name"], one["value"], one["from_counter"]) for one in kept]
            units = {who: about["unit"] for who, about in known.items()}
            return first + [ParameterChange(w, n, v, units.get((w, n), ""), counter) for w, n, v, counter in changes]

    @property
    def notes(self) -> list[Note]:
        """What people noted while it went on, with the times."""
        with self._reading("notes"):
            kept = self.info.get("result", {}).get("notes")
            return notes_in(self.folder) if kept is None else list(kept_notes(kept))

    # -------------------------------------------------------------------------------------- its end

    def close(self) -> None:
        """Let go of the store. Arrays stay valid; what was not read yet cannot be read any more."""
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> "OpenRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<run {self.number} of {self.name!r}, {self.state}, of {self.begun:%Y-%m-%d %H:%M:%S} UTC>"
