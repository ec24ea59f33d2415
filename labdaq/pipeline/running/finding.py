"""Which run is meant: by its folder, number, name, key, or by what stands for it."""

import os
from pathlib import Path
from typing import Any

from labdaq.errors import LayoutError, NotFoundError

__all__ = ["folder_of"]

_GOING_ON = {"running", "paused", "draining"}


def folder_of(which: Any, store: str | os.PathLike[str] = "runs", name: str | None = None) -> Path:
    """The folder of a run that can be attached to.

    Parameters
    ----------
    which, store, name
        As for :func:`labdaq.attach`.

    Raises
    ------
    NotFoundError
        There is no such run, or several; the message lists them.
    LayoutError
        This is nothing by which a run can be found.
    """
    given = getattr(which, "folder", None) or getattr(which, "key", None) or which  # a run, a result, a scan
    if isinstance(given, bool) or not isinstance(given, str | os.PathLike | int):
        raise LayoutError(f"{which!r:.60} is no run: give its folder, number, name or key")
    if not isinstance(given, int) and Path(given).is_dir():
        return Path(given)
    from labdaq.pipeline.kept.listing import open_run, runs

    text = os.fspath(given) if not isinstance(given, int) else str(given)
    base = Path("runs") if "://" in os.fspath(store) else Path(store)
    if not text.isdecimal() and (base / text).is_dir():
        return base / text
    if text.startswith("labdaq:scan:"):
        with open_run(text, store) as run:
            return run.folder
    if not text.isdecimal() and {"/", os.sep} & set(text):
        raise NotFoundError(f"there is no folder {text}: give that of a run, its number, its name, or its key")
    found = runs(store, name=name if text.isdecimal() else text)
    meant = [run for run in found if not text.isdecimal() or run.number == int(text)]
    going = [run for run in meant if run.state in _GOING_ON]
    if len(going) == 1 or (not going and len(meant) == 1):
        return (going or meant)[0].folder
    if going or meant:
        state = "go on" if going else "were kept, and none goes on"
        there = "; ".join(f"{run.name} {run.number} ({run.folder})" for run in going or meant[-10:])
        raise NotFoundError(f"{text}: which run? These {state}: {there}. Give the folder, or number and name=")
    there = ", ".join(f"{run.name} {run.number}" for run in found[-10:] or runs(store)[-10:]) or "none"
    raise NotFoundError(f"there is no run {text!r} in {os.fspath(store)}, nor a folder of this name; there are {there}")
