"""Process identities. A pid alone is reused; a pid with its start time is not."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Identity", "identity_of", "is_alive", "is_exiting", "this_process"]


class Identity(NamedTuple):
    """A process that once lived: its pid and when it was started (in ticks of an arbitrary clock)."""

    pid: int
    started: int


def _started(pid: int) -> int:
    """When a process was started; 0 for one that is dead, or a zombie."""
    if sys.platform != "linux":
        import psutil

        try:
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return int(process.create_time() * 1000) if alive else 0
        except psutil.Error:
            return 0
    # psutil derives start times from the wall clock, which can be set; the kernel's own ticks cannot
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text[text.rindex(")") + 2 :].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def identity_of(pid: int) -> Identity | None:
    """The identity of a living process, None when there is none with this pid."""
    started = _started(pid)
    return Identity(pid, started) if started else None


def this_process() -> Identity:
    """The identity of the calling process.

    Examples
    --------
    >>> is_alive(this_process())
    True
    """
    pid = os.getpid()
    return Identity(pid, _started(pid))


def is_alive(identity: Identity) -> bool:
    """Whether that very process still runs; a new process with the same pid does not count."""
    return identity.pid > 0 and _started(identity.pid) == identity.started


def is_exiting(finalizing: Callable[[], bool] = sys.is_finalizing) -> bool:
    """Whether the interpreter is ending; works when modules are gone already."""
    return finalizing()
