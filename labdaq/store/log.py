"""The log of a stream in an embedded store: a folder with an index and the segments of its bytes.

A batch is written in this order: its bytes, its record, the count of records. Whoever reads goes the other way.
So a writer may be killed anywhere: what was counted is whole, what was not never happened, and the next writer
writes over it. A loss of power may keep the count and lose the bytes; then, and only then, the CRCs of what was
not forced to the disk say what is left.
"""

import bisect
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns
from typing import Any
from zlib import crc32

from labdaq.errors import (
    BusyError,
    DataError,
    IndexNoMoreThereError,
    LayoutError,
    ResourceError,
    ScanNotFoundError,
    StateError,
)
from labdaq.native import disk
from labdaq.store.bell import Bell
from labdaq.store.encoding import Batch, encoder_of
from labdaq.store.engine import Extent, StreamRecord
from labdaq.store.index import BOOT, COMMITTED, DELETED, FIRST, SEALED, SYNCED, Index, Record
from labdaq.store.segments import SegmentReader, SegmentWriter, remove_segments

__all__ = ["EmbeddedLog", "EmbeddedWriter", "create_log", "remove_log", "trim_log"]

INDEX = "index"
_MOST_NBYTES = 2**30  # of one batch
BOOT_NUMBER = disk.boot_number()
_forks = object()  # another one in a forked child: what its parent writes is not its own


def _note_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def create_log(folder: Path, stream: StreamRecord) -> None:
    """Make the log of a stream: an index and no points.

    Raises
    ------
    ResourceError
    """
    description = {"key": stream.key, "scan": stream.scan_key, "name": stream.name, "encoding": stream.encoding}
    try:
        folder.mkdir(mode=0o700, parents=True)
        Index.create(folder / INDEX, description).close()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise refusal(error, f"making the files of stream {stream.name!r}") from error


def remove_log(folder: Path) -> None:
    """Delete a log; those who have it open are told."""
    try:
        index = Index(folder / INDEX, writable=True)
    except (OSError, DataError):
        pass
    else:
        index.words[DELETED] = 1
        index.close()
    shutil.rmtree(folder, ignore_errors=True)


def trim_log(folder: Path, first: int) -> int:
    """Give up the batches before the one with a point, and remove the segments which that leaves without use.

    Returns how many bytes were freed. Points that were read already stay readable.
    """
    try:
        index = Index(folder / INDEX, writable=True)
    except OSError as error:
        raise refusal(error, f"trimming {folder}") from error
    try:
        count = index.words[COMMITTED]
        kept = bisect.bisect_right(index.column("start", count), first) - 1
        if kept < 0:
            return 0
        batch, last = index.record(kept), index.record(count - 1)
        point, offset = (last.stop, last.end) if first >= last.stop else (batch.start, batch.offset)
        index.words[FIRST] = max(point, index.words[FIRST])
        return remove_segments(folder, offset, everything=bool(index.words[SEALED]) and point == last.stop)
    except OSError as error:
        raise refusal(error, f"trimming {folder}") from error
    finally:
        index.close()


def sound_count(index: Index, folder: Path) -> int:
    """How many records count, of which the bytes are there.

    Only what may have been lost with the power is looked at: what was written in an earlier start of the machine
    and not forced to the disk.
    """
    count = index.words[COMMITTED]
    if index.words[BOOT] in {0, BOOT_NUMBER}:
        return count
    reader = SegmentReader(folder)
    try:
        number = min(index.words[SYNCED], count)
        while number < count and is_sound(index.peek(number), reader):
            number += 1
        return number
    finally:
        reader.close()


def is_sound(record: Record | None, reader: SegmentReader) -> bool:
    """Whether the bytes of a batch are those which were written."""
    if record is None:
        return False
    try:
        crc = 0
        for _offset, piece in reader.read(record.offset, record.end):
            crc = crc32(piece, crc)
    except (DataError, IndexNoMoreThereError):
        return False
    return crc == record.payload_crc


class EmbeddedLog:
    """See `labdaq.store.engine.Log`."""

    def __init__(self, folder: Path, stream: StreamRecord, lost_writer: Callable[[], str | None]) -> None:
        self.name = stream.name
        self.lost_writer = lost_writer  # type: ignore[method-assign]
        self._folder = folder
        self._lock = threading.Lock()
        self._point_nbytes = encoder_of(stream.encoding).point_nbytes
        try:
            self._index = Index(folder / INDEX)
        except FileNotFoundError as error:
            raise ScanNotFoundError(f"the files of stream {stream.name!r} are gone: {folder}") from error
        except OSError as error:
            raise refusal(error, f"opening stream {stream.name!r}") from error
        self._reader = SegmentReader(folder)
        self._most: int | None = None  # records that are sound, where a loss of power may have spoiled some
        if self._index.words[BOOT] not in {0, BOOT_NUMBER}:
            self._most = sound_count(self._index, folder)
        self._seen, self._length = 0, 0

    def lost_writer(self) -> str | None:
        raise NotImplementedError

    def extent(self) -> Extent:
        words = self._index.words
        sealed = words[SEALED]  # before the count: a stream that is sealed has all its points
        first, count = words[FIRST], self._count()
        if words[DELETED]:
            raise ScanNotFoundError(f"stream {self.name!r} was deleted with its scan")
        if count != self._seen:
            with self._lock:
                self._length = self._index.record(count - 1).stop
                self._seen = count
        return Extent(first, self._length, sealed == self._length + 1)

    def _count(self) -> int:
        count = self._index.words[COMMITTED]
        if self._most is not None:
            if self._index.words[BOOT] == BOOT_NUMBER:
                self._most = None  # a writer has gone on from what was sound
                return self._index.words[COMMITTED]
            return min(count, self._most)
        return count

    def read(self, start: int, stop: int) -> Sequence[Batch]:
        with self._lock:
            if start < self._index.words[FIRST]:
                raise IndexNoMoreThereError(f"points of {self.name!r} were removed to make room")
            try:
                if self._point_nbytes is not None:
                    return self._read_points(start, stop, self._point_nbytes)
                return self._read_batches(start, stop)
            except OSError as error:
                raise refusal(error, f"reading stream {self.name!r}") from error

    def _read_points(self, start: int, stop: int, nbytes: int) -> list[Batch]:
        """Points of one size need no index: they follow each other."""
        pieces = self._reader.read(start * nbytes, stop * nbytes)
        return [Batch(offset // nbytes, len(piece) // nbytes, piece) for offset, piece in pieces]

    def _read_batches(self, start: int, stop: int) -> list[Batch]:
        starts = self._index.column("start", self._seen)
        begin = bisect.bisect_right(starts, start) - 1
        end = bisect.bisect_left(starts, stop)
        records = [self._index.record(number) for number in range(begin, end)]
        pieces = [piece for record in records for _offset, piece in self._reader.read(record.offset, record.end)]
        return [Batch(r.start, r.npoint, piece) for r, piece in zip(records, pieces, strict=True)]

    def journal(self, before_ns: int) -> int:
        """Index of the first point written after a time."""
        with self._lock:
            count = self._count()
            later = bisect.bisect_right(self._index.column("time_ns", count), before_ns)
            if later < count:
                return self._index.record(later).start
            return self._index.record(count - 1).stop if count else 0

    def close(self) -> None:
        with self._lock:
            self._index.close()
            self._reader.close()


class EmbeddedWriter:
    """See `labdaq.store.engine.LogWriter`.

    Parameters
    ----------
    sync_s
        How often points are forced to the disk; 0: each time, None: never.
    release
        What to do when the stream is given up.
    """

    def __init__(self, folder: Path, name: str, bell: Bell, sync_s: float | None, release: Callable[[], None]) -> None:
        self._name = name
        self._bell = bell
        self._sync_s = sync_s
        self._release = release
        self._error: ResourceError | None = None
        self._is_open = True
        self._forks = _forks
        self._syncing = threading.Lock()
        try:
            self._index = Index(folder / INDEX, writable=True)
            self._resume(folder)
        except OSError as error:
            raise refusal(error, f"opening stream {name!r}") from error

    def _resume(self, folder: Path) -> None:
        """Go on behind what is sound; forget the rest, which nobody was promised."""
        words = self._index.words
        if words[SEALED]:
            self._index.close()
            raise StateError(f"stream {self._name!r} is sealed: it takes no more points")
        count = sound_count(self._index, folder)
        last = self._index.record(count - 1) if count else Record(0, 0, 0, 0, 0, 0)
        self.length, self._offset = last.stop, last.end
        self._segments = SegmentWriter(folder, self._offset)
        words[COMMITTED] = count
        words[BOOT] = BOOT_NUMBER

    def append(self, payload: Any, count: int) -> None:
        if not self._is_open or self._error is not None or _forks is not self._forks:
            self._refuse()
        nbytes = len(payload)
        if nbytes > _MOST_NBYTES:
            raise LayoutError(f"a batch of {nbytes} bytes is too large: send less than 1 GiB at once")
        offset = self._offset
        try:
            self._segments.append(payload, nbytes, offset)
            self._index.append(self.length, offset, time_ns(), count, nbytes, crc32(payload))
        except OSError as error:
            raise refusal(error, f"writing to stream {self._name!r} after {self.length} points") from error
        self.length += count
        self._offset = offset + nbytes
        if self._sync_s == 0:
            self.sync()
            self._raise_error()
        self._bell.ring()

    def _refuse(self) -> None:
        if _forks is not self._forks:
            raise BusyError(f"stream {self._name!r} is written by the process which this one was forked from")
        if not self._is_open:
            raise StateError(f"stream {self._name!r} was sealed or given up here")
        self._raise_error()

    def _raise_error(self) -> None:
        """Say once what the system refused while nobody asked; then go on trying."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def sync(self) -> None:
        """Force everything to the disk; what is refused is raised by the next call of the writer."""
        with self._syncing:
            if not self._is_open:
                return
            words = self._index.words
            count = words[COMMITTED]
            if count == words[SYNCED]:
                return
            try:
                self._segments.sync()
                self._index.sync()
                words[SYNCED] = count
            except OSError as error:
                self._error = refusal(error, f"forcing stream {self._name!r} to the disk")

    def flush(self, timeout: float | None) -> None:
        if self._sync_s is not None:
            self.sync()
        self._raise_error()

    def seal(self, timeout: float | None) -> int:
        if not self._is_open:
            return self.length
        self.flush(timeout)
        self._index.words[SEALED] = self.length + 1
        self._is_sealed_on_disk()
        self.close()
        return self.length

    def _is_sealed_on_disk(self) -> None:
        if self._sync_s is not None:
            try:
                self._index.sync()
            except OSError as error:
                self._index.words[SEALED] = 0
                raise refusal(error, f"sealing stream {self._name!r}") from error

    def close(self) -> None:
        if not self._is_open:
            return
        if self._sync_s is not None:
            self.sync()
        with self._syncing:
            self._is_open = False
            self._segments.close()
            self._index.close()
        self._release()
        self._bell.ring()


def refusal(error: OSError, doing: str) -> ResourceError:
    """What the system said, as an error of ours."""
    return ResourceError(error.errno, f"{doing} failed: {error.strerror or error}")
