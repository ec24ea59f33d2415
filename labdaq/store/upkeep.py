"""Looking after an embedded store: finding damage, repairing what a crash left."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labdaq.errors import DataError, LabdaqError, LayoutError, StateError
from labdaq.store.embedded.engine import EmbeddedEngine
from labdaq.store.embedded.index import COMMITTED, FIRST, SEALED, Index
from labdaq.store.embedded.log import INDEX, is_sound
from labdaq.store.embedded.segments import SegmentReader
from labdaq.store.encoding import encoder_of
from labdaq.store.engine import ScanRecord, StreamRecord
from labdaq.store.identity import IdentityModel
from labdaq.store.keys import check_key, created_ns, ulid_of
from labdaq.store.states import ScanState
from labdaq.store.store import DataStore

__all__ = ["RepairReport", "StreamReport", "repair", "set_aside_catalogue", "verify"]


@dataclass(frozen=True)
class StreamReport:
    """What `verify` found in one stream."""

    key: str
    name: str
    npoint: int
    nbytes: int
    is_sealed: bool
    problems: tuple[str, ...] = ()
    """Empty when every batch is as it was written."""


def verify(store: DataStore) -> Iterator[StreamReport]:
    """Read everything in an embedded store, and compare it with its check sums.

    Yields
    ------
    StreamReport
        Of every stream, while it goes on.
    """
    engine = _embedded(store)
    for stream in engine.catalogue.streams():
        yield _verify_stream(engine.folder_of(stream.key), stream)


def _verify_stream(folder: Path, stream: StreamRecord) -> StreamReport:
    try:
        index = Index(folder / INDEX)
    except (OSError, DataError) as error:
        return StreamReport(stream.key, stream.name, 0, 0, False, (f"its index cannot be read: {error}",))
    reader = SegmentReader(folder)
    try:
        count = index.words[COMMITTED]
        npoint = nbytes = 0
        problems = []
        for number in range(count):
            try:
                record = index.record(number)
            except DataError as error:
                problems.append(str(error))
                break
            if record.start != npoint or record.offset != nbytes:
                problems.append(f"record {number} begins at {record.start}, the one before ends at {npoint}")
            if record.start >= index.words[FIRST] and not is_sound(record, reader):
                problems.append(f"points {record.start} to {record.stop - 1} are not what was written")
            npoint, nbytes = record.stop, record.end
        return StreamReport(stream.key, stream.name, npoint, nbytes, index.words[SEALED] != 0, tuple(problems))
    finally:
        reader.close()
        index.close()


@dataclass
class RepairReport:
    """What `repair` did, in words."""

    actions: list[str] = field(default_factory=list)


def repair(store: DataStore) -> RepairReport:
    """Put an embedded store right after a crash: nothing that can be read is lost.

    - A stream with damage ends before the first batch that is not whole.
    - Streams that nobody writes any more, in scans that nobody drives any more, are sealed; these scans are closed,
      with ``end_reason`` in their info.
    - Files of streams that no scan knows get a scan of their own, named ``recovered``; empty ones are removed.

    What living processes write is left alone.
    """
    engine = _embedded(store)
    report = RepairReport()
    for stream in engine.catalogue.streams():
        _cut(engine, stream, report)
    for key, owner in engine.catalogue.owners():
        if not engine.is_driven(owner):
            _close(engine, key, report)
    known = {ulid_of(stream.key) for stream in engine.catalogue.streams()}
    strangers = [path for path in sorted((engine.folder / "streams").iterdir()) if path.name not in known]
    for scan_key in sorted({_adopt(engine, folder, report) or "" for folder in strangers} - {""}):
        if engine.load(scan_key).state != ScanState.CLOSED:
            _close(engine, scan_key, report)
    return report


def set_aside_catalogue(folder: str | os.PathLike[str]) -> Path:
    """Rename a catalogue that is beyond reading: a new one is made, and `repair` fills it from the streams' files.

    What was said about scans is lost with it.
    """
    damaged = Path(folder) / "catalogue.db"
    aside = damaged.with_name(f"catalogue.db.damaged-{time.time_ns()}")
    damaged.rename(aside)
    for journal in ("catalogue.db-wal", "catalogue.db-shm"):
        damaged.with_name(journal).unlink(missing_ok=True)
    return aside


def _cut(engine: EmbeddedEngine, stream: StreamRecord, report: RepairReport) -> None:
    """End a stream before the first batch that is damaged, unless somebody writes it."""
    folder = engine.folder_of(stream.key)
    found = _verify_stream(folder, stream)
    if not found.problems or engine.is_written(stream.key):
        return
    try:
        index = Index(folder / INDEX, writable=True)
    except (OSError, DataError):
        report.actions.append(f"stream {stream.name!r} ({stream.key}) is beyond repair: its index is gone")
        return
    reader = SegmentReader(folder)
    try:
        count, good = index.words[COMMITTED], 0
        length = end = 0
        while good < count:
            record = index.peek(good)
            if record is None or record.start != length or record.offset != end:
                break
            if record.start >= index.words[FIRST] and not is_sound(record, reader):
                break
            good, length, end = good + 1, record.stop, record.end
        index.words[COMMITTED] = good
        if index.words[SEALED]:
            index.words[SEALED] = length + 1
        report.actions.append(f"stream {stream.name!r} ({stream.key}) ends after {length} points: {found.problems[0]}")
    finally:
        reader.close()
        index.close()


def _close(engine: EmbeddedEngine, key: str, report: RepairReport) -> None:
    """Seal the streams of a scan that nobody drives, and close it."""
    record = engine.load(key)
    streams = tuple(stream for stream in engine.catalogue.streams() if stream.scan_key == key)
    if any(engine.is_written(stream.key) for stream in streams):
        return
    for stream in streams:
        try:
            engine.open_writer(stream).seal(None)
        except StateError:
            continue  # sealed already
        except LabdaqError as error:
            report.actions.append(f"stream {stream.name!r} ({stream.key}) was not sealed: {error}")
    info = {**record.info, "end_reason": "its process died; closed by labdaq store repair"}
    closed = ScanRecord(key, record.created_ns, record.identity, info, ScanState.CLOSED, streams)
    engine.advance(closed, record.state)
    report.actions.append(f"scan {record.identity['name']!r} ({key}) was {record.state.name}: now closed")


def _adopt(engine: EmbeddedEngine, folder: Path, report: RepairReport) -> str | None:
    """Note the files of a stream that no scan knows under the scan that they name; its key."""
    try:
        index = Index(folder / INDEX)
    except (OSError, DataError):
        shutil.rmtree(folder, ignore_errors=True)
        report.actions.append(f"removed {folder}: it held no stream")
        return None
    try:
        described, is_empty = index.describe(), index.words[COMMITTED] == 0
        key, scan_key = check_key(described["key"], "stream"), check_key(described["scan"], "scan")
        info = dict(described.get("info", {}))
        stream = StreamRecord(key, scan_key, str(described["name"]), dict(described["encoding"]), info)
        encoder_of(stream.encoding)
    except (KeyError, TypeError, ValueError) as error:
        report.actions.append(f"{folder} does not say what it holds ({error}): left alone")
        return None
    finally:
        index.close()
    if is_empty or ulid_of(key) != folder.name:
        shutil.rmtree(folder, ignore_errors=True)
        report.actions.append(f"removed {folder}: its stream {stream.name!r} had no points")
        return None
    _note(engine, stream)
    report.actions.append(f"stream {stream.name!r} ({key}) was known to no scan: now to {scan_key}")
    return scan_key


def _note(engine: EmbeddedEngine, stream: StreamRecord) -> None:
    """Put a stream into the catalogue, and its scan, if that is not there."""
    if not engine.states([stream.scan_key]):
        identity = IdentityModel().checked({"name": "recovered", "number": 0, "data_policy": "unknown"})
        engine.add(ScanRecord(stream.scan_key, created_ns(stream.scan_key), identity))
    engine.catalogue.declare(stream)


def _embedded(store: DataStore) -> EmbeddedEngine:
    if not isinstance(store.engine, EmbeddedEngine):
        raise LayoutError(f"{store.url} keeps no files here: only embedded stores are verified and repaired")
    return store.engine
