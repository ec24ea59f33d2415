"""Processes of tests of embedded stores."""

import multiprocessing
import os
import signal
from contextlib import contextmanager

import pytest

__all__ = ["LATE_S", "SPAWN", "forks", "processes"]

SPAWN = multiprocessing.get_context("spawn")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Unix only")
LATE_S = 30


@contextmanager
def processes(*calls):
    """Spawned processes, which must end by themselves unless the test kills them."""
    children = [SPAWN.Process(target=target, args=arguments, daemon=True) for target, *arguments in calls]
    for child in children:
        child.start()
    try:
        yield children
        for child in children:
            child.join(LATE_S)
            assert child.exitcode in {0, -signal.SIGKILL}
    finally:
        for child in children:
            child.kill()
            child.join()
            child.close()
