"""What an object must have to be a source or a sink. Nothing has to be inherited.

The simplest ones need no class at all: a generator is a source, and any function of an event is a filter or a
sink. A class is for what has settings, a connection to open and close, or events in batches.

Beside what the protocols name, a source may have any of these, and they are used when they are there:

``dtype``, ``shape``
    Of one event: the ring is made to fit.
``header``
    JSON object that goes with the data: units, names of channels, ``sample_interval_ns``.
``open()``, ``close()``
    Called in the thread or process that reads it, before the first and after the last event of each run, however
    it ends. ``close`` puts a device into its safe state.
``interrupt()``
    Called from another thread when a run ends: makes an ``acquire`` that waits for its device return or raise.
``device``
    Name of the instrument, as text. It has one user at a time, in all processes of a user of the machine: a run takes
    it before ``open`` and gives it back after ``close``. A source that does so itself says it with ``locks_device``.
``losses()``
    Mapping of reason to the number of events that the device lost since ``open``: they enter the ledger.
``seed``
    What a simulation began with; it is kept with the run. A whole number says that the source, opened anew, gives
    the same events again: when its process was killed, those that are in the ring are passed over. If a parameter of
    it was changed meanwhile it would give others, and the run fails.
``skip(count)``
    Passes over so many events, quicker than to ask for them.
"""

from typing import Protocol, runtime_checkable

import numpy.typing as npt

from labdaq.roles.events import EventBatch, EventSlot

__all__ = ["BatchSource", "PushSource", "Put", "Sink", "Source"]


@runtime_checkable
class Source(Protocol):
    """Gives an event when it is asked."""

    def acquire(self, event: EventSlot) -> None:
        """Fill the next event; may wait for it.

        Raises
        ------
        EndOfDataError
            There are no more; `event` counts for nothing then.
        """


@runtime_checkable
class BatchSource(Protocol):
    """Gives several events at once: for sources of many thousand events per second."""

    def acquire_batch(self, events: EventBatch) -> int:
        """Fill the first ``n`` of the events, as many as are there, and return n; 0 while there are none yet.

        Raises
        ------
        EndOfDataError
            There are no more.
        """


class Put(Protocol):
    """How a push source hands over an event; may be called from any thread."""

    def __call__(
        self,
        record: npt.ArrayLike,
        *,
        counter: int | None = None,
        timestamp_ns: int | None = None,
        deadtime: float | None = None,
    ) -> bool:
        """Copy an event into the ring. False: it is not wanted any more, stop."""


@runtime_checkable
class PushSource(Protocol):
    """Calls when it has an event: a sound card, a network client, a driver with callbacks."""

    def start(self, put: Put) -> None:
        """Begin to call ``put`` with events; returns at once, or when there are no more."""

    def stop(self) -> None:
        """Return when ``put`` will not be called any more."""

    @property
    def finished(self) -> bool:
        """Whether there will be no more events, although nobody called `stop`."""


@runtime_checkable
class Sink(Protocol):
    """Keeps events. May have ``open(folder)`` and ``close()``, called around each run."""

    def write(self, events: EventBatch) -> None:
        """Keep a batch; what it shows is valid during the call only."""
