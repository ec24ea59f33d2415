"""What all simulated instruments share: how they are read, and where their random numbers come from.

Events are drawn in blocks, each with a random stream of its own, so that event k depends on the seed and the
settings only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.roles import EventBatch, EventSlot

__all__ = ["BLOCK", "Block", "SimulatedBatch", "Simulation", "check_positive", "random_stream"]

BLOCK = 64  # events drawn together

Array = npt.NDArray[Any]
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class SimulatedBatch:
    """Events together with the truth about them."""

    data: Array
    """What the instrument gives, shape (n, *shape of one event)."""
    truth: Array
    """Records, shape (n,): ``timestamp_ns``, and what the documentation of the instrument names."""

    def __len__(self) -> int:
        return len(self.truth)


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """A stream of random numbers of its own for each seed and key."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


class Block(NamedTuple):
    """The events that are drawn together."""

    number: int
    after_ns: int
    """Time of the event before the first."""
    rng: np.random.Generator
    """The random stream of this block."""

    @property
    def events(self) -> npt.NDArray[np.int64]:
        """Numbers of the events."""
        return self.number * BLOCK + np.arange(BLOCK)

    def poisson_times(self, rate_hz: float) -> npt.NDArray[np.int64]:
        """Times of the events in ns: a Poisson process that goes on after the event before."""
        return self.after_times(self.rng.exponential(1e9 / rate_hz, BLOCK))

    def after_times(self, gaps_ns: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Times of the events in ns, from the gaps before each."""
        return self.after_ns + np.cumsum(gaps_ns.astype(np.int64))


def check_positive(**settings: float) -> None:
    """Refuse settings that are not positive and finite.

    Raises
    ------
    LayoutError
        Which names all settings that are wrong.

    Examples
    --------
    >>> check_positive(samples=1000, rate_hz=0)
    Traceback (most recent call last):
    labdaq.errors.LayoutError: must be positive: rate_hz=0
    """
    wrong = [f"{name}={value!r}" for name, value in settings.items() if not 0 < value < np.inf]
    if wrong:
        raise LayoutError(f"must be positive: {', '.join(wrong)}")


class Simulation(ABC, Generic[Batch]):
    """The base of the simulated instruments: a source, and an iterator.

    Reading is like reading a file: iteration, :meth:`batch`, :meth:`acquire` and :meth:`acquire_batch` go on where
    the last reading stopped, and :meth:`rewind` starts again with the same events. Event number k depends on the
    seed and the settings only, not on how the events before it were read.

    Parameters
    ----------
    seed : int
        0 or more. Same seed and settings, same bytes.
    events : int, optional
        Number of events after which there are no more; endless by default.
    start_ns : int
        Time at which data taking begins, in nanoseconds UTC.

    Raises
    ------
    LayoutError
        If the seed or the number of events is negative.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)
    _batch: Callable[[Array, Array], Batch]

    def __init__(self, seed: int, events: int | None, start_ns: int) -> None:
        if seed < 0 or (events is not None and events < 0):
            raise LayoutError(f"seed and events must be 0 or more; given: {seed=}, {events=}")
        self.seed, self.events, self.start_ns = seed, events, start_ns
        self.rewind()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(seed={self.seed}, events={self.events}), next event {self._next}"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one event."""

    @property
    @abstractmethod
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the events, as a JSON object."""

    @abstractmethod
    def _draw(self, block: Block) -> Array:
        """Prepare a block: records of :data:`BLOCK` events with ``timestamp_ns`` and other truths."""

    @abstractmethod
    def _write(self, place: slice, out: Array) -> None:
        """Write events of the block that was drawn last to memory of shape (n, *shape), of any real dtype."""

    def rewind(self) -> None:
        """Begin again with the first event."""
        self._next, self._current, self._last_ns = 0, -1, self.start_ns

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Array, int]:
        """Data and time stamp in nanoseconds of the next event."""
        if self.events is not None and self._next >= self.events:
            raise StopIteration
        data, truth = self._read(1)
        return data[0], int(truth["timestamp_ns"][0])

    def acquire(self, event: EventSlot) -> None:
        """Put the next event into memory that somebody else owns, such as a slot of a ring.

        Parameters
        ----------
        event
            Its ``data`` (shape :attr:`shape`; of waveforms any real dtype) and ``timestamp_ns`` are set.

        Raises
        ------
        EndOfDataError
            If all events were read.
        LayoutError
            If ``event.data`` has another shape.
        """
        self._check_shape(event.data.shape)
        self._available(1)
        place = self._seek()
        self._write(slice(place, place + 1), event.data[None])
        event.timestamp_ns = int(self._truth["timestamp_ns"][place])
        self._next += 1

    def acquire_batch(self, events: EventBatch) -> int:
        """Put the next events into memory that somebody else owns; how many: all, or fewer at the end.

        Raises
        ------
        EndOfDataError
            If all events were read.
        LayoutError
            If ``events.data`` holds events of another shape.
        """
        data, times_ns = events.data, events.planes["timestamp_ns"]
        self._check_shape(data.shape[1:])
        n = self._available(len(data))
        for place, part in self._parts(n):
            self._write(place, data[part])
            times_ns[part] = self._truth["timestamp_ns"][place]
        return n

    def batch(self, n: int) -> Batch:
        """Read the next `n` events (fewer at the end) at once, with the truth about them.

        Raises
        ------
        EndOfDataError
            If all events were read.
        """
        return self._batch(*self._read(n))

    def skip(self, n: int) -> None:
        """Go on `n` events later (fewer at the end), as if they had been read.

        Raises
        ------
        EndOfDataError
            If all events were read.
        """
        for _ in self._parts(self._available(n)):  # every block is drawn: times go on from one to the next
            continue

    def _read(self, n: int) -> tuple[Array, Array]:
        n = self._available(n)
        self._seek()
        data, truth = np.empty((n, *self.shape), self.dtype), np.empty(n, self._truth.dtype)
        for place, part in self._parts(n):
            self._write(place, data[part])
            truth[part] = self._truth[place]
        return data, truth

    def _parts(self, n: int) -> Iterator[tuple[slice, slice]]:
        """Where the next n events are: in the block that is drawn then, and among the n."""
        done = 0
        while done < n:
            place = self._seek()
            count = min(BLOCK - place, n - done)
            yield slice(place, place + count), slice(done, done + count)
            self._next += count
            done += count

    def _seek(self) -> int:
        """Make the block of the next event the current one; the event's place in it."""
        block, place = divmod(self._next, BLOCK)
        if block != self._current:
            self._truth = self._draw(Block(block, self._last_ns, random_stream(self.seed, block)))
            self._last_ns = int(self._truth["timestamp_ns"][-1])
            self._current = block
        return place

    def _available(self, n: int) -> int:
        left = n if self.events is None else min(n, self.events - self._next)
        if left <= 0 < n:
            raise EndOfDataError(f"{type(self).__name__} was asked for {self.events} events, and gave them")
        return left

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise LayoutError(f"an event of {type(self).__name__} has shape {self.shape}, not {shape}")
