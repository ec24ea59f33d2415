"""Events that a worker could not deal with, each kept in a file of its own."""

import traceback
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import ResourceError
from labdaq.files import write_npz
from labdaq.native.cuda import is_on_device
from labdaq.pipeline.workers.plan import WorkerPlan

__all__ = ["keep_event"]


def keep_event(plan: WorkerPlan, event: Any, error: BaseException) -> Path:
    """Save an event, or a batch of them, what is known of it, and why it is here; the file.

    Raises
    ------
    ResourceError
        The system refuses it.
    """
    folder = plan.folder / "quarantine"
    data = np.array(event.data.get() if is_on_device(event.data) else event.data)
    if hasattr(event, "planes"):
        counters, stamps = (event.planes[name].tolist() for name in ("counter", "timestamp_ns"))
        name = f"{plan.group}-{counters[0]}-to-{counters[-1]}"
    else:
        counters, stamps = event.counter, event.timestamp_ns
        name = f"{plan.group}-{counters}-{event.index}"
    about = {
        "worker": plan.name,
        "counter": counters,
        "timestamp_ns": stamps,
        "error": "".join(traceback.format_exception(error)),
    }
    try:
        folder.mkdir(exist_ok=True)
    except OSError as refused:
        raise ResourceError.of(refused, "making the folder for events that failed", folder) from refused
    path = folder / f"{name}.npz"
    write_npz(path, {"data": data}, about, overwrite=True)
    return path
