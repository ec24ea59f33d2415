"""A member for a worker of a suite: what `labdaq work` does."""

import os
from pathlib import Path

from labdaq.pipeline.shared_work.member import SharedMember
from labdaq.pipeline.shared_work.shared import SharedWork
from labdaq.pipeline.suite.building import place_of_work, work_of_part
from labdaq.pipeline.suite.loading import load_suite
from labdaq.roles import parameters_of

__all__ = ["join_work"]


def join_work(url: str, suite: "str | os.PathLike[str]", worker: str, *, timeout: float = 0.0) -> SharedMember:
    """Join a pipeline that runs on another machine, as a member for one of its filters.

    The suite and its modules are those of this machine; they have to be the same as there. Parameters of the filter
    have the values that they have there.

    Parameters
    ----------
    url
        Of the Redis server that the suite there names with ``shared:``.
    suite
        The YAML file.
    worker
        The filter's name in it.
    timeout
        Seconds to wait for the run to begin.

    Returns
    -------
    SharedMember
        A context manager: ``run()`` works until the run has ended.

    Raises
    ------
    NotFoundError
        There is no such worker, or nobody runs the suite.
    LayoutError
        It is no filter.
    ResourceError
        The server cannot be reached.
    """
    described = load_suite(Path(suite))
    work = work_of_part(described, worker)
    function = work.func if isinstance(work, SharedWork) else work
    known = parameters_of(function)
    for name, value in described.parameters.items():
        node, _, parameter = name.rpartition(".")
        if node == worker and parameter in known:
            known[parameter].set(value)
    return SharedMember(url, place_of_work(described, worker), function, timeout=timeout)
