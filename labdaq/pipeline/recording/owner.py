"""Which process drives a run, and whether it lives, as far as that can be seen from here."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labdaq.native.process import Identity, is_alive, this_process

__all__ = ["is_lost", "owner_here", "process_space"]


def owner_here() -> dict[str, Any]:
    """The calling process, as others find it."""
    me = this_process()
    return {"pid": me.pid, "started": me.started, "node": platform.node(), "space": process_space()}


def is_lost(owner: Any) -> bool:
    """Whether a process has died; False when that cannot be seen from here, as of one of another machine.

    Examples
    --------
    >>> is_lost(owner_here()), is_lost({**owner_here(), "started": 1}), is_lost({"node": "elsewhere"})
    (False, True, False)
    """
    if not isinstance(owner, Mapping) or (owner.get("node"), owner.get("space")) != (platform.node(), process_space()):
        return False
    return not is_alive(Identity(int(owner.get("pid", 0)), int(owner.get("started", 0))))


def process_space() -> int:
    """A number that is the same for those who see the same processes: containers have their own."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # systems without such spaces
        return 0
