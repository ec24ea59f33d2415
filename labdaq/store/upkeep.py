"""Looking after an embedded store: finding damage, repairing what a crash left."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labdaq.errors import DataError, LabdaqError, LayoutError, NotFoundError, StateError
from labdaq.store.embedded.engine import EmbeddedEngine
from labdaq.store.embedded.index import COMMITTED, FIRST, SEALED, Index
from labdaq.store.embedded.log import INDEX, is_sound
from labdaq.store.embedded.segments import SegmentReader, segments_of
from labdaq.store.encoding import encoder_of
from labdaq.store.engine import ScanRecord, StreamRecord
from labdaq.store.identity import IdentityModel
from labdaq.store.keys import check_key, created_ns, ulid_of
from labdaq.store.states import ScanState
from labdaq.store.store import DataStore

__all__ = ["RepairReport", "StreamReport", "open_damaged", "repair", "verify"]


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
    """Put an embedded store right after a crash.

    - A stream with damage ends before the first batch that is not whole. What lies behind stays in its files.
    - Streams that nobody writes any more, in scans that nobody drives any more, are sealed; these scans are closed,
      with ``end_reason`` in their info.
    - Files of streams that no scan knows are noted under the scan that they name; if that is gone, too, it is made
      again under the name ``recovered``. Only what has no points is removed.

    What living processes write is left alone, and so is what cannot be read: the report says why.
    """
    engine = _embedded(store)
    report = RepairReport()
    for stream in engine.catalogue.streams():
        with _noted(report, f"stream {stream.name!r} ({stream.key})"):
            _cut(engine, stream, report)
    for key, owner in engine.catalogue.owners():
        with _noted(report, f"scan {key}"):
            if not engine.is_driven(owner):
                _close(engine, key, report)
    found = sorted((engine.folder / "streams").iterdir())  # before the catalogue is asked: new ones are in both
    known = {ulid_of(stream.key) for stream in engine.catalogue.streams()}
    adopted = set()
    for folder in found:
        if folder.name not in known:
            with _noted(report, str(folder)):
                adopted.add(_adopt(engine, folder, report))
    for scan_key in sorted(adopted - {""}):
        with _noted(report, f"scan {scan_key}"):
            if engine.load(scan_key).state != ScanState.CLOSED:
                _close(engine, scan_key, report)
    return report


@contextlib.contextmanager
def _noted(report: RepairReport, what: str) -> Iterator[None]:
    """Whatever is wrong with one thing keeps nobody from looking at the next."""
    try:
        yield
    except (LabdaqError, OSError) as error:
        report.actions.append(f"{what} was left alone: {error}")


def open_damaged(folder: str | os.PathLike[str]) -> tuple[DataStore, Path | None]:
    """Open a store, with a new catalogue if the old one is beyond reading; and where the old one is then.

    `repair` fills the new one from the files of the streams. What was said about scans is in the old one, which
    stays as it is.

    Raises
    ------
    ResourceError
        It can be read, but not by this version, or the system refuses.
    """
    try:
        return DataStore(folder), None
    except DataError:
        aside = _set_aside(Path(folder) / "catalogue.db")
        return DataStore(folder), aside


def _set_aside(catalogue: Path) -> Path:
    """Rename a catalogue together with its journals, which belong to it."""
    aside = catalogue.with_name(f"catalogue.db.damaged-{time.time_ns()}")
    catalogue.rename(aside)
    for journal in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            catalogue.with_name(catalogue.name + journal).rename(aside.with_name(aside.name + journal))
    return aside


def _cut(engine: EmbeddedEngine, stream: StreamRecord, report: RepairReport) -> None:
    """End a stream before the first batch that is damaged, unless somebody writes it."""
    folder = engine.folder_of(stream.key)
    found = _verify_stream(folder, stream)
    if not found.problems or engine.is_written(stream.key):
        return
    index = Index(folder / INDEX, writable=True)
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


def _adopt(engine: EmbeddedEngine, folder: Path, report: RepairReport) -> str:
    """Note the files of a stream that no scan knows under the scan that they name; its key, or nothing."""
    stream, npoint = _described(folder)
    nbytes = sum(path.stat().st_size for _offset, path in segments_of(folder))
    if stream is None or (npoint == 0 and nbytes == 0):
        if nbytes:
            report.actions.append(f"{folder} does not say what its {nbytes} bytes are: left alone")
        elif engine.catalogue.unless_known(f"labdaq:stream:{folder.name}", lambda: shutil.rmtree(folder)):
            report.actions.append(f"removed {folder}: it held no points")
        return ""
    if ulid_of(stream.key) != folder.name:
        report.actions.append(f"{folder} holds the stream {stream.key}: left alone, rename the folder")
        return ""
    if _is_known(engine, stream):  # it was just being made: its points come after it is entered
        return ""
    if not engine.states([stream.scan_key]):
        identity = IdentityModel().checked({"name": "recovered", "number": 0, "data_policy": "unknown"})
        engine.add(ScanRecord(stream.scan_key, created_ns(stream.scan_key), identity))
    engine.catalogue.declare(stream)
    report.actions.append(f"stream {stream.name!r} ({stream.key}) was known to no scan: now to {stream.scan_key}")
    return stream.scan_key


def _is_known(engine: EmbeddedEngine, stream: StreamRecord) -> bool:
    try:
        engine.find_stream(stream.key)
    except NotFoundError:
        return False
    return True


def _described(folder: Path) -> tuple[StreamRecord | None, int]:
    """What a folder says that it holds, and how many batches; nothing when it does not say so.

    Raises
    ------
    OSError
        The system does not let one look.
    """
    try:
        index = Index(folder / INDEX)
    except (FileNotFoundError, DataError):
        return None, 0
    try:
        told = index.describe()
        key, scan_key = check_key(told["key"], "stream"), check_key(told["scan"], "scan")
        record = StreamRecord(key, scan_key, str(told["name"]), dict(told["encoding"]), dict(told.get("info", {})))
        encoder_of(record.encoding)
        return record, index.words[COMMITTED]
    except (KeyError, TypeError, ValueError):
        return None, 0
    finally:
        index.close()


def _embedded(store: DataStore) -> EmbeddedEngine:
    if not isinstance(store.engine, EmbeddedEngine):
        raise LayoutError(f"{store.url} keeps no files here: only embedded stores are verified and repaired")
    return store.engine
