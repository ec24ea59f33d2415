"""How functions of mimoCoRB2 are called."""

import contextlib
import copy
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from labdaq.compat.mimocorb.worker import Task
from labdaq.compat.mimocorb2.mimo_buffer import BufferObserver, BufferReader, BufferWriter
from labdaq.compat.mimocorb2.mimo_worker import BufferIO, Config

__all__ = ["call"]


def call(function: Callable[..., Any], task: Task, shut: Callable[[str], None]) -> None:
    """Call a function with its buffers and settings.

    Parameters
    ----------
    function, task
        The function, and what it is to do.
    shut
        Is told the names of buffers into which it will write no more.
    """
    io = BufferIO(
        task.name,
        [BufferReader(*one) for one in zip(task.names("read"), task.sources, strict=True)],
        [BufferWriter(*one, shut) for one in zip(task.names("write"), task.sinks, strict=True)],
        [BufferObserver(*one) for one in zip(task.names("observe"), task.observed, strict=True)],
        Config(copy.deepcopy(dict(task.config))),
        task.folder,
        task.run_folder,
        number=task.number,
    )
    with _logged(io):
        try:
            function(io)
        finally:
            for reader in io.read:
                reader.leave(*sys.exc_info())


@contextlib.contextmanager
def _logged(io: BufferIO) -> Iterator[None]:
    """What a worker logs goes into a file of its name, which is there once there is something in it."""
    handler = logging.FileHandler(io.output_path(io.name, ".log"), encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    io.logger.addHandler(handler)
    try:
        yield
    finally:
        io.logger.removeHandler(handler)
        handler.close()
