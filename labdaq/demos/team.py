"""Threads that end together: when one fails, all stop, and its error is raised where they were started."""

import itertools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Team"]


class Team:
    """Threads that have all ended when its ``with`` block has.

    Leaving the block waits for them. If a thread or the block fails (Ctrl-C included), `stop` is called,
    which must make the others return or raise; the first error is then raised with its own traceback.

    Parameters
    ----------
    stop : callable
        Called without arguments, from any thread, once for each failure.

    Examples
    --------
    >>> gate = threading.Event()
    >>> with Team(stop=gate.set) as team:
    ...     team.start(gate.wait)
    ...     team.start(dict().popitem)
    Traceback (most recent call last):
    KeyError: 'popitem(): dictionary is empty'
    """

    def __init__(self, stop: Callable[[], Any]) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def start(self, work: Callable[[], Any], *, copies: int = 1, then: Callable[[], Any] | None = None) -> None:
        """Run `work` in a thread of its own.

        Parameters
        ----------
        work : callable
            Called without arguments.
        copies : int
            So many threads do this work at the same time.
        then : callable, optional
            Called when the last of them has returned, unless one of them failed.
        """
        returned = itertools.count(1)

        def run() -> None:
            try:
                work()
                if next(returned) == copies and then is not None:
                    then()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again in __exit__
                self._fail(error)

        for _ in range(copies):
            thread = threading.Thread(target=run, name=work.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            # What comes later is a consequence: the others noticed that everything was stopped.
            self._failure = self._failure or error
        self._stop()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "Team":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fail(error)
        try:
            self._join()
        except KeyboardInterrupt as interrupt:
            self._fail(interrupt)
            self._join()
        if self._failure is not None and self._failure is not error:
            raise self._failure
