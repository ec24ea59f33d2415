"""Small pipelines for tests: sources of numbered events, and sinks that remember what came."""

import threading
from collections.abc import Callable, Iterator

import numpy as np

from labdaq.pipeline import Pipeline

LONG_S = 30.0
"""So long a test waits for what has to come at once."""


class Numbers:
    """A source of so many events; each holds its number."""

    def __init__(self, count: int = 1 << 40, dtype: str = "f8") -> None:
        self.dtype, self.shape = np.dtype(dtype), (4,)
        self.count = count

    def open(self) -> None:
        self.given = 0

    def acquire_batch(self, events) -> int:
        from labdaq.errors import EndOfDataError

        if self.given >= self.count:
            raise EndOfDataError("no more")
        n = min(len(events), self.count - self.given)
        events.data[:n] = np.arange(self.given, self.given + n)[:, None]
        self.given += n
        return n


class Seen:
    """A sink that remembers counters and values."""

    def __init__(self) -> None:
        self.counters: list[int] = []
        self.values: list[float] = []
        self.changed = threading.Event()

    def write(self, events) -> None:
        self.counters += events.planes["counter"].tolist()
        self.values += events.data.reshape(len(events), -1)[:, 0].tolist()
        self.changed.set()


def values(count: int) -> Callable[[], Iterator[np.ndarray]]:
    """A generator function of so many events of shape (4,)."""

    def numbers() -> Iterator[np.ndarray]:
        for number in range(count):
            yield np.full(4, float(number))

    return numbers


def chain(daq: Pipeline, function, *, capacity: int = 64, source=None, sink=None, **settings):
    """source -> raw -> filter "find" -> found -> sink "look"; the sink."""
    raw = daq.ring("raw", "f8", (4,), capacity)
    found = daq.ring("found", "f8", (4,), capacity)
    daq.source(source if source is not None else Numbers(), raw, name="source")
    daq.filter(function, raw, found, name="find", **settings)
    return daq.sink(sink if sink is not None else Seen(), found, name="look")
