"""How long to wait for others that may work, wait, or hang."""

import contextlib
import time
from collections.abc import Callable, Hashable
from pathlib import Path

import psutil

__all__ = ["Patience", "sleep_while", "used_ns", "wanted_s"]

_BUSY_S = 0.2  # processor time by which one who computes differs from one who polls
_LONGEST_S = 120.0
_SLICE_S = 0.02


def sleep_while(goes_on: Callable[[], object], seconds: float) -> None:
    """Sleep for so long, but no longer than something goes on.

    Examples
    --------
    >>> sleep_while(lambda: False, 60)
    """
    due = time.monotonic() + seconds
    while goes_on() and (left := due - time.monotonic()) > 0:
        time.sleep(min(left, _SLICE_S))


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
    return used_ns(pid) / 1e9


def used_ns(pid: int) -> int:
    """Processor time that a process has used, in nanoseconds; 0 when it is gone.

    Examples
    --------
    >>> import os
    >>> used_ns(os.getpid()) > 0
    True
    """
    try:
        user, system, *_ = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0
    return int(1e9 * (user + system))


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
