"""Workspaces to begin with, copied from those that labdaq brings."""

import shutil
from pathlib import Path

from labdaq.errors import LayoutError, NotFoundError, ResourceError

__all__ = ["KINDS", "new_workspace"]

_PACKAGE = Path(__file__).resolve().parent.parent
KINDS = {"muon": _PACKAGE / "workspaces" / "muon", "mimocorb": _PACKAGE / "compat" / "mimocorb" / "workspace"}
"""Kinds of workspaces, and where they are."""

_FOLDERS = ("modules", "config", "target")


def new_workspace(folder: Path, kind: str = "muon") -> Path:
    """Make a folder with a suite, its modules and configuration, ready to run.

    Parameters
    ----------
    folder
        New, or empty. Nothing that is there is ever changed.
    kind
        ``"muon"``, in labdaq's own schema, or ``"mimocorb"``.

    Returns
    -------
    Path
        The suite in it.

    Raises
    ------
    NotFoundError
        There is no such kind.
    LayoutError
        The folder is there already and holds something, or is no folder.
    ResourceError
        It cannot be written.
    """
    source = KINDS.get(kind)
    if source is None or not source.is_dir():
        there = ", ".join(name for name, place in KINDS.items() if place.is_dir())
        raise NotFoundError(f"there is no workspace of kind {kind!r}; there are: {there}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise LayoutError(f"{folder} is not empty, and nothing is overwritten: choose another name")
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    except FileExistsError as error:
        raise LayoutError(f"{folder} is a file: choose another name") from error
    except OSError as error:
        raise ResourceError.of(error, "making the workspace", folder) from error
    return next(path for path in sorted(folder.glob("*.yaml")))
