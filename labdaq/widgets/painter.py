"""The thread that draws: one for everything that is shown, beside and below data taking."""

import logging
import threading
import time
from typing import Any, Protocol

__all__ = ["Drawn", "Painter", "painter"]

logger = logging.getLogger("labdaq.widgets")

_AGAIN_S = 1.0


class Drawn(Protocol):
    """What is drawn now and then."""

    period_s: float
    """So much time is between two looks at least."""

    def look(self) -> None:
        """See what is new, and show it."""

    def trouble(self, error: Exception) -> None:
        """Looking failed: say so in words, and go on."""


class Painter:
    """Looks again and again at all that was given to it; ends its thread when there is nothing left.

    What raises is logged with its traceback, told so, and looked at again a second later.

    Examples
    --------
    >>> class Clock:
    ...     period_s, ticks, seen = 0.0, 0, threading.Event()
    ...     def look(self):
    ...         self.ticks += 1
    ...         self.seen.set()
    ...     def trouble(self, error): ...
    >>> clock, painter = Clock(), Painter()
    >>> painter.add(clock)
    >>> clock.seen.wait(5)
    True
    >>> painter.remove(clock)
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._looking = threading.RLock()
        self._due_s: dict[Any, float] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, one: Drawn) -> None:
        """Look at this from now on."""
        with self._lock:
            self._due_s[one] = 0.0
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="labdaq-ui", daemon=True)
                self._thread.start()

    def remove(self, one: Drawn) -> None:
        """Look at it no more; when this returns nobody does."""
        with self._lock:
            self._due_s.pop(one, None)
            thread = None if self._due_s else self._thread
            self._wake.set()
        with self._looking:  # until a look that was under way has ended
            pass
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._due_s:
                    self._thread = None
                    return
                one = min(self._due_s, key=self._due_s.__getitem__)
                early_s = self._due_s[one] - time.monotonic()
                if early_s <= 0:
                    self._due_s[one] = time.monotonic() + max(one.period_s, 0.001)
            if early_s > 0:
                self._wake.wait(early_s)
                self._wake.clear()
            else:
                self._look_at(one)

    def _look_at(self, one: Drawn) -> None:
        with self._looking:
            if one not in self._due_s:
                return
            try:
                one.look()
            except Exception as error:
                logger.exception("a live view failed, and will be tried again")
                one.trouble(error)
                with self._lock:
                    if one in self._due_s:
                        self._due_s[one] = time.monotonic() + _AGAIN_S


painter = Painter()
"""Of this process."""
