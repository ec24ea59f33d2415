"""Runs that were kept: a list of them, and one opened again."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path
from typing import Any

from labdaq.errors import LabdaqError, LayoutError, NotFoundError
from labdaq.pipeline.kept.found import StoreLike, run_in, run_of, runs_of
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.store import DataStore

__all__ = ["RunList", "RunSummary", "open_run", "runs"]

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
        found = [_summary(run) for run in runs_of(opened, keys)]
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


@contextlib.contextmanager
def _opened(store: StoreLike) -> Iterator[DataStore]:
    opened = DataStore(store, must_exist=True)
    try:
        yield opened
    finally:
        opened.close()


def open_run(which: int | StoreLike | RunSummary, store: StoreLike = "runs", name: str | None = None) -> OpenRun:
    """Open a run that was kept, goes on, or was cut.

    Parameters
    ----------
    which
        Folder of the run, its number, or the key of its scan; or what has folder and key: of the list that
        :func:`runs` gives, or a result.
    store
        Folder or URL, as it was given to the pipeline. For the folder of a run in a store with a password it is
        needed: there is no password in the folder.
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
    wanted = _text_of(which)
    is_key = wanted.startswith("labdaq:scan:")
    if not is_key and not wanted.isdecimal():
        folder, base = Path(wanted), Path("runs").absolute() if "://" in os.fspath(store) else Path(store)
        return run_in(folder if folder.is_dir() else base / folder, store)
    opened = DataStore(store, must_exist=True)
    try:
        return run_of(opened, opened.load_scan(wanted)) if is_key else _numbered(opened, int(wanted), name)
    except BaseException:
        opened.close()
        raise


def _text_of(which: Any) -> str:
    """Folder, number or key; of what stands for a run its folder, or its key where that is not of this machine."""
    folder, key = getattr(which, "folder", None), getattr(which, "key", "")
    if not isinstance(folder, Path):
        return str(which)
    return str(key) if key and not folder.is_dir() else str(folder.absolute())


def _numbered(store: DataStore, number: int, name: str | None) -> OpenRun:
    fields: dict[str, Any] = {"number": number, **({} if name is None else {"name": name})}
    found = list(runs_of(store, store.search_existing_scans(order="newest", **fields)[1]))
    if len(found) == 1:
        return found[0]
    if found:
        there = "; ".join(f"{run!r} ({run.key})" for run in found)
        raise NotFoundError(f"run {number}: which one? {there}. Give name=, or the key")
    newest = runs_of(store, store.search_existing_scans(order="newest", limit=20)[1])
    there = ", ".join(f"{run.name} {run.number}" for run in newest) or "none"
    raise NotFoundError(f"there is no run {number}{f' of {name!r}' if name else ''} in {store.url}; there are {there}")
