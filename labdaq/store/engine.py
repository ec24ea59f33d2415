"""What a store asks of the engine that keeps it.

An engine keeps two things. The *catalogue*: scans with their identity, info, state and streams, in the order
in which they were made. And *logs*: per stream, batches of bytes that are only ever appended, by one writer at
a time. What indices, cursors and states mean is decided above, once for all engines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from labdaq.store.encoding import Batch
from labdaq.store.identity import Identity, Query
from labdaq.store.states import ScanState
from labdaq.store.statistics import StoreStatistics

__all__ = ["CATALOGUE", "Engine", "Extent", "Log", "LogWriter", "ScanRecord", "StreamRecord"]

CATALOGUE = "catalogue"  # to wait for, instead of the key of a scan or a stream


@dataclass(frozen=True)
class StreamRecord:
    """What the catalogue knows of a stream."""

    key: str
    scan_key: str
    name: str
    encoding: Mapping[str, Any]
    info: Mapping[str, Any]


@dataclass(frozen=True)
class ScanRecord:
    """What the catalogue knows of a scan."""

    key: str
    created_ns: int
    identity: Identity
    info: Mapping[str, Any] = field(default_factory=dict)
    state: ScanState = ScanState.CREATED
    streams: tuple[StreamRecord, ...] = ()


class Extent(NamedTuple):
    """Which points of a stream there are, at one moment."""

    first: int
    """Index of the oldest that was not trimmed."""
    length: int
    """How many were ever written."""
    is_sealed: bool
    """No more will come."""


class Log(Protocol):
    """A stream to be read. Any number of threads may."""

    def extent(self) -> Extent:
        """What there is now. Raises ScanNotFoundError when the stream was deleted."""

    def read(self, start: int, stop: int) -> Sequence[Batch]:
        """Batches in order that hold the points from start to stop, all within the extent.

        Raises
        ------
        IndexNoMoreThereError
            Some of them were trimmed meanwhile.
        DataError
            They are damaged.
        """

    def lost_writer(self) -> str | None:
        """Who wrote here and died without having sealed; None when there is nobody like that."""

    def close(self) -> None:
        """Let go of files and memory."""


class LogWriter(Protocol):
    """The one who may append to a stream. Used under a lock by the stream."""

    length: int
    """How many points were written, those included that are still on their way."""

    def append(self, payload: Any, count: int) -> None:
        """Add a batch. It may still be on its way when this returns: see `flush`.

        Raises
        ------
        ResourceError
            The system refused; the batch is not there, and the stream is as before.
        BusyError, StateError, ScanNotFoundError
            Somebody else took the stream over, sealed it, or deleted its scan.
        """

    def flush(self, timeout: float | None) -> None:
        """Wait until every batch is acknowledged.

        Raises
        ------
        WaitTimeoutError, ResourceError
            They are not, and why.
        """

    def seal(self, timeout: float | None) -> int:
        """No more points will come; how many there are. Gives the stream up."""

    def close(self) -> None:
        """Give the stream up without sealing it."""


class Engine(Protocol):
    """A place where scans are kept. Any number of threads may use it.

    Every method raises ResourceError when the place cannot be reached or refuses.
    """

    url: str

    def identity_fields(self, own: Sequence[str]) -> tuple[str, ...]:
        """Remember identity fields; all that were ever remembered."""

    def add(self, record: ScanRecord) -> str:
        """Keep a new scan; its time tag."""

    def load(self, key: str) -> ScanRecord:
        """Raises ScanNotFoundError."""

    def find_stream(self, key: str) -> StreamRecord:
        """The stream with a key, which may be declared but not announced yet. Raises NotFoundError."""

    def declare(self, stream: StreamRecord) -> None:
        """Keep a stream, which others may open by its key from now on."""

    def advance(self, record: ScanRecord, before: ScanState) -> None:
        """Replace state, info and streams, all or nothing.

        Raises
        ------
        StateError
            The scan is not in the state `before`.
        """

    def states(self, keys: Sequence[str]) -> dict[str, ScanState]:
        """The states of those scans that exist."""

    def last_tag(self) -> str:
        """Time tag of the newest scan ever made, ``0-0`` before the first."""

    def next_scan(self, since: str) -> tuple[str, str] | None:
        """Time tag and key of the first scan after a time tag which was not deleted."""

    def last_scan(self) -> tuple[str, str] | None:
        """Time tag and key of the newest scan which was not deleted."""

    def search(self, query: Query) -> tuple[str, list[str]]:
        """The last time tag, and the keys of the scans that match; of one moment."""

    def remove(self, key: str) -> None:
        """Remove a scan and all its streams. Those who read them get ScanNotFoundError."""

    def open_log(self, stream: StreamRecord) -> Log:
        """A stream, to be read."""

    def open_writer(self, stream: StreamRecord) -> LogWriter:
        """A stream, to be written: behind its last point.

        Raises
        ------
        BusyError
            Somebody else writes it.
        StateError
            It is sealed.
        """

    def lost_owner(self, scan_key: str) -> str | None:
        """Who was to drive a scan and died; None when there is nobody like that, or nobody can tell."""

    def extents(self, logs: Sequence[Log]) -> list[Extent]:
        """The extents of several logs, all of this engine."""

    def wait(self, check: Callable[[], bool], keys: Sequence[str], timeout: float | None) -> bool:
        """Wait until `check` is true, which is looked at whenever one of the keys may have changed.

        Raises
        ------
        ClosedError
            The engine was closed meanwhile.
        """

    def trim(self, stream: StreamRecord, first: int) -> int:
        """Forget points before an index, as far as that frees anything; how many bytes that were."""

    def usage(self) -> dict[str, int]:
        """Bytes of the points of each stream, by its key."""

    def journal(self, stream: StreamRecord, before_ns: int) -> int:
        """Index of the first point written after a time (UTC)."""

    def statistics(self) -> StoreStatistics:
        """What became of the points that were sent through this engine."""

    def close(self) -> None:
        """Let go of everything: writers are closed, those who wait get ClosedError."""
