"""Runs in a process of their own: they outlive the notebook that started them.

The process writes down, in the folder of the run, how it is found: ``attach.json`` with its number, and the
tokens of its rings. Whoever has the folder can look at the board and the rings, and ask for a pause or the end; see
:mod:`labdaq.pipeline.running.requests`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from labdaq import errors
from labdaq.errors import LabdaqError, LayoutError, ResourceError
from labdaq.native.process import this_process
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.states import Command
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board

if TYPE_CHECKING:
    from labdaq.pipeline.pipeline import Pipeline

__all__ = ["ATTACH_FILE", "IS_PUT_AWAY", "bury", "start_detached", "write_attach_file"]

ATTACH_FILE = "attach.json"
IS_PUT_AWAY = b.HEAD_WORDS - 1
"""Word of the board: the run is over and its record closed. Its process may live on, as the kernel of a notebook."""
_PROGRAM = "from labdaq.pipeline.running.detached import main; main()"
_LAST_THREADS_S = 5.0
_children: list[subprocess.Popen[bytes]] = []


def start_detached(pipeline: "Pipeline", settings: dict[str, Any]) -> Path:
    """Start a run of a pipeline in a process of its own; the folder of the run.

    Raises
    ------
    LayoutError
        Something in it cannot go to another process.
    LabdaqError
        What kept the run from starting.
    """
    try:
        payload = cloudpickle.dumps((pipeline, settings))
    except LabdaqError:
        raise
    except Exception as error:  # pickling raises whatever the object raises
        raise LayoutError(f"pipeline {pipeline.name!r} cannot go to another process: {error}") from error
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    _children.append(process)
    told = _handed_over(process, payload)
    if "folder" in told:
        return Path(told["folder"])
    process.wait()
    bury()
    kind = getattr(errors, told.get("error", ""), ResourceError)
    raise kind(told.get("text", "the process of the run ended before it told how it began"))


def bury(pid: int = 0) -> None:
    """Take note of runs that this process started and that have ended, as the system wants it.

    One whose end was seen is waited for: its threads may take a moment longer.
    """
    for process in _children:
        if process.pid == pid:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_THREADS_S)
    _children[:] = [process for process in _children if process.poll() is None]


def _handed_over(process: "subprocess.Popen[bytes]", payload: bytes) -> dict[str, str]:
    """Give the process its work, and hear how it began."""
    try:
        with process.stdin as given:  # type: ignore[union-attr]
            given.write(payload)
        with process.stdout as said:  # type: ignore[union-attr]
            told: dict[str, str] = json.loads(said.readline() or b"{}")
    except (OSError, ValueError) as error:
        raise ResourceError(f"the process of the run did not begin: {error}") from error
    return told


def main() -> None:
    """Run a pipeline: what the process executes."""
    try:
        pipeline, settings = cloudpickle.loads(sys.stdin.buffer.read())
        pipeline.is_shared = True
        run = pipeline.start(**settings)
        signal.signal(signal.SIGTERM, lambda *_: run.command(Command.STOP, "asked to by the system"))
    except LabdaqError as error:
        _tell({"error": type(error).__name__, "text": str(error)})
        return
    except Exception as error:  # noqa: BLE001 - whatever unpickling and the user's code raise
        _tell({"error": type(error).__name__, "text": "".join(traceback.format_exception(error))})
        return
    _tell({"folder": str(run.folder)})
    pipeline.wait()
    pipeline.close()


def _tell(what: dict[str, str]) -> None:
    """One line for who started this process; nobody listens afterwards."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)


def write_attach_file(run: AnyRun) -> None:
    """Write down how the run is found, and on its board, when it is over, that it is.

    Raises
    ------
    ResourceError
        The system refuses the file.
    """
    run.on_over.append(partial(run.board.words.__setitem__, IS_PUT_AWAY, 1))
    if run.result is not None:  # it may have called those before this one came, and its board be closed
        with contextlib.suppress(LabdaqError):
            Board.open(run.folder / "board").words[IS_PUT_AWAY] = 1
    me = this_process()
    about = {
        "pid": me.pid,
        "started": me.started,
        "name": run.name,
        "number": run.number,
        "key": run.record.key,
        "seconds": run.limits.seconds,
        "url": run.record.url,
        "rings": {
            declared.name: {
                "label": declared.label,
                "token": ring._core.token if ring.space == "shared" else "",
                "header": declared.header,
                "begin": run.first_frame(declared),
            }
            for declared, ring in run.rings.items()
        },
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "reads": [ring.name for ring in node.reads],
                "writes": [ring.name for ring in node.writes],
            }
            for node in run.nodes
        ],
    }
    path = run.folder / ATTACH_FILE
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(about), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ResourceError.of(error, "writing down how the run is found", path) from error
