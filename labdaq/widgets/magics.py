"""``%load_ext labdaq``: the line magic ``%daq`` steers the pipeline of a notebook. Each command is a function, too."""

from collections.abc import Callable, Mapping
from typing import Any

from labdaq.errors import LabdaqError, LayoutError, NotFoundError
from labdaq.pipeline import AttachedRun, Pipeline
from labdaq.widgets.panel_html import STYLE, clock, panel_html
from labdaq.widgets.subject import Seen, grouped
from labdaq.widgets.subjects import subject_of

__all__ = ["COMMANDS", "Status", "command", "find_pipeline", "load", "status", "unload"]

COMMANDS = ("status", "start", "pause", "resume", "stop", "abort", "panel", "dashboard")
_LIMITS: Mapping[str, Callable[[str], float]] = {"events": int, "seconds": float}
_USAGE = f"%daq {'|'.join(COMMANDS)} [VARIABLE] [events=N] [seconds=S]"


class Status:
    """What a run is doing at one moment; a table in notebooks.

    Attributes
    ----------
    seen : Seen
    """

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def _repr_html_(self) -> str:
        return STYLE + panel_html(self.seen)

    def __repr__(self) -> str:
        shown = self.seen.snapshot
        if shown is None:
            return f"{self.seen.title}: {self.seen.state.lower()}, no run yet"
        reason = f", {self.seen.reason}" if self.seen.reason else ""
        line = f"{self.seen.title}: {self.seen.state.lower()}{reason}, {clock(shown.seconds)}, "
        return "\n".join([f"{line}{grouped(shown.events)} events", *self.seen.balance])


def status(daq: Pipeline | AttachedRun) -> Status:
    """What a pipeline, or a run of another process, is doing.

    Examples
    --------
    >>> with Pipeline("muon", store=None) as daq:
    ...     status(daq)
    muon: idle, no run yet
    """
    subject = subject_of(daq)
    try:
        return Status(subject.see())
    finally:
        subject.close()


def find_pipeline(namespace: Mapping[str, Any], name: str = "") -> Pipeline | AttachedRun:
    """The pipeline, or the run that was attached to, among the variables of a notebook.

    Parameters
    ----------
    namespace
        Variables by name; those that begin with ``_`` are passed over.
    name
        Of a variable or of a pipeline; needed when there are several.

    Raises
    ------
    NotFoundError
        There is none, or none of this name, or several; lists those that there are.

    Examples
    --------
    >>> daq, other = Pipeline("muon", store=None), Pipeline("gamma", store=None)
    >>> find_pipeline({"daq": daq, "same": daq, "other": other}, "gamma") is other
    True
    >>> find_pipeline({"daq": daq, "other": other})
    Traceback (most recent call last):
        ...
    labdaq.errors.NotFoundError: which one? daq (muon), other (gamma)
    >>> daq.close(); other.close()
    """
    found: dict[int, tuple[str, Pipeline | AttachedRun]] = {}
    for variable, value in list(namespace.items()):
        if variable.startswith("_") or not isinstance(value, Pipeline | AttachedRun):
            continue
        if not name or name in {variable, value.name}:
            found.setdefault(id(value), (variable, value))
    if len(found) == 1:
        return next(iter(found.values()))[1]
    if found:
        there = ", ".join(f"{variable} ({one.name})" for variable, one in found.values())
        raise NotFoundError(f"which one? {there}")
    if name:
        raise NotFoundError(f"there is no pipeline {name!r} here: name its variable")
    raise NotFoundError("there is no pipeline in this notebook: make one, or attach to a run")


def command(line: str, namespace: Mapping[str, Any]) -> Any:
    """Do what a line says: ``"start events=1000"``, ``"stop daq"``, ``"panel"``.

    Parameters
    ----------
    line
        A command, then a variable where there are several pipelines, then limits of a run that is started.
    namespace
        Variables by name.

    Returns
    -------
    Status, or what is shown
        The state after the command; of ``panel`` and ``dashboard`` these themselves.

    Raises
    ------
    LayoutError
        The line is not understood.
    NotFoundError
        As from `find_pipeline`.
    StateError
        What is asked for is not possible now.
    """
    words = line.split() or ["status"]
    what, names = words[0], [word for word in words[1:] if "=" not in word]
    limits = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    if what not in COMMANDS or len(names) > 1 or not set(limits) <= set(_LIMITS) or (limits and what != "start"):
        raise LayoutError(f"{line!r} is not understood: {_USAGE}")
    daq = find_pipeline(namespace, names[0] if names else "")
    if what in {"panel", "dashboard"}:
        from labdaq import widgets

        return widgets.panel(daq) if what == "panel" else widgets.dashboard(daq)
    if what == "start":
        if not isinstance(daq, Pipeline):
            raise LayoutError("a run that is attached to cannot be started again: start the next one where it was made")
        daq.start(**_numbers(limits))
    elif what != "status":
        getattr(daq, what)()
    return status(daq)


def _numbers(limits: Mapping[str, str]) -> dict[str, Any]:
    try:
        return {name: _LIMITS[name](text) for name, text in limits.items()}
    except ValueError as error:
        raise LayoutError(f"{error}: {_USAGE}") from error


def load(shell: Any) -> None:
    """Give a shell of IPython the magic ``%daq``; what is refused is said in one line."""
    from IPython.core.error import UsageError

    def daq(line: str) -> Any:
        try:
            return command(line, shell.user_ns)
        except LabdaqError as error:
            raise UsageError(str(error)) from error

    daq.__doc__ = f"Steer the pipeline of this notebook.\n\n{_USAGE}"
    shell.register_magic_function(daq, "line", "daq")


def unload(shell: Any) -> None:
    """Take the magic away."""
    shell.magics_manager.magics["line"].pop("daq", None)
