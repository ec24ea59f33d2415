"""Looking at a ring, whatever it is given as, without waiting and without holding anyone back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, NotFoundError, WaitTimeoutError
from labdaq.pipeline import DeclaredRing, Tap
from labdaq.ring import ObservedEvent, Observer, Ring

__all__ = ["Eye"]

_MICRO = {"us", "uV", "uA", "um", "uW"}
_NEAR = 16
"""So many events are read one after the other before the newest is jumped at: it may be a frame given up unwritten."""
Watched = Ring | DeclaredRing | Tap


class Eye:
    """Sees the events of a ring: of one with memory, of one that gets it with the first run, of a tap on one.

    Parameters
    ----------
    ring
        A ring of events.

    Attributes
    ----------
    name : str
    dtype, shape
        Of one event.
    header : dict
        What is known of the data.

    Raises
    ------
    LayoutError
        It is no ring of events.
    ClosedError
        It is closed.

    Examples
    --------
    >>> ring = Ring("raw", dtype="f4", shape=(3,), capacity=4)
    >>> eye = Eye(ring)
    >>> eye.newest() is None
    True
    >>> with ring.writer() as writer, writer.reserve() as event:
    ...     event.data[:] = 7
    >>> eye.newest().data.tolist()
    [7.0, 7.0, 7.0]
    >>> eye.close(); ring.close()
    """

    def __init__(self, ring: Watched) -> None:
        ring = ring.ring if isinstance(ring, Tap) else ring
        if not isinstance(ring, Ring | DeclaredRing):
            raise LayoutError(f"{ring!r:.60} cannot be looked at: give a ring of events, or daq.observe(ring)")
        if isinstance(ring, Ring):
            if ring.closed:
                raise ClosedError(f"ring {ring.name!r} is closed: there is nothing to see")
            if not ring.is_typed:
                raise LayoutError(f"ring {ring.name!r} holds bytes: live plots are of rings of events, with a dtype")
        self._ring = ring
        self.name = ring.name
        self.dtype: np.dtype[Any] = ring.dtype
        self.shape: tuple[int, ...] = ring.shape
        self._observer: Observer | None = None
        self._of: Ring | None = None
        self._seen = self._written = 0
        self._part = 1.0

    @property
    def header(self) -> Mapping[str, Any]:
        """What is known of the data; sources may add to it until the run begins."""
        return getattr(self._ring, "header", None) or {}

    def part_seen(self) -> float:
        """Which part of the events since it began to look it has seen, 0 to 1."""
        if self._of is None or self._of.closed:
            return self._part
        written = self._of.statistics().frames_written - self._written
        self._part = min(self._seen / written, 1.0) if written > 0 else 1.0
        return self._part

    @property
    def is_open(self) -> bool:
        """Whether there is memory to look at."""
        return not self._ring.closed if isinstance(self._ring, Ring) else self._ring.has_memory

    @property
    def is_closed(self) -> bool:
        """Whether nothing will come any more; a ring of a pipeline gets memory again with the next run."""
        return isinstance(self._ring, Ring) and self._ring.closed

    @property
    def trouble(self) -> str:
        """Why there is nothing to see, in words."""
        if self.is_closed:
            return f"ring {self.name!r} is closed"
        return "waiting for events" if self.is_open else f"ring {self.name!r} has no data before a run begins"

    def newest(self) -> ObservedEvent | None:
        """The newest event; None when there is none that was not seen."""
        seen = self.unseen(_NEAR)
        if len(seen) == _NEAR and (newer := self._latest()) is not None:
            return newer
        return seen[-1] if seen else None

    def pass_over(self) -> None:
        """Take everything up to now for seen."""
        self._latest()

    def _latest(self) -> ObservedEvent | None:
        observer = self._opened()
        try:
            return observer.latest(timeout=0) if observer is not None else None
        except (WaitTimeoutError, EndOfDataError, ClosedError):
            return None

    def unseen(self, most: int) -> list[ObservedEvent]:
        """Up to so many events that were not seen, the oldest first; does not wait."""
        observer = self._opened()
        found: list[ObservedEvent] = []
        if observer is None:
            return []
        try:
            while len(found) < most:
                found.append(observer.read(timeout=0))
        except (WaitTimeoutError, EndOfDataError, ClosedError):
            pass
        self._seen += len(found)
        return found

    def close(self) -> None:
        """Look no more."""
        if self._observer is not None:
            self._observer.close()
        self._observer = self._of = None

    def _opened(self) -> Observer | None:
        if not self.is_open:
            return None
        ring = self._ring if isinstance(self._ring, Ring) else self._ring.memory()
        if self._of is not ring:
            self.close()
            self._observer, self._of = ring.observer(label="view"), ring
            self._seen, self._written = 0, ring.statistics().frames_written
        return self._observer

    # ------------------------------------------------------------------------ what the data mean

    def channels(self) -> list[str]:
        """Names of the rows of an event that is an array of numbers.

        Raises
        ------
        LayoutError
            Its events are no waveforms.
        """
        names = self.dtype.names
        if names and len(self.shape) == 1 and all(self.dtype[name].kind in "iufb" for name in names):
            return list(names)
        if names or self.dtype.kind not in "iufb" or len(self.shape) not in {1, 2}:
            raise LayoutError(
                f"ring {self.name!r} has events of {self.dtype} {self.shape}: waveforms are numbers of shape "
                "(samples,) or (channels, samples), or records of shape (samples,) with a field for each channel"
            )
        count = self.shape[0] if len(self.shape) == 2 else 1
        given = [str(name) for name in self.header.get("channels") or ()]
        return given if len(given) == count else [chr(ord("A") + n) if n < 26 else str(n) for n in range(count)]

    def channel(self, wanted: int | str) -> int:
        """The number of a channel by its name or number.

        Raises
        ------
        NotFoundError
            There is none.
        """
        names = self.channels()
        if isinstance(wanted, str) and wanted in names:
            return names.index(wanted)
        if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
            return wanted
        raise NotFoundError(f"ring {self.name!r} has no channel {wanted!r}; it has {', '.join(names)}")

    def field(self, wanted: str | None) -> str | None:
        """A field of the events; None for events without.

        Raises
        ------
        NotFoundError
            There is none of this name.
        """
        there = self.dtype.names or ()
        if (wanted is None and not there) or wanted in there:
            return wanted
        fields = ", ".join(there) or "none: leave the name out"
        raise NotFoundError(f"ring {self.name!r} has no field {wanted!r}; it has {fields}")

    def unit(self, field: str | None = None) -> str:
        """Of the numbers, with µ where letters of typewriters have a u; empty when it is not known."""
        units = self.header.get("units")
        unit = str((units or {}).get(field, "") if field is not None else self.header.get("unit", ""))
        return f"µ{unit[1:]}" if unit in _MICRO else unit

    @property
    def sample_interval_s(self) -> float | None:
        """Seconds between two samples; None when it is not known."""
        given = self.header.get("sample_interval_ns")
        return float(given) * 1e-9 if given else None

    @staticmethod
    def rows(event: ObservedEvent) -> Any:
        """The waveforms of an event, shape (channels, samples)."""
        data = event.data
        return np.stack([data[name] for name in data.dtype.names]) if data.dtype.names else np.atleast_2d(data)
