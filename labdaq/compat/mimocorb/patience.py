"""How long to wait for others that may work, wait, or hang."""

import time
from collections.abc import Hashable

__all__ = ["Patience"]

_BUSY_S = 0.2  # processor time by which one who computes differs from one who polls
_LONGEST_S = 120.0


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
        self._used_s = 0.0

    def is_over(self, progress: Hashable, used_s: float) -> bool:
        """Whether it is, when these are the numbers that change with what moves, and the processor time used."""
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._used_s = progress, used_s
            self._moved = self._busy = now
        if used_s - self._used_s > _BUSY_S:
            self._used_s, self._busy = used_s, now
        if self._limit_s is not None and now - self._began > self._limit_s:
            return True
        return now - self._busy > self._idle_s or now - self._moved > max(self._idle_s, _LONGEST_S)
