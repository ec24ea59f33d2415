"""How long to wait for others that may work, wait, or hang."""

import contextlib
import time
from collections.abc import Hashable
from pathlib import Path

import psutil

__all__ = ["Patience", "wanted_s"]

_BUSY_S = 0.2  # processor time by which one who computes differs from one who polls
_LONGEST_S = 120.0


def wanted_s(pid: int) -> float:
    """Processor time that a process has used, or stood in line for, in seconds; 0 when it is gone.

    On a busy machine one who computes may get next to nothing for a while; that is no reason to give it up.

    Examples
    --------
    >>> import os
    >>> wanted_s(os.getpid()) > 0
    True
    """
    total_ns = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):  # nanoseconds running, in line, and turns
        with contextlib.suppress(OSError, ValueError):
            running, in_line, _ = file.read_text().split()
            total_ns += int(running) + int(in_line)
    if total_ns:
        return total_ns / 1e9
    try:
        user, system, *_ = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(user + system)


class Patience:
    """Decides when to wait no longer.

    Parameters
    ----------
    idle_s
        Seconds to wait while nothing moves and nobody computes. Who computes may take two minutes.
    limit_s
        Seconds to wait in all; None for as long as anything moves.

    Examples
    --------
    >>> patience = Patience(60)
    >>> patience.is_over(("events", 1), 0.0), patience.is_over(("events", 2), 0.0)
    (False, False)
    >>> Patience(60, limit_s=-1).is_over((), 0.0)
    True
    """

    def __init__(self, idle_s: float, limit_s: float | None = None) -> None:
        self._idle_s, self._limit_s = idle_s, limit_s
        self._began = self._moved = self._busy = time.monotonic()
        self._progress: Hashable = None
        self._wanted_s = 0.0

    def is_over(self, progress: Hashable, wanted_s: float) -> bool:
        """Whether it is, when these are the numbers that change with what moves, and the processor time wanted."""
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._wanted_s = progress, wanted_s
            self._moved = self._busy = now
        if wanted_s - self._wanted_s > _BUSY_S:
            self._wanted_s, self._busy = wanted_s, now
        if self._limit_s is not None and now - self._began > self._limit_s:
            return True
        return now - self._busy > self._idle_s or now - self._moved > max(self._idle_s, _LONGEST_S)
