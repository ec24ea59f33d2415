"""The engine without a place: scans live as long as the process does. For tests and lessons."""

import contextlib
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labdaq.errors import (
    BusyError,
    ClosedError,
    IndexNoMoreThereError,
    NotFoundError,
    ScanNotFoundError,
    StateError,
)
from labdaq.store.encoding import Batch
from labdaq.store.engine import Extent, Log, ScanRecord, StreamRecord
from labdaq.store.identity import Query
from labdaq.store.keys import FIRST_TAG, tag_order
from labdaq.store.matching import matches
from labdaq.store.states import ScanState
from labdaq.store.statistics import StoreStatistics

__all__ = ["MemoryEngine", "memory_engine"]

_SHARED: dict[str, "_Memory"] = {}


class _Memory:
    """What is kept: one lock for all of it, and one condition to wait for anything."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.scans: dict[str, ScanRecord] = {}
        self.tags: dict[str, str] = {}  # by key, in the order in which they were made
        self.last_tag = FIRST_TAG
        self.streams: dict[str, StreamRecord] = {}
        self.logs: dict[str, _MemoryLog] = {}
        self.fields: dict[str, None] = {}


class _MemoryLog:
    """The batches of one stream."""

    def __init__(self, memory: _Memory, stream: StreamRecord) -> None:
        self.memory = memory
        self.key = stream.key
        self.name = stream.name
        self.starts: list[int] = []
        self.batches: list[Batch] = []
        self.times_ns: list[int] = []
        self.first = 0
        self.length = 0
        self.is_sealed = False
        self.writer: _MemoryWriter | None = None

    def extent(self) -> Extent:
        with self.memory.changed:
            if self.key not in self.memory.streams:
                raise ScanNotFoundError(f"stream {self.name!r} was deleted with its scan")
            return Extent(self.first, self.length, self.is_sealed)

    def read(self, start: int, stop: int) -> Sequence[Batch]:
        with self.memory.changed:
            if start < self.first:
                raise IndexNoMoreThereError(f"points before {self.first} of {self.name!r} were removed to make room")
            begin = bisect_right(self.starts, start) - 1
            end = bisect_right(self.starts, stop - 1)
            return self.batches[begin:end]

    def lost_writer(self) -> str | None:
        return None

    def close(self) -> None:
        pass


class _MemoryWriter:
    """Who may append to a log."""

    def __init__(self, log: _MemoryLog) -> None:
        self._log = log
        self.began_at = self.length = log.length

    def append(self, payload: Any, count: int) -> None:
        log, kept = self._log, bytes(payload)
        with log.memory.changed:
            if log.is_sealed or log.writer is not self:
                raise StateError(f"stream {log.name!r} was sealed, deleted or given up")
            log.starts.append(log.length)
            log.batches.append(Batch(log.length, count, kept))
            log.times_ns.append(time.time_ns())
            log.length += count
            self.length = log.length
            log.memory.changed.notify_all()

    def flush(self, timeout: float | None) -> None:
        pass

    def seal(self, timeout: float | None) -> int:
        log = self._log
        with log.memory.changed:
            if log.writer is self:
                log.is_sealed = True
                log.writer = None
                log.memory.changed.notify_all()
            elif not log.is_sealed:
                raise StateError(f"stream {log.name!r} was deleted or given up")
            return log.length

    def close(self) -> None:
        with self._log.memory.changed:
            if self._log.writer is self:
                self._log.writer = None


class MemoryEngine:
    """See `labdaq.store.engine.Engine`."""

    def __init__(self, memory: _Memory, url: str) -> None:
        self.url = url
        self._memory = memory
        self._is_closed = False
        self._writers: list[_MemoryWriter] = []

    def identity_fields(self, own: Sequence[str]) -> tuple[str, ...]:
        with self._memory.changed:
            self._memory.fields.update(dict.fromkeys(own))
            return tuple(self._memory.fields)

    # -------------------------------------------------------------------------------------- scans

    def add(self, record: ScanRecord) -> str:
        with self._open() as memory:
            tag = f"{record.created_ns // 1_000_000}-{tag_order(memory.last_tag)[1] + 1}"
            memory.scans[record.key] = record
            memory.tags[record.key] = memory.last_tag = tag
            memory.changed.notify_all()
            return tag

    def load(self, key: str) -> ScanRecord:
        with self._open() as memory:
            if key not in memory.scans:
                raise ScanNotFoundError(f"there is no scan {key} in {self.url}")
            return memory.scans[key]

    def find_stream(self, key: str) -> StreamRecord:
        with self._open() as memory:
            if key not in memory.streams:
                raise NotFoundError(f"there is no stream {key} in {self.url}")
            return memory.streams[key]

    def declare(self, stream: StreamRecord) -> None:
        with self._open() as memory:
            if stream.scan_key not in memory.scans:
                raise ScanNotFoundError(f"there is no scan {stream.scan_key} in {self.url}")
            memory.streams[stream.key] = stream
            memory.logs[stream.key] = _MemoryLog(memory, stream)

    def advance(self, record: ScanRecord, before: ScanState) -> None:
        with self._open() as memory:
            known = self.load(record.key)
            if known.state != before:
                raise StateError(f"scan {record.key} is {known.state.name}, not {before.name}: somebody else moved it")
            memory.scans[record.key] = record
            memory.changed.notify_all()

    def states(self, keys: Sequence[str]) -> dict[str, ScanState]:
        with self._open() as memory:
            return {key: memory.scans[key].state for key in keys if key in memory.scans}

    def last_tag(self) -> str:
        with self._open() as memory:
            return memory.last_tag

    def next_scan(self, since: str) -> tuple[str, str] | None:
        with self._open() as memory:
            later = ((tag, key) for key, tag in memory.tags.items() if tag_order(tag)[1] > tag_order(since)[1])
            return next(later, None)

    def last_scan(self) -> tuple[str, str] | None:
        with self._open() as memory:
            return next(((tag, key) for key, tag in reversed(memory.tags.items())), None)

    def search(self, query: Query) -> tuple[str, list[str]]:
        with self._open() as memory:
            found = [key for key in memory.tags if matches(memory.scans[key], query)]
            if query.newest_first:
                found.reverse()
            return memory.last_tag, found[: query.limit]

    def remove(self, key: str) -> None:
        with self._open() as memory:
            memory.scans.pop(key, None)
            memory.tags.pop(key, None)
            for stream in [s for s in memory.streams.values() if s.scan_key == key]:
                del memory.streams[stream.key]
                memory.logs.pop(stream.key).writer = None
            memory.changed.notify_all()

    # ------------------------------------------------------------------------------------ streams

    def open_log(self, stream: StreamRecord) -> Log:
        with self._open() as memory:
            return _log_of(memory, stream)

    def open_writer(self, stream: StreamRecord) -> _MemoryWriter:
        with self._open() as memory:
            log = _log_of(memory, stream)
            if log.is_sealed:
                raise StateError(f"stream {stream.name!r} is sealed: it takes no more points")
            if log.writer is not None:
                raise BusyError(f"stream {stream.name!r} is being written by somebody else of this process")
            log.writer = _MemoryWriter(log)
            self._writers.append(log.writer)
            return log.writer

    def lost_owner(self, scan_key: str) -> str | None:
        return None

    def extents(self, logs: Sequence[Log]) -> list[Extent]:
        return [log.extent() for log in logs]

    def trim(self, stream: StreamRecord, first: int) -> int:
        with self._open() as memory:
            log = _log_of(memory, stream)
            kept = bisect_right(log.starts, first) - 1 if first < log.length else len(log.starts)
            freed = sum(len(batch.payload) for batch in log.batches[: max(kept, 0)])
            if kept > 0:
                del log.starts[:kept], log.batches[:kept], log.times_ns[:kept]
                log.first = log.starts[0] if log.starts else log.length
                memory.changed.notify_all()
            return freed

    def usage(self) -> dict[str, int]:
        with self._open() as memory:
            return {key: sum(len(batch.payload) for batch in log.batches) for key, log in memory.logs.items()}

    def journal(self, stream: StreamRecord, before_ns: int) -> int:
        with self._open() as memory:
            log = _log_of(memory, stream)
            later = bisect_right(log.times_ns, before_ns)
            return log.starts[later] if later < len(log.starts) else log.length

    # --------------------------------------------------------------------------------------- life

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(sum(writer.length - writer.began_at for writer in self._writers))

    def wait(self, check: Callable[[], bool], keys: Sequence[str], timeout: float | None) -> bool:
        with self._memory.changed:
            self._memory.changed.wait_for(lambda: self._is_closed or check(), timeout)
            if self._is_closed:
                raise ClosedError("this store was closed")
            return check()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        with self._memory.changed:
            self._is_closed = True
            self._memory.changed.notify_all()

    @contextlib.contextmanager
    def _open(self) -> Iterator[_Memory]:
        with self._memory.changed:
            if self._is_closed:
                raise ClosedError("this store was closed")
            yield self._memory


def _log_of(memory: _Memory, stream: StreamRecord) -> _MemoryLog:
    if stream.key not in memory.logs:
        raise ScanNotFoundError(f"stream {stream.name!r} was deleted with its scan")
    return memory.logs[stream.key]


def memory_engine(name: str) -> MemoryEngine:
    """The engine of this process with a name, or one of its own when there is no name."""
    memory = _SHARED.setdefault(name, _Memory()) if name else _Memory()
    return MemoryEngine(memory, f"memory://{name}")
