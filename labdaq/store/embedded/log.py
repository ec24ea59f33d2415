"""The log of a stream in an embedded store: a folder with an index and the segments of its bytes.

A batch is written in this order: its bytes, its record, the count of records. Whoever reads goes the other way.
So a writer may be killed anywhere: what was counted is whole, what was not never happened, and the next writer
writes over it. A loss of power may keep the count and lose the bytes; then, and only then, the CRCs of what was
not forced to the disk say what is left.
"""

import bisect
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from labdaq.errors import (
    ClosedError,
    DataError,
    IndexNoMoreThereError,
    LabdaqError,
    ResourceError,
    ScanNotFoundError,
)
from labdaq.native import disk
from labdaq.store.embedded.index import BOOT, COMMITTED, DELETED, FIRST, SEALED, SYNCED, Index, Record
from labdaq.store.embedded.segments import SegmentReader, remove_segments, segments_before
from labdaq.store.encoding import Batch, encoder_of, to_json_text
from labdaq.store.engine import Extent, StreamRecord

__all__ = ["EmbeddedLog", "create_log", "is_sound", "remove_log", "sound_count", "trim_log"]

INDEX = "index"
BOOT_NUMBER = disk.boot_number()


def create_log(folder: Path, stream: StreamRecord) -> None:
    """Make the log of a stream: an index and no points.

    Raises
    ------
    ResourceError
    """
    about = {"key": stream.key, "scan": stream.scan_key, "name": stream.name, "encoding": dict(stream.encoding)}
    info = dict(stream.info)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ResourceError.of(error, f"making the folder of stream {stream.name!r}") from error
    try:
        Index.create(
            folder / INDEX, {**about, "info": info} if len(to_json_text(info).encode()) < 2048 else about
        ).close()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ResourceError.of(error, f"making the files of stream {stream.name!r}") from error


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
    """Remove the segments that lie before a point, and give up the points in them; how many bytes that freed.

    Points that were read already stay readable.
    """
    try:
        index = Index(folder / INDEX, writable=True)
    except FileNotFoundError as error:
        raise ScanNotFoundError(f"the files of this stream are gone: {folder}") from error
    except OSError as error:
        raise ResourceError.of(error, f"trimming {folder}") from error
    try:
        count = sound_count(index, folder)
        kept = bisect.bisect_right(index.column("start", count), first) - 1
        if kept < 0:
            return 0
        batch, last = index.record(kept), index.record(count - 1)
        end = last.end if first >= last.stop else batch.offset
        doomed, kept_from = segments_before(folder, end, everything=end == last.end and index.words[SEALED] != 0)
        if not doomed:
            return 0
        at = bisect.bisect_left(index.column("offset", count), kept_from)
        point = index.record(at).start if at < count else last.stop
        index.words[FIRST] = max(point, index.words[FIRST])  # before they go
        return remove_segments(doomed)
    except OSError as error:
        raise ResourceError.of(error, f"trimming {folder}") from error
    finally:
        index.close()


def sound_count(index: Index, folder: Path) -> int:
    """How many records count, of which the bytes are there.

    Only what may have been lost with the power is looked at: what was written in an earlier start of the machine,
    not forced to the disk, and not trimmed.
    """
    count = index.words[COMMITTED]
    if index.words[BOOT] in {0, BOOT_NUMBER}:
        return count
    reader = SegmentReader(folder)
    try:
        number = min(index.words[SYNCED], count)
        first = index.words[FIRST]
        while number < count and (record := index.peek(number)) is not None:
            if record.start >= first and not is_sound(record, reader):
                break
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


class _Known(NamedTuple):
    """What the last record says of a stream."""

    nrecord: int
    length: int
    end: int


_NOTHING = Record(0, 0, 0, 0, 0, 0)


class EmbeddedLog:
    """See `labdaq.store.engine.Log`."""

    def __init__(self, folder: Path, stream: StreamRecord, lost_writer: Callable[[], str | None]) -> None:
        self.name = stream.name
        self._ask_lost = lost_writer
        self._folder = folder
        self._is_closed = False
        self._lock = threading.Lock()
        self._point_nbytes = encoder_of(stream.encoding).point_nbytes
        try:
            self._index = Index(folder / INDEX)
        except FileNotFoundError as error:
            raise ScanNotFoundError(f"the files of stream {stream.name!r} are gone: {folder}") from error
        except OSError as error:
            raise ResourceError.of(error, f"opening stream {stream.name!r}") from error
        self._reader = SegmentReader(folder)
        self._most: int | None = None  # records that are sound, where a loss of power may have spoiled some
        try:
            if self._index.words[BOOT] not in {0, BOOT_NUMBER}:
                self._most = sound_count(self._index, folder)
        except OSError as error:
            self.close()
            raise ResourceError.of(error, f"opening stream {stream.name!r}") from error
        except BaseException:
            self.close()
            raise
        self._known = _Known(0, 0, 0)

    def lost_writer(self) -> str | None:
        return self._ask_lost()

    def extent(self) -> Extent:
        try:
            return self._extent()
        except ValueError as error:  # of words that were released
            if not self._is_closed or isinstance(error, LabdaqError):
                raise
            raise ClosedError(f"the store of stream {self.name!r} was closed") from None
        except OSError as error:
            raise ResourceError.of(error, f"reading stream {self.name!r}") from error

    def _extent(self) -> Extent:
        words = self._index.words
        sealed = words[SEALED]  # before the count: a stream that is sealed has all its points
        first, count = words[FIRST], self._count()
        if words[DELETED]:
            raise ScanNotFoundError(f"stream {self.name!r} was deleted with its scan")
        length = self._look(count).length
        if self._most is not None:  # what was lost may be beyond what was trimmed, and before the end
            return Extent(min(first, length), length, sealed != 0)
        if first > length:
            raise DataError(f"{self._index.path} says that {first} points were removed, of {length}")
        return Extent(first, length, sealed == length + 1)

    def _look(self, count: int) -> "_Known":
        """What the last of so many records says; what another thread looks at meanwhile does not matter."""
        known = self._known
        if count != known.nrecord:
            with self._lock:
                self._check_open()
                last = self._index.record(count - 1) if count else _NOTHING
            self._known = known = _Known(count, last.stop, last.end)
        return known

    def _count(self) -> int:
        count = self._index.words[COMMITTED]
        if self._most is not None:
            if self._index.words[BOOT] == BOOT_NUMBER:
                self._most = None  # a writer has gone on from what was sound
                return self._index.words[COMMITTED]
            return min(count, self._most)
        return count

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the store of stream {self.name!r} was closed")

    def read(self, start: int, stop: int) -> Sequence[Batch]:
        with self._lock:
            self._check_open()
            self._check_there(start)
            try:
                if self._point_nbytes is not None:
                    return self._read_points(start, stop, self._point_nbytes)
                return self._read_batches(start, stop)
            except DataError:
                self._check_there(start)  # files that are being removed look damaged
                raise
            except OSError as error:
                raise ResourceError.of(error, f"reading stream {self.name!r}") from error

    def _check_there(self, start: int) -> None:
        if start < self._index.words[FIRST]:
            raise IndexNoMoreThereError(f"points of {self.name!r} were removed to make room")

    def _read_points(self, start: int, stop: int, nbytes: int) -> list[Batch]:
        """Points of one size need no index: they follow each other."""
        pieces = self._reader.read(start * nbytes, stop * nbytes, self._known.end)
        return [Batch(offset // nbytes, len(piece) // nbytes, piece) for offset, piece in pieces]

    def _read_batches(self, start: int, stop: int) -> list[Batch]:
        starts = self._index.column("start", self._count())
        begin = bisect.bisect_right(starts, start) - 1
        end = bisect.bisect_left(starts, stop)
        records = [self._index.record(number) for number in range(max(begin, 0), end)]
        if not records or records[0].start > start or records[-1].stop < stop:
            raise DataError(f"{self._index.path} is damaged: its records do not lead to the points from {start} on")
        batches: list[Batch] = []
        at = records[0].start
        for record in records:
            pieces = self._reader.read(record.offset, record.end, self._known.end)
            if len(pieces) != 1 or record.start != at:
                raise DataError(f"{self._index.path} is damaged: batches do not follow each other")
            batches.append(Batch(record.start, record.npoint, pieces[0][1]))
            at = record.stop
        return batches

    def journal(self, before_ns: int) -> int:
        """Index of the first point written after a time."""
        with self._lock:
            self._check_open()
            count = self._count()
            later = bisect.bisect_right(self._index.column("time_ns", count), before_ns)
            if later < count:
                return self._index.record(later).start
            return self._index.record(count - 1).stop if count else 0

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._index.close()
            self._reader.close()
