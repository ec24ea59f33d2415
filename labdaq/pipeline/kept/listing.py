"""Runs that were kept: a list of them, and one opened again."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, LabdaqError, LayoutError, NotFoundError
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.recording.scan_file import scan_file_of
from labdaq.store import DataStore, Scan

__all__ = ["RunList", "RunSummary", "open_run", "runs"]

StoreLike = str | os.PathLike[str]
_HEADS = ("number", "name", "state", "begun (UTC)", "seconds", "events", "comment")


@dataclass(frozen=True)
class RunSummary:
    """A run in a list."""

    number: int
    name: str
    """Of the pipeline."""
    state: str
    """ended, failed, cut; or of a run that goes on: running, paused, draining."""
    begun: datetime
    """UTC."""
    seconds: float
    """Of intake; of a run that was cut, until its last sign of life."""
    events: int
    comment: str
    folder: Path
    key: str

    @property
    def cells(self) -> tuple[str, ...]:
        """A line of a table."""
        begun, seconds = f"{self.begun:%Y-%m-%d %H:%M:%S}", f"{self.seconds:.3f}"
        return str(self.number), self.name, self.state, begun, seconds, str(self.events), self.comment


class RunList(list[RunSummary]):
    """Runs, shown as a table.

    Examples
    --------
    >>> begun = datetime(2026, 1, 31, tzinfo=UTC)
    >>> RunList([RunSummary(7, "muon", "ended", begun, 1.5, 1000, "after tea", Path("runs/muon_0007"), "")])
    number  name  state  begun (UTC)          seconds  events  comment
    7       muon  ended  2026-01-31 00:00:00  1.500    1000    after tea
    """

    def __repr__(self) -> str:
        rows = [_HEADS, *(run.cells for run in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        return f"<table>{line(_HEADS, 'th')}{''.join(line(run.cells, 'td') for run in self)}</table>"


def runs(
    store: StoreLike = "runs",
    *,
    name: str | None = None,
    since: datetime | date | str | float | None = None,
    until: datetime | date | str | float | None = None,
    state: str | None = None,
    comment: str | None = None,
) -> RunList:
    """The runs of a store, the oldest first.

    Parameters
    ----------
    store
        Folder or URL, as it was given to the pipeline.
    name
        Of the pipeline; ``"muon*"``: begins with.
    since, until
        When they began: a time, the text of one (``"2026-01-31"``, ``"2026-01-31T12:00"``, UTC if it does not say
        otherwise), or seconds since 1970.
    state
        ended, failed, cut, running, paused or draining.
    comment
        What is part of the comment, in capitals or not.

    Raises
    ------
    NotFoundError
        There is no store.
    LayoutError
        This is no time.

    Examples
    --------
    >>> import tempfile
    >>> from labdaq.pipeline import Pipeline
    >>> store = tempfile.mkdtemp()
    >>> with Pipeline("heights", store=store) as daq:
    ...     ring = daq.ring("raw", dtype="f8", capacity=16, header={"unit": "V"})
    ...     source, sink = daq.source([0.25, 0.5], ring), daq.sink("raw.csv", ring)
    ...     result = daq.run(comment="two of them")
    >>> [(run.name, run.number, run.state, run.events) for run in runs(store, comment="two")]
    [('heights', 1, 'ended', 2)]
    >>> with open_run(1, store) as run:
    ...     run.table("raw")["data"], run.units("raw")["data"]
    (array([0.25, 0.5 ]), 'V')
    """
    created = (_time(since), _time(until))
    with _opened(store) as opened:
        fields: dict[str, Any] = {} if name is None else {"name": name}
        _tag, keys = opened.search_existing_scans(created=created, **fields)
        found = [_summary(run) for run in _runs_of(opened, keys)]
    wanted = None if comment is None else comment.lower()
    return RunList(
        run
        for run in found
        if (state is None or run.state == state.lower()) and (wanted is None or wanted in run.comment.lower())
    )


def _time(given: Any) -> Any:
    """What the store can compare with."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError as error:
            raise LayoutError(f"{given!r} is no time: write 2026-01-31, or 2026-01-31T12:00") from error
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    if isinstance(given, datetime) and given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    return given


def _summary(run: OpenRun) -> RunSummary:
    try:
        events, seconds = run.result.events, run.result.seconds
    except LabdaqError:  # its folder is gone, or damaged: all else is known
        events, seconds = 0, 0.0
    return RunSummary(run.number, run.name, run.state, run.begun, seconds, events, run.comment, run.folder, run.key)


def _runs_of(store: DataStore, keys: Iterable[str]) -> Iterator[OpenRun]:
    for key in keys:
        with contextlib.suppress(NotFoundError):  # deleted meanwhile, or no run
            yield _run_of(store, store.load_scan(key))


@contextlib.contextmanager
def _opened(store: StoreLike) -> Iterator[DataStore]:
    opened = DataStore(store, must_exist=True)
    try:
        yield opened
    finally:
        opened.close()


def _run_of(store: DataStore, scan: Scan) -> OpenRun:
    """The run that a scan is.

    Raises
    ------
    NotFoundError
        It is another scan.
    """
    name, number, path = (scan.identity.get(field) for field in ("name", "number", "path"))
    is_named = path is not None and Path(path).name == _folder_name(name, number)
    if number is None or path is None or not (is_named or _is_described(scan)):
        raise NotFoundError(f"scan {scan.key} ({name!r} {number}) is no run of a pipeline")
    folder, beside = Path(path), getattr(store.engine, "folder", None)
    if beside is not None and not folder.is_absolute():
        folder = (Path(beside) / folder).resolve()
    elif not folder.is_dir() and beside is not None:  # the store was moved, with all its runs
        folder = Path(beside) / folder.name
    return OpenRun(folder, str(name), int(number), scan, store)


def _is_described(scan: Scan) -> bool:
    """Whether it says what worked in it, as runs do; some have folders with names of their own."""
    configuration = scan.info.get("configuration")
    return isinstance(configuration, dict) and "workers" in configuration


def _folder_name(name: Any, number: Any) -> str:
    return f"{name}_{number:04d}" if isinstance(number, int) else ""


def open_run(which: int | StoreLike, store: StoreLike = "runs", name: str | None = None) -> OpenRun:
    """Open a run that was kept, goes on, or was cut.

    Parameters
    ----------
    which
        Folder of the run, its number, or the key of its scan.
    store
        Folder or URL, as it was given to the pipeline.
    name
        Of the pipeline, where a number is not enough.

    Returns
    -------
    OpenRun
        A context manager: leaving it lets go of the store.

    Raises
    ------
    NotFoundError
        There is no such run, or several; the message lists them.
    DataError
        The folder is none of a run.
    """
    wanted = str(which)
    is_key = wanted.startswith("labdaq:scan:")
    if not is_key and not wanted.isdecimal():
        folder, base = Path(wanted), Path("runs").absolute() if "://" in os.fspath(store) else Path(store)
        return _open_folder(folder if folder.is_dir() else base / folder, store)
    opened = DataStore(store, must_exist=True)
    try:
        return _run_of(opened, opened.load_scan(wanted)) if is_key else _numbered(opened, int(wanted), name)
    except BaseException:
        opened.close()
        raise


def _numbered(store: DataStore, number: int, name: str | None) -> OpenRun:
    fields: dict[str, Any] = {"number": number, **({} if name is None else {"name": name})}
    found = list(_runs_of(store, store.search_existing_scans(order="newest", **fields)[1]))
    if len(found) == 1:
        return found[0]
    if found:
        there = "; ".join(f"{run!r} ({run.key})" for run in found)
        raise NotFoundError(f"run {number}: which one? {there}. Give name=, or the key")
    newest = _runs_of(store, store.search_existing_scans(order="newest", limit=20)[1])
    there = ", ".join(f"{run.name} {run.number}" for run in newest) or "none"
    raise NotFoundError(f"there is no run {number}{f' of {name!r}' if name else ''} in {store.url}; there are {there}")


def _open_folder(folder: Path, store: StoreLike) -> OpenRun:
    """A run by its folder: with its scan, where that is found."""
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}: give that of a run, its number, or its key")
    if (elsewhere := scan_file_of(folder)) is not None:
        opened = DataStore(elsewhere.store, must_exist=True)
        try:
            return _run_of(opened, opened.load_scan(elsewhere.key))
        except BaseException:
            opened.close()
            raise
    name, _, number = folder.absolute().name.rpartition("_")
    if not name or not number.isdigit():
        raise DataError(f"{folder} is no folder of a run: these are called by name and number, as muon_0001")
    beside = folder.absolute().parent
    url = beside if (beside / "catalogue.db").is_file() else store if "://" in os.fspath(store) else None
    if url is not None:
        opened = DataStore(url, must_exist=True)
        try:
            keys = opened.search_existing_scans(name=name, number=int(number), order="newest")[1]
            for run in _runs_of(opened, keys):
                if run.folder.name == folder.absolute().name:
                    run.folder = folder
                    return run
        except BaseException:
            opened.close()
            raise
        opened.close()
    if not (folder / "board").is_file():
        raise DataError(f"{folder} is no folder of a run: there is no board in it")
    return OpenRun(folder, name, int(number), None, None)
