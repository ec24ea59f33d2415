"""The bell of an embedded store: who changes something rings it, who waits for a change sleeps by it.

One page of a file, mapped by all processes that use the store. Its words: a counter that each ring raises, on
which the system lets processes sleep (a futex); and until when anybody may be asleep, so that a ring costs one
comparison when nobody is. The latter heals by itself when a sleeper is killed. Where there is no futex, who waits
looks every millisecond.
"""

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labdaq.errors import ClosedError
from labdaq.native import disk
from labdaq.native.file_memory import map_file

__all__ = ["Bell"]

_RINGS, _UNTIL_NS = 0, 1
_SLICE_NS = 50_000_000
_LONGEST_NS = 10 * _SLICE_NS  # a later end of sleep was written before the machine was started again
_POLL_S = 1e-3


class Bell:
    """The bell in a file, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor = disk.create(path)
        except FileExistsError:
            descriptor = os.open(path, os.O_RDWR)
        try:
            disk.grow(descriptor, mmap.PAGESIZE)
            self._memory = map_file(descriptor, mmap.PAGESIZE, writable=True)
        finally:
            os.close(descriptor)
        self._words = self._memory.cast("q")
        self._address = int(np.frombuffer(self._memory, np.int64).ctypes.data)
        self._is_closed = False

    def ring(self) -> None:
        """Something changed. Call it after an operation that orders memory: a lock given up, a system call."""
        until = self._words[_UNTIL_NS]
        if until and time.monotonic_ns() < until:
            self._wake(until)

    def _wake(self, until: int) -> None:
        from labdaq.store.embedded.sleeping import wake

        if until > time.monotonic_ns() + _LONGEST_NS:
            self._words[_UNTIL_NS] = 0
        wake(self._address)

    def wait(self, check: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `check` is true, which is looked at after every ring.

        Raises
        ------
        ClosedError
            `close` was called meanwhile.
        """
        from labdaq.native.futex import HAS_FUTEX
        from labdaq.store.embedded.sleeping import announce, sleep

        deadline = None if timeout is None else time.monotonic_ns() + int(timeout * 1e9)
        while not self._is_closed:
            now = time.monotonic_ns()
            left = _SLICE_NS if deadline is None else min(_SLICE_NS, deadline - now)
            seen = announce(self._address, now + left)
            if check():
                return True
            if left <= 0:
                return False
            if HAS_FUTEX:
                sleep(self._address, seen, left)
            else:
                time.sleep(min(left / 1e9, _POLL_S))
        raise ClosedError("this store was closed")

    def close(self) -> None:
        """Those who wait get ClosedError."""
        self._is_closed = True
        self.ring()
