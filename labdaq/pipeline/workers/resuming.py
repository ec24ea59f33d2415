"""A source whose process was killed, in a new one: whether it can go on, and where.

Nobody can ask a dead source where it stood, but the ring tells how many of its events are there. A source that gives
the same events each time is begun anew, and so many are passed over: nothing comes twice, nothing is missing. With
other parameters it might give others, and is not begun anew. A device goes on with what comes next. Of any other
generator nobody knows what it would give.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, EndOfDataError
from labdaq.ring import Ring

__all__ = ["Resumption", "passed_over", "resumption_of"]

_BATCH = 64
_MOST_ERRORS = 100
_POLL_S = 1e-3


class Resumption(Enum):
    """What a source can do when its process was killed."""

    REPEATS = "repeats"
    """It gives the same events again: those that are in the ring already are passed over."""
    GOES_ON = "goes on"
    """It is opened again, and gives what comes next."""
    NONE = "cannot go on"
    """Nobody knows where it stood, nor what it would give."""


def resumption_of(work: Any) -> Resumption:
    """What a source can do when its process was killed.

    Examples
    --------
    >>> resumption_of([1.0, 2.0]), resumption_of(np.zeros(3)), resumption_of(lambda: iter([1.0]))
    (<Resumption.REPEATS: 'repeats'>, <Resumption.REPEATS: 'repeats'>, <Resumption.NONE: 'cannot go on'>)
    """
    pushes = callable(getattr(work, "start", None)) and callable(getattr(work, "stop", None))
    asks = hasattr(work, "acquire") or hasattr(work, "acquire_batch")
    if pushes and not asks:
        return Resumption.GOES_ON
    seed = getattr(work, "seed", None)
    if isinstance(work, Sequence | np.ndarray) or (isinstance(seed, int | np.integer) and not isinstance(seed, bool)):
        return Resumption.REPEATS
    return Resumption.GOES_ON if asks else Resumption.NONE


def passed_over(source: Any, count: int, ring: Ring, is_wanted: Callable[[], bool] = lambda: True) -> Any:
    """A source that was opened, without the first events that it gives; what gives the others.

    It is asked for them, which takes it as long as to give them, unless it has ``skip(count)``, which is quicker.

    Parameters
    ----------
    source
        Which gives the same events each time.
    count
        Of events to pass over.
    ring
        For which they are.
    is_wanted
        Whether anything is wanted of it still: asked before each event or batch; the rest is not passed over then.

    Raises
    ------
    EndOfDataError, ClosedError
        It has no more, or was interrupted.

    Examples
    --------
    >>> list(passed_over([1.0, 2.0, 3.0], 2, Ring("values", dtype="f8", capacity=16)))
    [3.0]
    """
    if callable(getattr(source, "skip", None)):
        source.skip(count)
    elif hasattr(source, "acquire_batch"):
        _pass_batches(source, count, ring, is_wanted)
    elif hasattr(source, "acquire"):
        _pass_events(source, count, ring, is_wanted)
    else:
        return _rest(source() if callable(source) and not hasattr(source, "__iter__") else source, count, is_wanted)
    return source


class _Nowhere:
    """Room for events that nobody wants; see :class:`labdaq.roles.EventBatch` and `EventSlot`."""

    counter: int | None = None
    timestamp_ns: int | None = None
    deadtime: float | None = None

    def __init__(self, ring: Ring, n: int | None = None) -> None:
        self.data = np.zeros(ring.shape if n is None else (n, *ring.shape), ring.dtype)
        kinds = {"counter": "i8", "timestamp_ns": "i8", "deadtime": "f8"}
        self.planes = {name: np.zeros(n or 1, kind) for name, kind in kinds.items()}

    def __len__(self) -> int:
        return len(self.planes["counter"])


def _rest(given: Iterable[Any], count: int, is_wanted: Callable[[], bool]) -> Iterator[Any]:
    events = iter(given)
    while count > 0 and is_wanted():
        next(events, None)
        count -= 1
    return events


def _pass_batches(source: Any, count: int, ring: Ring, is_wanted: Callable[[], bool]) -> None:
    room = _Nowhere(ring, _BATCH)

    def ask(left: int) -> int:
        given = int(source.acquire_batch(room if left >= _BATCH else _Nowhere(ring, left)))
        if not given:
            time.sleep(_POLL_S)
        return given

    _pass(ask, count, is_wanted)


def _pass_events(source: Any, count: int, ring: Ring, is_wanted: Callable[[], bool]) -> None:
    room = _Nowhere(ring)

    def ask(_: int) -> int:
        source.acquire(room)
        return 1

    _pass(ask, count, is_wanted)


def _pass(ask: Callable[[int], int], count: int, is_wanted: Callable[[], bool]) -> None:
    nerror = 0
    while count > 0 and is_wanted():
        try:
            count -= ask(count)
        except (EndOfDataError, ClosedError):
            raise
        except Exception:
            nerror += 1  # it raised here before, and that was told
            if nerror > _MOST_ERRORS:
                raise
