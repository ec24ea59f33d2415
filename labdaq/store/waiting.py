"""Waiting in a store: timeouts, and never for the dead."""

import time
from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

from labdaq.errors import EndOfStream, LayoutError
from labdaq.store.engine import Engine

__all__ = ["deadline_of", "limit_s", "patiently"]

LOOK_S = 1.0  # how often one that waits looks whether the writer still lives
_FOR_EVER_S = 1e9  # longer than anybody waits, shorter than what the system can count


def limit_s(timeout: float | None) -> float | None:
    """A timeout of the store, where 0 means for ever, as None.

    Raises
    ------
    LayoutError
        It is negative, or no number.
    """
    if timeout is None or timeout == 0:
        return None
    given: Any = timeout
    if not isinstance(given, SupportsFloat) or not timeout > 0:
        raise LayoutError(f"timeout is {timeout}; it is in seconds, 0 or None waits for ever (block=False not at all)")
    return float(min(timeout, _FOR_EVER_S))


def deadline_of(timeout: float | None) -> float | None:
    """When a timeout of the store is over, on the monotonic clock; None: never."""
    limit = limit_s(timeout)
    return None if limit is None else time.monotonic() + limit


def patiently(
    engine: Engine,
    check: Callable[[], bool],
    keys: Sequence[str],
    deadline: float | None,
    lost: Callable[[], str | None],
) -> bool:
    """Wait until a check is true, and look now and then whether whoever could make it so still lives.

    Parameters
    ----------
    lost
        Says who died, if there is nobody left.

    Raises
    ------
    EndOfStream
        Nobody is left, and the check is still false.
    """
    while True:
        left = LOOK_S if deadline is None else min(LOOK_S, deadline - time.monotonic())
        if engine.wait(check, keys, max(left, 0)):
            return True
        if (who := lost()) is not None and not check():
            raise EndOfStream(f"there is nothing to wait for: {who} died. `labdaq store repair` seals and closes")
        if deadline is not None and time.monotonic() >= deadline:
            return False
