"""The catalogue of an embedded store: one SQLite database, in WAL mode.

Everything that is said about scans and streams; no points. Any number of processes use it at once.
"""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labdaq.errors import (
    BusyError,
    ClosedError,
    DataError,
    LabdaqError,
    NotFoundError,
    ResourceError,
    ScanNotFoundError,
    StateError,
)
from labdaq.store.encoding import from_json_text, to_json_text
from labdaq.store.engine import ScanRecord, StreamRecord
from labdaq.store.identity import Query
from labdaq.store.keys import FIRST_TAG, tag_order
from labdaq.store.states import ScanState

__all__ = ["Catalogue"]

VERSION = 1
_PATIENCE_S = 10.0
_MOST = 2**63 - 1  # of what SQLite counts
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS fields(name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS scans(
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, created_ns INTEGER NOT NULL,
    state INTEGER NOT NULL, identity TEXT NOT NULL, info TEXT NOT NULL, owner TEXT);
CREATE INDEX IF NOT EXISTS scans_created ON scans(created_ns);
CREATE TABLE IF NOT EXISTS states(
    scan INTEGER NOT NULL REFERENCES scans ON DELETE CASCADE, state INTEGER NOT NULL, time_ns INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS states_scan ON states(scan);
CREATE TABLE IF NOT EXISTS identity(
    scan INTEGER NOT NULL REFERENCES scans ON DELETE CASCADE, field TEXT NOT NULL, value NOT NULL,
    PRIMARY KEY(scan, field)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identity_value ON identity(field, value);
CREATE TABLE IF NOT EXISTS streams(
    number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, scan INTEGER NOT NULL REFERENCES scans ON DELETE CASCADE,
    name TEXT NOT NULL, encoding TEXT NOT NULL, info TEXT NOT NULL, is_announced INTEGER NOT NULL DEFAULT 0,
    writer TEXT, UNIQUE(scan, name));
"""
_SCAN = "SELECT number, key, created_ns, identity, info, state FROM scans"
_STREAM = "SELECT s.key, c.key, s.name, s.encoding, s.info FROM streams s JOIN scans c ON c.number = s.scan"


_catalogues: "weakref.WeakSet[Catalogue]" = weakref.WeakSet()
_held: "list[Catalogue]" = []


def _before_fork() -> None:
    """Close all connections: SQLite takes the locks of the parent for the child's own, and then files break."""
    for catalogue in list(_catalogues):
        catalogue._lock.acquire()
        _held.append(catalogue)
        catalogue._disconnect()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class Catalogue:
    """One connection, used under a lock, and opened again after a fork, on both sides."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        _catalogues.add(self)
        with self.transaction() as db:
            self._check_version(db)

    def _check_version(self, db: sqlite3.Connection) -> None:
        db.execute("INSERT OR IGNORE INTO meta VALUES('version', ?)", (VERSION,))
        (version,) = db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        if version != VERSION:
            raise ResourceError(
                f"{self.path} was written in version {version} of its layout, and this labdaq reads version {VERSION}: "
                "use the one that made it"
            )

    def _connect(self) -> sqlite3.Connection:
        if self._is_closed:
            raise ClosedError("this store was closed")
        if self._connection is None:
            connection = sqlite3.connect(
                self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            self._begin_wal(connection)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'streams'").fetchone() is None:
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")

    def _begin_wal(self, connection: sqlite3.Connection) -> None:
        """Go over to WAL; here SQLite does not wait by itself for others who are doing the same."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(1e-3)
            else:
                return

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def transaction(self, mode: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """All or nothing: what is done in the block is kept when it ends, and undone by an error.

        Raises
        ------
        ResourceError
            The disk is full or refuses.
        BusyError
            Another process kept the catalogue for 10 s.
        DataError
            The file is damaged.
        """
        with self._lock, self._our_errors():
            db = self._connect()
            db.execute(f"BEGIN {mode}")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def reading(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """A look at the catalogue as it is at one moment."""
        return self.transaction("DEFERRED")

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except LabdaqError:
            raise
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in _BUSY:
                raise BusyError(f"{self.path} is kept by another process for more than {_PATIENCE_S:g} s") from error
            if code not in _DAMAGED:
                raise ResourceError(f"{self.path}: {error}") from error
            raise self._damaged(error) from error
        except OSError as error:
            raise ResourceError(error.errno, f"{self.path}: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"{self.path} is damaged ({error}): `labdaq store repair` makes it again from the files of the streams"
        )

    # -------------------------------------------------------------------------------------- scans

    def identity_fields(self, own: Sequence[str]) -> tuple[str, ...]:
        """Remember fields; all that were ever remembered, in order."""
        with self.reading() as db:
            known = [name for (name,) in db.execute("SELECT name FROM fields ORDER BY rowid")]
        new = [name for name in own if name not in known]
        if new:
            with self.transaction() as db:
                db.executemany("INSERT OR IGNORE INTO fields VALUES(?)", [(name,) for name in new])
        return (*known, *new)

    def add(self, record: ScanRecord, owner: str) -> str:
        """Keep a new scan; its time tag."""
        with self.transaction() as db:
            number = db.execute(
                "INSERT INTO scans(key, created_ns, state, identity, info, owner) VALUES(?, ?, ?, ?, ?, ?)",
                (record.key, record.created_ns, record.state, _dump(record.identity), _dump(record.info), owner),
            ).lastrowid
            db.executemany(
                "INSERT INTO identity VALUES(?, ?, ?)",
                [(number, name, value) for name, value in record.identity.items() if value is not None],
            )
            db.execute("INSERT INTO states VALUES(?, ?, ?)", (number, record.state, time.time_ns()))
            tag = _tag(record.created_ns, number)
            db.execute("INSERT OR REPLACE INTO meta VALUES('last_tag', ?)", (tag,))
        return tag

    def load(self, key: str) -> ScanRecord:
        """A scan, with those of its streams that were announced."""
        with self.reading() as db:
            row = db.execute(f"{_SCAN} WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise ScanNotFoundError(f"there is no scan {key} in {self.path.parent}")
            number, key, created_ns, identity, info, state = row
            streams = db.execute(f"{_STREAM} WHERE s.scan = ? AND s.is_announced ORDER BY s.number", (number,))
            records = tuple(_stream(stream) for stream in streams)
            return ScanRecord(key, created_ns, _load(identity), _load(info), ScanState(state), records)

    def advance(self, record: ScanRecord, before: ScanState) -> None:
        """Replace state, info and streams, if the scan is in the state that was expected."""
        with self.transaction() as db:
            changed = db.execute(
                "UPDATE scans SET state = ?, info = ? WHERE key = ? AND state = ?",
                (record.state, _dump(record.info), record.key, before),
            ).rowcount
            if not changed:
                raise self._not_in_state(db, record.key, before)
            (number,) = db.execute("SELECT number FROM scans WHERE key = ?", (record.key,)).fetchone()
            db.execute("INSERT INTO states VALUES(?, ?, ?)", (number, record.state, time.time_ns()))
            db.executemany(
                "UPDATE streams SET is_announced = 1 WHERE key = ?", [(stream.key,) for stream in record.streams]
            )

    def _not_in_state(self, db: sqlite3.Connection, key: str, before: ScanState) -> Exception:
        row = db.execute("SELECT state FROM scans WHERE key = ?", (key,)).fetchone()
        if row is None:
            return ScanNotFoundError(f"there is no scan {key} in {self.path.parent}")
        return StateError(f"scan {key} is {ScanState(row[0]).name}, not {before.name}: somebody else moved it")

    def states(self, keys: Sequence[str]) -> dict[str, ScanState]:
        """The states of those that exist."""
        with self.reading() as db:
            rows = [db.execute("SELECT key, state FROM scans WHERE key = ?", (key,)).fetchone() for key in keys]
            return {row[0]: ScanState(row[1]) for row in rows if row is not None}

    def last_tag(self) -> str:
        """Time tag of the newest scan ever made, of one that was deleted, too."""
        with self.reading() as db:
            return self._last_tag(db)

    def _last_tag(self, db: sqlite3.Connection) -> str:
        row = db.execute("SELECT value FROM meta WHERE name = 'last_tag'").fetchone()
        return row[0] if row else FIRST_TAG

    def next_scan(self, since: str) -> tuple[str, str] | None:
        """The first scan after a time tag."""
        return self._one("WHERE number > ? ORDER BY number LIMIT 1", min(tag_order(since)[1], _MOST))

    def last_scan(self) -> tuple[str, str] | None:
        """The newest scan."""
        return self._one("ORDER BY number DESC LIMIT 1")

    def _one(self, which: str, *values: int) -> tuple[str, str] | None:
        with self.reading() as db:
            text = f"SELECT number, key, created_ns FROM scans {which}"  # noqa: S608 - one of the two above
            row = db.execute(text, values).fetchone()
        return (_tag(row[2], row[0]), row[1]) if row else None

    def search(self, query: Query) -> tuple[str, list[str]]:
        """The last time tag, and the keys of the scans that match."""
        conditions, values = _conditions(query)
        order = "DESC" if query.newest_first else "ASC"
        limit = -1 if query.limit is None else min(query.limit, _MOST)
        where = " AND ".join(conditions)
        # Conditions are of our own making; what the user gave goes in as values.
        text = f"SELECT key FROM scans WHERE {where} ORDER BY number {order} LIMIT ?"  # noqa: S608 - see above
        with self.reading() as db:
            return self._last_tag(db), [key for (key,) in db.execute(text, (*values, limit))]

    def remove(self, key: str) -> list[str]:
        """Remove a scan; the keys of its streams."""
        with self.transaction() as db:
            streams = db.execute(f"{_STREAM} WHERE c.key = ?", (key,)).fetchall()
            db.execute("DELETE FROM scans WHERE key = ?", (key,))
        return [row[0] for row in streams]

    # ------------------------------------------------------------------------------------ streams

    def declare(self, stream: StreamRecord, make_files: Callable[[], None] = lambda: None) -> None:
        """Keep a stream that is not announced yet, and make its files; for others both happen at once."""
        with self.transaction() as db:
            row = db.execute("SELECT number FROM scans WHERE key = ?", (stream.scan_key,)).fetchone()
            if row is None:
                raise ScanNotFoundError(f"there is no scan {stream.scan_key} in {self.path.parent}")
            db.execute(
                "INSERT INTO streams(key, scan, name, encoding, info) VALUES(?, ?, ?, ?, ?)",
                (stream.key, row[0], stream.name, _dump(stream.encoding), _dump(stream.info)),
            )
            make_files()

    def unless_known(self, key: str, action: Callable[[], None]) -> bool:
        """Do something to files which belong to no stream, while nobody can declare one; whether it was done."""
        with self.transaction() as db:
            is_known = db.execute("SELECT 1 FROM streams WHERE key = ?", (key,)).fetchone() is not None
            if not is_known:
                action()
        return not is_known

    def find_stream(self, key: str) -> StreamRecord:
        """A stream by its key."""
        with self.reading() as db:
            row = db.execute(f"{_STREAM} WHERE s.key = ?", (key,)).fetchone()
            if row is None:
                raise NotFoundError(f"there is no stream {key} in {self.path.parent}")
            return _stream(row)

    def streams(self) -> list[StreamRecord]:
        """All streams, the oldest first."""
        with self.reading() as db:
            return [_stream(row) for row in db.execute(f"{_STREAM} ORDER BY s.number")]

    def writer(self, key: str) -> str | None:
        """Who writes a stream, as it was noted by `claim`."""
        with self.reading() as db:
            row = db.execute("SELECT writer FROM streams WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def claim(self, key: str, expected: str | None, writer: str | None) -> bool:
        """Note who writes a stream, if nobody did so meanwhile; whether it was noted."""
        with self.transaction() as db:
            changed = db.execute("UPDATE streams SET writer = ? WHERE key = ? AND writer IS ?", (writer, key, expected))
            return changed.rowcount == 1

    def owner(self, scan_key: str) -> tuple[str, ScanState] | None:
        """Who made a scan, and its state; None when there is no such scan."""
        with self.reading() as db:
            row = db.execute("SELECT owner, state FROM scans WHERE key = ?", (scan_key,)).fetchone()
        return (row[0], ScanState(row[1])) if row else None

    def owners(self) -> list[tuple[str, str]]:
        """Keys of the scans that are not closed, and who made them."""
        with self.reading() as db:
            return list(db.execute("SELECT key, owner FROM scans WHERE state < ?", (ScanState.CLOSED,)))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._is_closed = True
            self._disconnect()


def _conditions(query: Query) -> tuple[list[str], list[Any]]:
    """What a search asks for, in SQL; texts are compared by code points, and never with numbers."""
    conditions, values = ["1"], []
    member = "number IN (SELECT scan FROM identity WHERE field = ? AND {})"
    for name, value in query.exact.items():
        conditions.append(member.format("value = ?"))
        values += [name, value]
    for name, start in query.prefix.items():
        conditions.append(member.format("typeof(value) = 'text' AND value >= ? AND substr(value, 1, ?) = ?"))
        values += [name, start, len(start), start]
    for name, ends in query.ranges.items():
        tests = ["1"]
        values.append(name)
        for end, sign in zip(ends, (">=", "<="), strict=True):
            if end is not None:
                kind = "=" if isinstance(end, str) else "!="
                tests.append(f"typeof(value) {kind} 'text' AND value {sign} ?")
                values.append(end)
        conditions.append(member.format(" AND ".join(tests)))
    for end, sign in zip(query.created_ns, (">=", "<="), strict=True):
        if end is not None:
            conditions.append(f"created_ns {sign} ?")
            values.append(end)
    return conditions, values


def _tag(created_ns: int, number: int | None) -> str:
    return f"{created_ns // 1_000_000}-{number}"


def _stream(row: Sequence[Any]) -> StreamRecord:
    key, scan_key, name, encoding, info = row
    return StreamRecord(key, scan_key, name, _load(encoding), _load(info))


def _dump(value: Mapping[str, Any]) -> str:
    return to_json_text(dict(value))


def _load(text: str) -> dict[str, Any]:
    found = from_json_text(text)
    if not isinstance(found, dict):
        raise DataError(f"{text[:60]!r} is no JSON object")
    return found
