"""How functions of v1 are called."""

import copy
from collections.abc import Callable
from typing import Any

from labdaq.compat.mimocorb.worker import Task

__all__ = ["call"]


def call(function: Callable[..., Any], task: Task, shut: Callable[[str], None]) -> None:  # noqa: ARG001
    """Call a function with the setup dictionaries of its buffers, its settings, and the folder of the run.

    Parameters
    ----------
    function, task
        The function, and what it is to do.
    shut
        Not used: a function of v1 cannot say that it will write no more.
    """
    config = {**copy.deepcopy(dict(task.config)), "directory_prefix": f"{task.run_folder}/"}
    function(task.sources or None, task.sinks or None, task.observed or None, config, **dict(task.assign))
