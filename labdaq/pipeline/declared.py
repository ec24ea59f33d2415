"""Rings of a pipeline: declared first, with memory from the first start on, and the same from run to run."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, StateError, WaitTimeoutError
from labdaq.pipeline.workers.trace import TRACE
from labdaq.ring import Ring
from labdaq.ring.device_memory import DeviceSpace
from labdaq.ring.layout import checked_dtype, checked_shape
from labdaq.ring.observer import ObservedEvent, Observer
from labdaq.ring.spaces import space_named

__all__ = ["DeclaredRing", "Tap"]


class DeclaredRing:
    """A ring of a pipeline, from :meth:`Pipeline.ring`.

    It gets its memory when it is first needed, and keeps it until the pipeline is closed.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
        Of one event.
    shape : tuple of int
        Of one event.
    capacity : int
        Events that it holds.
    label : str
        Its name with that of the pipeline.
    space : str
        Where its memory is. ``system`` becomes ``shared`` where processes use it.
    header : dict
        What is known of the data: units, names of channels, time between samples.

    Raises
    ------
    LayoutError
        Events cannot be of this dtype or shape, or there cannot be so many of them.
    """

    def __init__(
        self,
        name: str,
        dtype: DTypeLike,
        shape: Any = (),
        capacity: int = 128,
        *,
        planes: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        label: str | None = None,
        space: str = "system",
    ) -> None:
        self.name = name
        self.label = label or name
        self.dtype: np.dtype[Any] = checked_dtype(dtype)
        self.shape: tuple[int, ...] = checked_shape(shape)
        if int(capacity) != capacity or capacity < 1:
            raise LayoutError(f"{capacity=!r}: ring {name!r} holds a whole number of events, at least 1")
        self.capacity = int(capacity)
        self.header = dict(header or {})
        self.space = space
        memory = space_named(space)
        self.is_on_device = isinstance(memory, DeviceSpace)
        self.is_seen_on_host = not isinstance(memory, DeviceSpace) or memory.is_seen_on_host
        self._planes = {**(planes or {}), TRACE: "i8"}
        self._ring: Ring | None = None

    @property
    def has_memory(self) -> bool:
        """Whether it was needed already."""
        return self._ring is not None and not self._ring.closed

    @property
    def own_planes(self) -> dict[str, Any]:
        """Side arrays beside those that every ring of a pipeline has."""
        return {name: kind for name, kind in self._planes.items() if name != TRACE}

    def memory(self, *, shared: bool = False) -> Ring:
        """The ring itself, made if need be.

        Raises
        ------
        StateError
            It has memory that other processes cannot reach, and has to be reached by them.
        ResourceError
            There is not that much memory.
        """
        if self._ring is None or self._ring.closed:  # another pipeline of this name may have taken its place
            space = self.space if self.is_on_device else "shared" if shared else "system"
            self._ring = Ring(self.label, space, self.dtype, self.shape, self.capacity, planes=self._planes)
        elif shared and not self.is_on_device and self._ring.space != "shared":
            raise StateError(
                f"ring {self.name!r} was made for threads, and now a process is to use it: call close() on the "
                "pipeline first, which gives its memory back"
            )
        return self._ring

    def adopt(self, ring: Ring) -> None:
        """Stand for a ring that somebody else made, as long as that one is open; :meth:`close` closes it, too."""
        self._ring = ring

    def close(self) -> None:
        """Give the memory back."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def __getstate__(self) -> dict[str, Any]:
        """Its memory stays in this process."""
        return {**self.__dict__, "_ring": None}

    def statistics(self) -> Any:
        """What the ring and its users are doing: see :meth:`labdaq.Ring.statistics`; None without memory."""
        return None if self._ring is None or self._ring.closed else self._ring.statistics()

    def __repr__(self) -> str:
        return f"<ring {self.name!r} of {self.capacity} x {self.dtype} {self.shape}, declared>"


class Tap:
    """Sees the events of a ring without disturbing anyone, from :meth:`Pipeline.observe`.

    It stays good from run to run: between two runs it waits. Iterating ends when a run has ended and was seen.
    """

    def __init__(self, ring: DeclaredRing, *, latest: bool = False) -> None:
        self.ring = ring
        self._latest = latest
        self._observer: Observer | None = None
        self._of: Ring | None = None

    @property
    def skipped(self) -> int:
        """Events that it did not see."""
        return self._observer.skipped if self._observer is not None else 0

    def _opened(self, timeout: float | None = None) -> Observer:
        """Waits for the first run: only then it is known whether processes need the memory, too."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.ring.has_memory:
            if until is not None and time.monotonic() >= until:
                raise WaitTimeoutError(f"ring {self.ring.name!r} has no memory before the first run: start one")
            time.sleep(0.01)
        ring = self.ring.memory()
        if self._observer is None or self._of is not ring:
            self._of = ring
            self._observer = ring.observer(latest=self._latest, label="tap")
        return self._observer

    def read(self, timeout: float | None = None) -> ObservedEvent:
        """The next event that is still in the ring.

        Raises
        ------
        WaitTimeoutError
            When none came in time.
        EndOfDataError
            When the run has ended and everything was seen.
        """
        return self._opened(timeout).read(timeout)

    def latest(self, timeout: float | None = None) -> ObservedEvent:
        """The newest event."""
        return self._opened(timeout).latest(timeout)

    def __iter__(self) -> Iterator[ObservedEvent]:
        while True:
            try:
                yield self.read()
            except (EndOfDataError, ClosedError):
                return

    def waiting(self) -> ObservedEvent | None:
        """The newest event if there is one that was not seen yet; does not wait."""
        try:
            return self.latest(timeout=0)
        except (WaitTimeoutError, EndOfDataError):
            return None

    def close(self) -> None:
        """Look no more."""
        if self._observer is not None:
            self._observer.close()
            self._observer = None
