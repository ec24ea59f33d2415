"""What a notebook cell made before is replaced when the cell runs again."""

import sys
import threading
import weakref
from collections import defaultdict
from typing import Any

__all__ = ["replace_earlier"]

_lock = threading.Lock()
_made: dict[str, list[tuple[int, weakref.ref[Any]]]] = defaultdict(list)


def _running_cell() -> tuple[str, int] | None:
    """The cell that runs now, and which run of a cell this is; None outside of notebooks."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    if shell is None or kernel is None:
        return None
    about = (kernel.get_parent() or {}).get("metadata") or {}
    return (str(about["cellId"]), int(shell.execution_count)) if "cellId" in about else None


def replace_earlier(one: Any, cell: tuple[str, int] | None = None) -> None:
    """Close what earlier runs of the cell made that runs now.

    Parameters
    ----------
    one
        What it makes now; has ``close()``.
    cell
        Its name, and the number of this run; by default of the one that runs.

    Examples
    --------
    >>> class Plot:
    ...     def close(self):
    ...         print("closed")
    >>> first, again = Plot(), Plot()
    >>> replace_earlier(first, ("a cell", 1))
    >>> replace_earlier(again, ("a cell", 2))
    closed
    """
    cell = cell or _running_cell()
    if cell is None:
        return
    name, run = cell
    with _lock:
        earlier = [made() for number, made in _made[name] if number != run]
        _made[name] = [(number, made) for number, made in _made[name] if number == run]
        _made[name].append((run, weakref.ref(one)))
    for old in earlier:
        if old is not None:
            old.close()
