"""A process of a suite: imports a function of the user, calls it, and says how it ended."""

import copy
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labdaq.compat.mimocorb.aliases import install_aliases
from labdaq.compat.mimocorb.flags import OBSERVERS_ACTIVE, READERS_ACTIVE, WRITERS_ACTIVE
from labdaq.errors import NotFoundError

__all__ = ["ENDED", "FAILED", "READY", "Task", "run_worker"]

READY, ENDED, FAILED = "ready", "ended", "failed"

_ORPHANS_S = 2.0

Setups = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """What a worker does. The lists hold setup dictionaries."""

    function: str
    file: Path
    folder: Path
    sources: Setups
    sinks: Setups
    observed: Setups
    config: dict[str, Any]
    assign: dict[str, str]


def run_worker(task: Task, connection: Connection) -> None:
    """Do a task; what becomes of it goes through the connection, as (word, text)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who runs the suite
    _follow_parent(task)
    try:
        os.chdir(task.folder)
        install_aliases()
        function = _function(task)
        connection.send((READY, ""))
        config = copy.deepcopy(task.config)
        function(task.sources or None, task.sinks or None, task.observed or None, config, **task.assign)
    except SystemExit as end:
        is_good = end.code in {None, 0}
        _tell(connection, ENDED if is_good else FAILED, "" if is_good else f"SystemExit: {end.code}")
    except BaseException:  # noqa: BLE001 - whatever it is, somebody has to be told
        _tell(connection, FAILED, traceback.format_exc())
    else:
        _tell(connection, ENDED, "")


def _tell(connection: Connection, word: str, text: str) -> None:
    try:
        connection.send((word, text))
    except OSError:  # nobody is there any more
        return


def _function(task: Task) -> Callable[..., Any]:
    """Import the module from its file, with its neighbours in reach, as v1 does."""
    name, folder = task.file.stem, str(task.file.parent)
    spec = importlib.util.spec_from_file_location(name, task.file)
    if spec is None or spec.loader is None or not task.file.is_file():
        raise NotFoundError(f"there is no module {task.file}")
    sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    function = getattr(module, task.function, None)
    if not callable(function):
        there = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise NotFoundError(f"{task.file} has no function {task.function!r}; it has {there or 'none'}")
    found: Callable[..., Any] = function
    return found


def _follow_parent(task: Task) -> None:
    """End when the parent dies: nobody else would end the buffers, or let go of the device."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        wait([parent.sentinel])
        for setup in (*task.sinks, *task.sources, *task.observed):
            for number in (WRITERS_ACTIVE, READERS_ACTIVE, OBSERVERS_ACTIVE):
                setup["flags"][number] = 0
        time.sleep(_ORPHANS_S)
        os._exit(1)

    threading.Thread(target=follow, name="follows its parent", daemon=True).start()
