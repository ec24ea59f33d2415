"""Any source at a rate, in real time: for simulations and replays that are to behave like devices."""

import functools
import math
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.roles import EventBatch, EventSlot
from labdaq.sim.simulation import random_stream

__all__ = ["Clocked", "ClockedBatches", "ClockedBoth", "ClockedEvents", "clocked"]

_GAPS = 1024  # planned together
_PATIENCE_S = 1.0  # what was held up for longer is not caught up


class _Plan:
    """When the next events are due, by the monotonic clock; ends waiting when it is interrupted."""

    def __init__(self, rate_hz: float, poisson: bool, seed: int) -> None:
        self._rate_hz, self._poisson, self._seed = rate_hz, poisson, seed
        self._is_interrupted = threading.Event()
        self.begin()

    def begin(self) -> None:
        self._is_interrupted.clear()
        self._rng = random_stream(self._seed)
        self._due_s = np.empty(0)
        self._last_s: float | None = None  # the last of what is planned

    def interrupt(self) -> None:
        self._is_interrupted.set()

    def wait(self) -> int:
        """Until an event is due; how many are."""
        if self._last_s is None:
            self._last_s = time.monotonic()
        if len(self._due_s) < _GAPS:
            mean_s = 1 / self._rate_hz
            gaps_s = self._rng.exponential(mean_s, _GAPS) if self._poisson else np.full(_GAPS, mean_s)
            self._due_s = np.append(self._due_s, self._last_s + np.cumsum(gaps_s))
            self._last_s = float(self._due_s[-1])
        early_s = self._due_s[0] - time.monotonic()
        if early_s < -_PATIENCE_S:
            self._due_s -= early_s
            self._last_s -= early_s
        while not self._is_interrupted.is_set() and early_s > 0:
            self._is_interrupted.wait(min(early_s, threading.TIMEOUT_MAX))
            early_s = self._due_s[0] - time.monotonic()
        if self._is_interrupted.is_set():
            raise EndOfDataError("waiting for the next event was interrupted; open() begins anew")
        return int(np.searchsorted(self._due_s, time.monotonic(), side="right"))

    def done(self, n: int) -> None:
        """So many of them were given."""
        self._due_s = self._due_s[n:]


class Clocked:
    """A source that is made to wait, from :func:`clocked`; all that is not about waiting is that of the source."""

    def __init__(self, source: Any, rate_hz: float, poisson: bool, seed: int) -> None:
        self._source, self._settings = source, (rate_hz, poisson, seed)
        self._plan = _Plan(rate_hz, poisson, seed)

    def __repr__(self) -> str:
        return f"{self._source!r} at {self._settings[0]:g} Hz"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    def __reduce__(self) -> Any:
        rate_hz, poisson, seed = self._settings
        return functools.partial(clocked, rate_hz=rate_hz, poisson=poisson, seed=seed), (self._source,)

    def open(self) -> None:
        """Begin to keep time, and open the source."""
        self._plan.begin()
        _call(self._source, "open")

    def close(self) -> None:
        """Close the source."""
        _call(self._source, "close")

    def interrupt(self) -> None:
        """Called from another thread: whoever waits, or wants to, is told that the data have ended."""
        self._plan.interrupt()
        _call(self._source, "interrupt")

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._plan.wait()
        value = next(self._source)
        self._plan.done(1)
        return value


class ClockedEvents(Clocked):
    """Of a source that gives events one by one."""

    def acquire(self, event: EventSlot) -> None:
        """Wait until an event is due, and let the source fill it; its time stamp is that of the source.

        Raises
        ------
        EndOfDataError
            The source has no more, or somebody called `interrupt`.
        """
        self._plan.wait()
        self._source.acquire(event)
        self._plan.done(1)


class ClockedBatches(Clocked):
    """Of a source that gives events in batches."""

    def acquire_batch(self, events: EventBatch) -> int:
        """Wait until an event is due, and let the source fill as many as are; how many it did.

        Raises
        ------
        EndOfDataError
            The source has no more, or somebody called `interrupt`.
        """
        n = min(self._plan.wait(), len(events))
        done: int = self._source.acquire_batch(events if n == len(events) else _First(events, n))
        self._plan.done(done)
        return done


class ClockedBoth(ClockedEvents, ClockedBatches):
    """Of a source that can do both."""


class _First:
    """The first events of a batch."""

    def __init__(self, events: EventBatch, n: int) -> None:
        self.data: npt.NDArray[Any] = events.data[:n]
        self.planes: Mapping[str, npt.NDArray[Any]] = {name: plane[:n] for name, plane in events.planes.items()}

    def __len__(self) -> int:
        return len(self.data)


def clocked(source: Any, *, rate_hz: float, poisson: bool = False, seed: int = 0) -> Clocked:
    """Make a source give its events at a rate, in real time.

    Its time stamps stay those of the source, which of a simulation are those of the simulated process. What was
    held up, by a ring that was full or a slow computer, is caught up if it was for less than a second, so that the
    mean rate is kept.

    Parameters
    ----------
    source
        An object with ``acquire`` or ``acquire_batch``, or anything to iterate over, such as a generator.
    rate_hz : float
        Mean rate of the events; ``math.inf`` is as fast as it goes.
    poisson : bool
        At random times, instead of equal intervals.
    seed : int
        Of the random times.

    Returns
    -------
    Clocked
        A source with the same methods, attributes and events. It can be pickled where the source can.

    Raises
    ------
    LayoutError
        For a rate that is not positive, or what is no source that can be asked for events.

    Examples
    --------
    >>> from labdaq.sim import MuonStack
    >>> stack = clocked(MuonStack(seed=1, events=3), rate_hz=1000.0, poisson=True)
    >>> len(list(stack)), stack.shape
    (3, (4, 4250))
    """
    if not rate_hz > 0 or math.isnan(rate_hz) or seed < 0:
        raise LayoutError(f"{rate_hz=}, {seed=}: the rate must be positive (Hz), the seed 0 or more")
    gives_events, gives_batches = hasattr(source, "acquire"), hasattr(source, "acquire_batch")
    if not gives_events and not gives_batches:
        try:
            source = iter(source)
        except TypeError as error:
            raise LayoutError(
                f"{source!r:.60} cannot be asked for events: it needs acquire(), or to be iterable"
            ) from error
        return Clocked(source, rate_hz, poisson, seed)
    if gives_events and gives_batches:
        return ClockedBoth(source, rate_hz, poisson, seed)
    return (ClockedEvents if gives_events else ClockedBatches)(source, rate_hz, poisson, seed)


def _call(source: Any, name: str) -> None:
    method = getattr(source, name, None)
    if method is not None:
        method()
