"""What is kept of a run: a scan of the store, and a folder with the files of its sinks, log and statistics."""

import getpass
import os
import platform
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import labdaq
from labdaq.errors import LabdaqError, ResourceError, StateError
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.recording.describing import description_of
from labdaq.pipeline.recording.diagram import data_flow_svg
from labdaq.pipeline.recording.notes import checked_note, notes_in, write_note
from labdaq.pipeline.recording.owner import owner_here
from labdaq.pipeline.recording.scan_file import ScanFile, relative
from labdaq.pipeline.recording.scratch import scratch_folder
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.snapshots import StatisticsFile
from labdaq.store import DataStore

__all__ = ["Record", "RunRecord", "Scratch", "new_record"]


def new_record(name: str, number: int, store: Any, nodes: Sequence[Node], comment: str) -> "Record":
    """Where a run is kept: in a store, or nowhere.

    Parameters
    ----------
    name
        Of the pipeline.
    number
        Of the run, when nothing is kept.
    store
        Folder or URL; None: nothing is kept.

    Raises
    ------
    StateError
        A source has nothing to give any more: there would be nothing to keep.
    """
    _check_fresh(nodes)
    return Scratch(number) if store is None else RunRecord(name, store, nodes, comment)


def _check_fresh(nodes: Sequence[Node]) -> None:
    """A generator is good for one run, at whose end it is closed; the function that makes it, or a list, for all."""
    used = [node.who for node in nodes if node.is_source and getattr(node.work, "gi_frame", node) is None]
    if used:
        raise StateError(f"{used[0]} is a generator that was used up: give the function that makes it, or a list")


class Record(ABC):
    """What a run tells, while it goes on.

    Attributes
    ----------
    number : int
        Of the run.
    folder : Path
        For its files.
    key : str
        Of its scan; empty when it has none.
    """

    number: int
    folder: Path
    key: str = ""
    url: str = ""
    """Of the store, for those who look for the run from elsewhere; empty when it is kept nowhere."""

    @abstractmethod
    def begin(self, run: AnyRun) -> None:
        """The run is about to start."""

    @abstractmethod
    def log(self, level: str, text: str) -> None:
        """Keep a line of the log."""

    def note(self, text: str) -> None:
        """Keep what somebody wants to remember of this moment.

        Raises
        ------
        LayoutError
            There is nothing in it.
        ResourceError
            It could not be written.
        """
        note = checked_note(text)
        write_note(self.folder, note)
        self.log("note", note.text)

    @abstractmethod
    def look(self, run: AnyRun) -> None:
        """Called several times a second."""

    @abstractmethod
    def end(self, run: AnyRun) -> None:
        """The run is over, its result known."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """The run could not start."""


class Scratch(Record):
    """Keeps nothing: a folder that goes away with the run."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.folder = scratch_folder()

    def begin(self, run: AnyRun) -> None:
        """See :class:`Record`."""

    def log(self, level: str, text: str) -> None:
        """See :class:`Record`."""

    def look(self, run: AnyRun) -> None:
        """See :class:`Record`."""

    def end(self, run: AnyRun) -> None:  # noqa: ARG002
        """See :class:`Record`."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def fail(self, error: BaseException) -> None:  # noqa: ARG002
        """See :class:`Record`."""
        shutil.rmtree(self.folder, ignore_errors=True)


class RunRecord(Record):
    """A scan of a store, and a folder beside it.

    Parameters
    ----------
    name, store, nodes, comment
        As for :func:`new_record`.
    folder
        One that was made for the run already, where its users expect it; by default a new one in that of the store,
        called by name and number.
    """

    def __init__(
        self, name: str, store: Any, nodes: Sequence[Node], comment: str, *, folder: Path | None = None
    ) -> None:
        self._store = DataStore(store)
        try:
            own = getattr(self._store.engine, "folder", None)
            base = own or Path("runs").absolute()
            if folder is None:
                self.number, self.folder = _new_folder(Path(base), name)
            else:
                self.number, self.folder = _next_number(self._store, name), folder
            self._log_file: TextIO = (self.folder / "log.txt").open("a", encoding="utf-8", buffering=1)
            path = str(self.folder) if folder is None else relative(folder, base)
            identity = {"name": name, "number": self.number, "data_policy": "none", "path": path}
            self.scan = self._store.create_scan(identity, _facts(nodes, comment))
            if folder is not None or own is None:
                ScanFile(str(own or self._store.url), self.scan.key).write(self.folder)
        except BaseException as error:
            self._store.close()
            if isinstance(error, OSError) and not isinstance(error, LabdaqError):
                raise ResourceError.of(error, "making the folder of the run", store) from error
            raise
        self.key, self.url = self.scan.key, self._store.url
        self._nodes = nodes
        self._statistics: StatisticsFile | None = None

    def begin(self, run: AnyRun) -> None:
        """See :class:`Record`."""
        for node in self._nodes:
            if hasattr(node.work, "declare"):
                node.work.declare(self.scan)
        (self.folder / "data_flow.svg").write_text(data_flow_svg(self._nodes), encoding="utf-8")
        self._statistics = StatisticsFile(self.folder / "statistics.csv", run)
        self.scan.prepare()
        self.scan.start()

    def log(self, level: str, text: str) -> None:
        """See :class:`Record`."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._log_file.write(f"{stamp} {level:7} {text}\n")
        except (OSError, ValueError):  # a full disk must not end the run once more
            return

    def look(self, run: AnyRun) -> None:
        """See :class:`Record`."""
        if self._statistics is not None:
            self._statistics.look(run)

    def end(self, run: AnyRun) -> None:
        """See :class:`Record`."""
        try:
            if self._statistics is not None:
                self._statistics.look(run, last=True)
            if run.result is not None:
                self._end_with(run, run.result)
        finally:
            self._close()

    def _end_with(self, run: AnyRun, result: RunResult) -> None:
        self.scan.stop()
        self.scan.info["clock_end"] = _clocks()
        self.scan.info["result"] = {
            "state": result.state.name,
            "reason": result.reason,
            "events": result.events,
            "seconds": result.seconds,
            "deadtime": result.deadtime,
            "live_time_s": result.live_time_s,
            "ledger": {node.name: dict(vars(node)) for node in result.ledger.nodes},
            "errors": list(result.errors),
            "nerror": result.nerror,
            "stuck": list(result.stuck),
            "restarts": result.restarts,
            "notes": [{"time": note.time.isoformat(), "text": note.text} for note in notes_in(self.folder)],
            "parameters": [
                {"worker": worker, "name": name, "value": value, "from_counter": counter}
                for worker, name, value, counter in run.parameters
            ],
        }
        self.log("info", str(result))

    def fail(self, error: BaseException) -> None:
        """See :class:`Record`."""
        self.log("error", f"the run could not start: {error}")
        self.scan.info["result"] = {"state": "FAILED", "reason": f"it could not start: {error}"}
        self._close()

    def _close(self) -> None:
        with ExitStack() as stack:  # whatever a full disk refuses, the others are closed
            stack.callback(self._store.close)
            stack.callback(self._log_file.close)
            stack.callback(self.scan.close)
            if self._statistics is not None:
                stack.callback(self._statistics.close)


def _new_folder(base: Path, name: str) -> tuple[int, Path]:
    """A folder that no other run has, and its number: of several programs, too."""
    taken = [
        int(path.name.rpartition("_")[2]) for path in base.glob(f"{name}_*") if path.name.rpartition("_")[2].isdigit()
    ]
    number = max(taken, default=0) + 1
    while True:
        folder = base / f"{name}_{number:04d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return number, folder


def _next_number(store: DataStore, name: str) -> int:
    """One more than that of the last runs of this name in a store."""
    keys = store.search_existing_scans(name=name, order="newest", limit=50)[1]
    return max((int(store.load_scan(key).identity.get("number") or 0) for key in keys), default=0) + 1


def _facts(nodes: Sequence[Node], comment: str) -> Mapping[str, Any]:
    """What is known before a run begins."""
    return {
        "comment": comment,
        "operator": _operator(),
        "configuration": description_of(nodes),
        "versions": {"labdaq": labdaq.__version__, "python": platform.python_version(), "numpy": _version("numpy")},
        "machine": {"system": platform.platform(), "node": platform.node(), "processors": os.cpu_count() or 1},
        "process": owner_here(),
        "clock_begin": _clocks(),
    }


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _clocks() -> dict[str, int]:
    """The same moment on both clocks: stamps of either can be turned into the other."""
    return {"utc_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
