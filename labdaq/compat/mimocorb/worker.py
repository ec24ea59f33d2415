"""A process of a suite: imports a function of the user, calls it, and says how it ended."""

import importlib
import importlib.util
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from labdaq.compat.mimocorb.aliases import install_aliases
from labdaq.compat.mimocorb.flags import OBSERVERS_ACTIVE, READERS_ACTIVE, WRITERS_ACTIVE
from labdaq.errors import BusyError, NotFoundError

__all__ = ["ENDED", "FAILED", "READY", "SHUT", "Task", "run_worker"]

READY, ENDED, FAILED, SHUT = "ready", "ended", "failed", "shut"

_ORPHANS_S = 2.0
_ATTACH_S = 60.0

Setups = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """What a worker does. The lists hold setup dictionaries."""

    package: str
    """The one that the function was written for: ``mimocorb`` or ``mimocorb2``."""
    name: str
    """Of the function, in the suite."""
    function: str
    """In its module."""
    file: Path | None
    """Of the module; None for what the package brings along."""
    folder: Path
    """Of the suite."""
    run_folder: Path
    sources: Setups
    sinks: Setups
    observed: Setups
    config: Mapping[str, Any]
    assign: tuple[tuple[str, str], ...]
    """Buffers and their roles, those of each role in the order of the lists."""
    number: int = 1
    """Which one of the processes of the function this is."""

    def names(self, role: str) -> tuple[str, ...]:
        """Names of the buffers in a role."""
        return tuple(name for name, given in self.assign if given == role)


def run_worker(packed: bytes, connection: Connection) -> None:
    """Do a task, which comes pickled; what becomes of it goes through the connection, as (word, text)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who runs the suite
    signal.signal(signal.SIGTERM, _leave)
    try:
        task = _unpacked(packed)
        _follow_parent(task)
        os.chdir(task.folder)
        install_aliases(task.package)
        function = _function(task)
        calling = importlib.import_module(f"labdaq.compat.{task.package}.calling")
        connection.send((READY, ""))
        calling.call(function, task, lambda buffer: connection.send((SHUT, buffer)))
    except SystemExit as end:
        is_good = end.code in {None, 0}
        _tell(connection, ENDED if is_good else FAILED, "" if is_good else f"SystemExit: {end.code}")
    except BaseException:  # noqa: BLE001 - whatever it is, somebody has to be told
        _tell(connection, FAILED, traceback.format_exc())
    else:
        _tell(connection, ENDED, "")


def _unpacked(packed: bytes) -> Task:
    """The task, its buffers attached, for which many processes may stand in line on a busy machine."""
    deadline = time.monotonic() + _ATTACH_S
    while True:
        try:
            task: Task = pickle.loads(packed)  # noqa: S301 - from our parent
        except BusyError:
            if time.monotonic() > deadline:
                raise
        else:
            return task


def _leave(*_signal: object) -> None:
    """End the function in order, so that it closes its device and its files. Once is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit


def _tell(connection: Connection, word: str, text: str) -> None:
    try:
        connection.send((word, text))
    except OSError:  # nobody is there any more
        return


def _function(task: Task) -> Callable[..., Any]:
    """Import the module, and take the function from it."""
    if task.file is None:
        place, _, name = task.function.rpartition(".")
        module = importlib.import_module(f"labdaq.compat.{task.package}.functions.{place}")
    else:
        name, module = task.function, _module(task.file)
    function = getattr(module, name, None)
    if not callable(function):
        there = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise NotFoundError(f"{task.file or module.__name__} has no function {name!r}; it has {there or 'none'}")
    found: Callable[..., Any] = function
    return found


def _module(file: Path) -> ModuleType:
    """Import a module from its file, with its neighbours in reach."""
    name, folder = file.stem, str(file.parent)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise NotFoundError(f"there is no module {file}")
    sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


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
