"""The embedded engine: a folder on this machine, used by any number of its processes, without a server.

========================  ==================================================================
``catalogue.db``          what is known of scans and streams (SQLite)
``streams/ULID/``         the points of a stream: an index and segments of bytes
``bell``                  by which those who wait are woken
========================  ==================================================================

Folder and files are for their owner only.
"""

import contextlib
import json
import os
import platform
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from labdaq.errors import BusyError, ClosedError, DataError, LayoutError, NotFoundError, ResourceError
from labdaq.native.process import Identity, is_alive, this_process
from labdaq.store.embedded.bell import Bell
from labdaq.store.embedded.catalogue import Catalogue
from labdaq.store.embedded.log import EmbeddedLog, create_log, remove_log, trim_log
from labdaq.store.embedded.log_writer import EmbeddedWriter
from labdaq.store.embedded.segments import segments_of
from labdaq.store.engine import Extent, Log, ScanRecord, StreamRecord
from labdaq.store.identity import Query
from labdaq.store.keys import check_key, ulid_of
from labdaq.store.states import ScanState
from labdaq.store.statistics import StoreStatistics

__all__ = ["EmbeddedEngine"]


class EmbeddedEngine:
    """See `labdaq.store.engine.Engine`.

    Parameters
    ----------
    path
        The folder, which is made if it is not there.
    sync_s
        How often points are forced to the disk; 0: each time, None: never.
    must_exist
        Make no store where there is none.
    """

    def __init__(self, path: str, *, sync_s: float | None = 1.0, must_exist: bool = False) -> None:
        if sync_s is not None and not sync_s >= 0:
            raise LayoutError(f"sync_s is {sync_s}; it is in seconds, 0 for each time, None for never")
        self.folder = Path(path).expanduser().absolute()
        self.url = f"labdaq://{self.folder.as_posix()}"
        if must_exist and not (self.folder / "catalogue.db").is_file():
            raise NotFoundError(f"there is no store in {self.folder}: give its folder, or set LABDAQ_STORE")
        self._sync_s = sync_s
        self._me = _Owner()
        self._writers: dict[str, EmbeddedWriter] = {}
        self._logs: weakref.WeakSet[EmbeddedLog] = weakref.WeakSet()
        self._is_closed = False
        self._nsent = 0
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._syncer: _Syncer | None = None
        try:
            strangers = _make_folder(self.folder)
        except OSError as error:
            raise ResourceError.of(error, f"using {self.folder} as a store") from error
        if strangers:
            raise ResourceError(f"{self.folder} holds {strangers} other files and is no store: give an empty folder")
        try:
            (self.folder / "streams").mkdir(mode=0o700, exist_ok=True)
            self._bell = Bell(self.folder / "bell")
        except OSError as error:
            raise ResourceError.of(error, f"using {self.folder} as a store") from error
        self.catalogue = Catalogue(self.folder / "catalogue.db")

    @property
    def _owner(self) -> "_Owner":
        """Who writes here: this process; a forked child is another one."""
        self._note_fork()
        return self._me

    def _note_fork(self) -> None:
        """Leave to the parent what it had open, in a forked child."""
        if self._me.identity.pid != os.getpid():
            self._me = _Owner()
            self._writers, self._syncer = {}, None

    def folder_of(self, stream_key: str) -> Path:
        """Where the points of a stream are. Raises DataError when this is no key, whoever wrote it down."""
        return self.folder / "streams" / ulid_of(check_key(stream_key, "stream"))

    def identity_fields(self, own: Sequence[str]) -> tuple[str, ...]:
        return self.catalogue.identity_fields(own)

    # -------------------------------------------------------------------------------------- scans

    def add(self, record: ScanRecord) -> str:
        tag = self.catalogue.add(record, str(self._owner))
        self._bell.ring()
        return tag

    def load(self, key: str) -> ScanRecord:
        return self.catalogue.load(key)

    def find_stream(self, key: str) -> StreamRecord:
        return self.catalogue.find_stream(key)

    def declare(self, stream: StreamRecord) -> None:
        folder, made = self.folder_of(stream.key), []

        def make() -> None:
            create_log(folder, stream)
            made.append(folder)

        try:
            self.catalogue.declare(stream, make)
        except BaseException:
            if made:
                remove_log(folder)
            raise

    def advance(self, record: ScanRecord, before: ScanState) -> None:
        self.catalogue.advance(record, before)
        self._bell.ring()

    def states(self, keys: Sequence[str]) -> dict[str, ScanState]:
        return self.catalogue.states(keys)

    def last_tag(self) -> str:
        return self.catalogue.last_tag()

    def next_scan(self, since: str) -> tuple[str, str] | None:
        return self.catalogue.next_scan(since)

    def last_scan(self) -> tuple[str, str] | None:
        return self.catalogue.last_scan()

    def search(self, query: Query) -> tuple[str, list[str]]:
        return self.catalogue.search(query)

    def remove(self, key: str) -> None:
        for stream in self.catalogue.remove(key):
            folder = self.folder_of(stream)
            # first the names, then the files: who is killed between leaves files without a name, which repair finds
            self.catalogue.unless_known(stream, partial(remove_log, folder))
        self._bell.ring()

    # ------------------------------------------------------------------------------------ streams

    def open_log(self, stream: StreamRecord) -> Log:
        log = EmbeddedLog(self.folder_of(stream.key), stream, lambda: self._lost_writer(stream))
        with self._lock:
            if not self._is_closed:
                self._logs.add(log)
                return log
        log.close()
        raise ClosedError("this store was closed")

    def open_writer(self, stream: StreamRecord) -> EmbeddedWriter:
        with self._claiming:  # between claim and entry here, another thread would take the claim for a left-over
            return self._open_writer(stream)

    def _open_writer(self, stream: StreamRecord) -> EmbeddedWriter:
        self._claim(stream)
        try:
            writer = EmbeddedWriter(
                self.folder_of(stream.key), stream.name, self._bell, self._sync_s, lambda: self._release(stream.key)
            )
        except BaseException:
            self.catalogue.claim(stream.key, str(self._owner), None)
            raise
        with self._lock:
            is_closed = self._is_closed
            self._writers[stream.key] = writer
            if not is_closed and self._sync_s and self._syncer is None:
                self._syncer = _Syncer(self._sync_s, weakref.WeakMethod(self._open_writers))
        if is_closed:
            writer.close()
            raise ClosedError("this store was closed")
        return writer

    def _open_writers(self) -> list[EmbeddedWriter]:
        return list(self._writers.values())

    def _claim(self, stream: StreamRecord) -> None:
        self.catalogue.find_stream(stream.key)
        known = self.catalogue.writer(stream.key)
        is_left_over = known == str(self._owner) and stream.key not in self._writers
        if known is not None and not is_left_over and _Owner.parse(known).is_alive():
            raise BusyError(f"stream {stream.name!r} is written by {_Owner.parse(known).describe()}")
        if not self.catalogue.claim(stream.key, known, str(self._owner)):
            raise BusyError(f"stream {stream.name!r} was just taken by somebody else, to write it")

    def _release(self, key: str) -> None:
        with self._lock:
            writer = self._writers.pop(key, None)
            self._nsent += 0 if writer is None else writer.nsent
        self.catalogue.claim(key, str(self._owner), None)

    def _lost_writer(self, stream: StreamRecord) -> str | None:
        """Who wrote a stream and died; of one that nobody has begun to write, who was to drive its scan."""
        known = self.catalogue.writer(stream.key)
        if known is None:
            return self.lost_owner(stream.scan_key)
        owner = _Owner.parse(known)
        return None if owner.is_alive() else owner.describe()

    def lost_owner(self, scan_key: str) -> str | None:
        found = self.catalogue.owner(scan_key)
        if found is None or found[1] == ScanState.CLOSED:
            return None
        owner = _Owner.parse(found[0])
        return None if owner.is_alive() else owner.describe()

    def is_written(self, stream_key: str) -> bool:
        """Whether a living process writes a stream."""
        known = self.catalogue.writer(stream_key)
        return known is not None and _Owner.parse(known).is_alive()

    def is_driven(self, owner: str) -> bool:
        """Whether the process that made a scan lives."""
        return _Owner.parse(owner).is_alive()

    def extents(self, logs: Sequence[Log]) -> list[Extent]:
        return [log.extent() for log in logs]

    def trim(self, stream: StreamRecord, first: int) -> int:
        freed = trim_log(self.folder_of(stream.key), first)
        self._bell.ring()
        return freed

    def usage(self) -> dict[str, int]:
        return {stream.key: _nbytes(self.folder_of(stream.key)) for stream in self.catalogue.streams()}

    def journal(self, stream: StreamRecord, before_ns: int) -> int:
        log = EmbeddedLog(self.folder_of(stream.key), stream, lambda: None)
        try:
            return log.journal(before_ns)
        finally:
            log.close()

    # --------------------------------------------------------------------------------------- life

    def statistics(self) -> StoreStatistics:
        with self._lock:
            return StoreStatistics(self._nsent + sum(writer.nsent for writer in self._writers.values()))

    def wait(self, check: Callable[[], bool], keys: Sequence[str], timeout: float | None) -> bool:
        return self._bell.wait(check, timeout)

    def close(self) -> None:
        self._note_fork()
        with self._lock:
            self._is_closed = True
            logs, syncer = list(self._logs), self._syncer
        with contextlib.ExitStack() as todo:  # all of it, whatever is refused; from the last to the first
            todo.callback(self.catalogue.close)
            todo.callback(self._bell.close)
            for log in logs:
                todo.callback(log.close)
            for writer in self._open_writers():
                todo.callback(writer.close)
            if syncer is not None:
                todo.callback(syncer.stop)

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "catalogue"):
            self.close()


class _Owner:
    """A process that writes, as it is noted in the catalogue."""

    def __init__(self, identity: Identity | None = None, host: str | None = None, number: int | None = None) -> None:
        self.identity = identity or this_process()
        self.host = host or platform.node()
        self.number = id(self) if number is None else number  # two stores of one process are two owners

    @classmethod
    def parse(cls, text: str) -> "_Owner":
        try:
            pid, started, host, number = json.loads(text)
            return cls(Identity(int(pid), int(started)), str(host), int(number))
        except (ValueError, TypeError) as error:
            raise DataError(f"{text!r} does not say who writes a stream") from error

    def __str__(self) -> str:
        return json.dumps([*self.identity, self.host, self.number])

    def is_alive(self) -> bool:
        """Whether it may still write; of another machine nobody here can tell."""
        return self.host != platform.node() or is_alive(self.identity)

    def describe(self) -> str:
        """For people."""
        if self.identity == this_process():
            return "somebody else in this process"
        return f"process {self.identity.pid}" + ("" if self.host == platform.node() else f" on {self.host}")


class _Syncer:
    """The one thread of an engine: forces what was written to the disk, every so many seconds.

    It ends with the engine, which it does not keep alive.
    """

    def __init__(self, period_s: float, writers: "weakref.WeakMethod[Callable[[], list[EmbeddedWriter]]]") -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(period_s, writers), name="labdaq-store-sync", daemon=True
        )
        self._thread.start()

    def _run(self, period_s: float, writers: "weakref.WeakMethod[Callable[[], list[EmbeddedWriter]]]") -> None:
        while not self._stop.wait(period_s):
            if not _sync_all(writers):
                return

    def stop(self) -> None:
        self._stop.set()
        if threading.current_thread() is not self._thread:  # which may have been the last to know the engine
            self._thread.join()


def _sync_all(writers: "weakref.WeakMethod[Callable[[], list[EmbeddedWriter]]]") -> bool:
    """Force everything to the disk, and know nobody afterwards; False when the engine is gone."""
    open_writers = writers()
    if open_writers is None:
        return False
    for writer in open_writers():
        writer.sync()
    return True


def _make_folder(folder: Path) -> int:
    """Make the folder of a store; how many files it has if it is none: nobody's files get mixed with ours."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir()}
    return 0 if names & {"catalogue.db", "bell", "streams"} else len(names)


def _nbytes(folder: Path) -> int:
    """Bytes of points; segments that are being removed count nothing."""
    nbytes = 0
    for _offset, path in segments_of(folder):
        with contextlib.suppress(FileNotFoundError):
            nbytes += path.stat().st_size
    return nbytes
