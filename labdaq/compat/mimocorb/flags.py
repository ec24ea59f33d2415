"""A few words of memory that all processes of a buffer share: switches, a limit, a sum.

The memory bears the name of the buffer's ring, and goes with it: the last user of the ring, or the clean-up
after a crash, removes both.
"""

import os
import time
from typing import Any

from labdaq.errors import ClosedError
from labdaq.native import mapping
from labdaq.native.mapping import PAGE, Mapping
from labdaq.ring.control import increase

__all__ = [
    "DEADTIME_PPB",
    "DISCARDED",
    "HELD",
    "LIMIT",
    "OBSERVERS_ACTIVE",
    "PAUSED",
    "READERS_ACTIVE",
    "WRITERS_ACTIVE",
    "Flag",
    "Flags",
]

WRITERS_ACTIVE, READERS_ACTIVE, OBSERVERS_ACTIVE, PAUSED, LIMIT, DEADTIME_PPB, HELD, DISCARDED = range(8)

_POLL_S = 0.01


class Flags:
    """Whole numbers that every process of a buffer sees; pickled, it attaches to the same ones.

    Parameters
    ----------
    name
        Of the memory.
    create
        Make it, all numbers 0, instead of attaching to it.

    Raises
    ------
    ClosedError
        When the buffer is gone.
    """

    def __init__(self, name: str, *, create: bool = False) -> None:
        self.name = name
        try:
            file = mapping.shared_file(name, PAGE) if create else mapping.open_file(name)
        except FileNotFoundError as error:
            raise ClosedError(f"the buffer of {name} is gone: its last user closed it") from error
        try:
            self._mapping: Mapping | None = Mapping(file, 0, PAGE)
        finally:
            os.close(file)
        self._words = self._mapping.bytes().data.cast("q")

    def __getitem__(self, number: int) -> int:
        return self._words[number]

    def __setitem__(self, number: int, value: int) -> None:
        self._words[number] = value

    def add(self, number: int, amount: int) -> None:
        """Increase a number; several processes may do so at once."""
        memory = self._mapping  # another thread may close it meanwhile
        if memory is not None:
            increase(memory.address + 8 * number, amount)

    def close(self) -> None:
        """Let go of the memory; from now on all numbers are 0 here: nothing is active, nothing paused."""
        self._words = memoryview(bytearray(PAGE)).cast("q")
        self._mapping = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Flags, (self.name,)


class Flag:
    """One of the numbers as a switch, used like a ``multiprocessing.Event``.

    Examples
    --------
    >>> from labdaq.native.mapping import new_token, remove
    >>> flags = Flags(f"{new_token()}.flags", create=True)
    >>> paused = Flag(flags, PAUSED)
    >>> paused.set()
    >>> paused.is_set(), Flag(Flags(flags.name), PAUSED).is_set(), paused.wait(1)
    (True, True, True)
    >>> remove(flags.name)
    True
    """

    def __init__(self, flags: Flags, number: int) -> None:
        self._flags = flags
        self._number = number

    def is_set(self) -> bool:
        """Whether it is on."""
        return self._flags[self._number] != 0

    def set(self) -> None:
        """Switch it on."""
        self._flags[self._number] = 1

    def clear(self) -> None:
        """Switch it off."""
        self._flags[self._number] = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is on, for up to ``timeout`` seconds; whether it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (deadline is None or time.monotonic() < deadline):
            time.sleep(_POLL_S)
        return self.is_set()

    def __reduce__(self) -> tuple[Any, ...]:
        return Flag, (self._flags, self._number)
