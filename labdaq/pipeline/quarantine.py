"""Events that a worker could not deal with, each kept in a file of its own."""

import traceback
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import ResourceError
from labdaq.files import write_npz
from labdaq.pipeline.plan import WorkerPlan

__all__ = ["keep_event"]


def keep_event(plan: WorkerPlan, event: Any, error: BaseException) -> Path:
    """Save an event, what is known of it, and why it is here; the file.

    Raises
    ------
    ResourceError
        The system refuses it.
    """
    folder = plan.folder / "quarantine"
    path = folder / f"{plan.group}-{event.counter}-{event.index}.npz"
    about = {
        "worker": plan.name,
        "counter": event.counter,
        "timestamp_ns": event.timestamp_ns,
        "index": event.index,
        "error": "".join(traceback.format_exception(error)),
    }
    try:
        folder.mkdir(exist_ok=True)
    except OSError as refused:
        raise ResourceError.of(refused, "making the folder for events that failed", folder) from refused
    write_npz(path, {"data": np.array(event.data)}, about, overwrite=True)
    return path
