"""An event as sources fill it, and as filters and sinks read it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

__all__ = ["EventBatch", "EventSlot", "EventView"]


class EventSlot(Protocol):
    """Where a source puts one event: a place in a ring, reserved for it."""

    counter: int | None
    """Its number. None: the next one of the ring, without gaps."""
    timestamp_ns: int | None
    """When it happened, UTC. None: when it is handed over."""
    deadtime: float | None
    """Fraction of time, 0 to 1, in which another could not have been seen. None: what waiting and copying took."""

    @property
    def data(self) -> npt.NDArray[Any]:
        """Memory of the dtype and shape of one event, with old values in it."""


class EventView(Protocol):
    """One event being read; what it shows is read-only, and valid while the worker has it."""

    @property
    def data(self) -> npt.NDArray[Any]:
        """The record, or waveform."""

    @property
    def index(self) -> int:
        """Its number in the ring it was read from; gaps are frames that were never filled."""

    @property
    def counter(self) -> int:
        """The number its first producer gave it."""

    @property
    def timestamp_ns(self) -> int:
        """When it happened, UTC."""

    @property
    def deadtime(self) -> float:
        """Fraction of time, 0 to 1, in which its producer could not have seen another."""


class EventBatch(Protocol):
    """Some events, read or written together."""

    @property
    def data(self) -> npt.NDArray[Any]:
        """Shape ``(n, *shape of one event)``."""

    @property
    def planes(self) -> Mapping[str, npt.NDArray[Any]]:
        """``counter``, ``timestamp_ns``, ``deadtime`` and more, each of shape ``(n,)`` or ``(n, …)``."""

    def __len__(self) -> int:
        """How many they are."""
