"""The store: where scans are kept, found and made."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from labdaq.errors import LayoutError, NoScanAvailable, StateError
from labdaq.store.engine import CATALOGUE, Engine, ScanRecord
from labdaq.store.identity import IdentityModel, is_field
from labdaq.store.keys import check_key, new_key, tag_order
from labdaq.store.retention import PROTECT_S, Keeper, TrimReport, check_limits, trim
from labdaq.store.scan import Scan, as_json
from labdaq.store.states import ScanState
from labdaq.store.statistics import StoreStatistics
from labdaq.store.stream import Stream
from labdaq.store.waiting import limit_s

__all__ = ["DataStore", "default_url", "find_scan", "open_scan"]


class DataStore:
    """A place where scans are kept.

    Parameters
    ----------
    url
        ``labdaq:///path/of/a/folder`` or simply a path: embedded, needs no server, shared by all processes of
        this machine. ``memory://``: of this object alone; ``memory://name``: of this process. ``redis://host:6379``
        (also ``rediss://`` and ``unix://``, with user and password): shared by machines.
    identity
        Identity fields of your own, beside ``name``, ``number``, ``data_policy`` (required), ``session``,
        ``proposal``, ``collection``, ``dataset`` and ``path``.
    sync_s
        Embedded: how often points are forced to the disk, which is what protects them from a loss of *power*; from
        the death of a program they are safe at once. 0: each time, None: never.
    patience_s
        Redis: how long a server that does not answer is waited for, before an error says so.
    must_exist
        Embedded: refuse a folder that is no store, instead of making one of it.
    limit_nbytes
        What all points may take: while this store object is open, the oldest are removed to keep within it, as by
        `trim`. None: nothing is removed.
    protect_s
        Points younger than this are kept, whatever they take.

    Raises
    ------
    ResourceError
        The folder cannot be used, the server cannot be reached.
    NotFoundError
        There is no store in this folder, and there must be.

    Examples
    --------
    >>> from labdaq.store import NumericStreamEncoder
    >>> store = DataStore("memory://")
    >>> scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    >>> delays = scan.create_stream("delay", NumericStreamEncoder(float), info={"unit": "us"})
    >>> scan.prepare(); scan.start()
    >>> delays.send(2.2); delays.send([0.7, 3.1])
    >>> scan.stop(); scan.close()
    >>> _timetag, key = store.get_last_scan()
    >>> store.load_scan(key).streams["delay"][:]
    array([2.2, 0.7, 3.1])
    >>> store.close()
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        identity: Iterable[str] = (),
        *,
        sync_s: float | None = 1.0,
        patience_s: float = 10.0,
        must_exist: bool = False,
        limit_nbytes: int | None = None,
        protect_s: float = PROTECT_S,
    ) -> None:
        own = IdentityModel(identity).fields
        check_limits(limit_nbytes, protect_s)
        self._given = (os.fspath(url), own, sync_s, patience_s)
        self._engine = _engine_of(os.fspath(url), sync_s, patience_s, must_exist)
        try:
            self._model = IdentityModel(filter(is_field, self._engine.identity_fields(own)))
            self._keeper = None if limit_nbytes is None else Keeper(self._engine, limit_nbytes, protect_s)
        except BaseException:
            self._engine.close()
            raise

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._engine.url

    @property
    def engine(self) -> Engine:
        """What keeps it."""
        return self._engine

    # -------------------------------------------------------------------------------------- scans

    def create_scan(self, identity: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> Scan:
        """Make a scan, which is driven by the result.

        Parameters
        ----------
        identity
            Who it is: ``{"name": …, "number": …, "data_policy": …}`` and more.
        info
            What there is to say about it; it may be changed until the scan is prepared.

        Raises
        ------
        LayoutError
            A required field is missing, a field is unknown, a value has the wrong type.
        """
        given = as_json({} if info is None else info, "the info of this scan")
        record = ScanRecord(new_key("scan"), time.time_ns(), self._model.checked(identity))
        self._engine.add(record)
        scan = Scan(self._engine, record, writable=True)
        scan.info.update(given)
        return scan

    def load_scan(self, key: str) -> Scan:
        """A scan, to be read.

        Raises
        ------
        ScanNotFoundError
            There is none with this key, or no longer.
        """
        return Scan(self._engine, self._engine.load(check_key(key, "scan")), writable=False)

    def open_stream(self, key: str, *, write: bool = False) -> Stream:
        """A stream by its key, which its maker may have passed on before the scan was prepared.

        Parameters
        ----------
        write
            To append points to it; one at a time may.
        """
        return Stream(self._engine, self._engine.find_stream(check_key(key, "stream")), writable=write)

    def get_last_scan(self) -> tuple[str, str]:
        """Time tag and key of the newest scan.

        Raises
        ------
        NoScanAvailable
            There is none at all.
        """
        found = self._engine.last_scan()
        if found is None:
            raise NoScanAvailable(f"there is no scan in {self.url}")
        return found

    def get_next_scan(
        self, since: str | int | None = None, block: bool = True, timeout: float | None = 0
    ) -> tuple[str, str]:
        """Time tag and key of the first scan after another one.

        Parameters
        ----------
        since
            The time tag of an earlier call: so no scan is missed. 0: the beginning. None: now.
        block
            Wait for it, for ``timeout`` seconds at most; 0 or None: for ever.

        Raises
        ------
        NoScanAvailable
            None came within this time.
        """
        tag = self._engine.last_tag() if since is None else str(since or "0-0")
        tag_order(tag)
        found = self._engine.next_scan(tag)
        if found is None and block:
            self._engine.wait(lambda: self._engine.next_scan(tag) is not None, [CATALOGUE], limit_s(timeout))
            found = self._engine.next_scan(tag)
        if found is None:
            raise NoScanAvailable(f"no scan began in {self.url} after {tag}" + (" in time" if block else " yet"))
        return found

    def search_existing_scans(
        self,
        *,
        created: tuple[Any, Any] | None = None,
        order: str = "oldest",
        limit: int | None = None,
        **fields: Any,
    ) -> tuple[str, list[str]]:
        """Find scans by their identity.

        Parameters
        ----------
        created
            Made from one time to another: datetimes, seconds since 1970, or None for no limit.
        order
            Which come first: the ``oldest`` or the ``newest``.
        limit
            At most so many.
        **fields
            What a field is: a text or a number; ``"muon*"``: begins with; ``(1, 10)``: from one to the other, both
            included, None for no limit.

        Returns
        -------
        timetag : str
            Of the newest scan at that moment: `get_next_scan` goes on from it without a hole.
        keys : list of str

        Raises
        ------
        LayoutError
            There is no such field; lists those that there are.
        """
        return self._engine.search(self._model.query(fields, created=created, order=order, limit=limit))

    def get_scans_state(self, keys: Sequence[str]) -> dict[str, ScanState]:
        """The states of those of the scans that exist."""
        return self._engine.states([check_key(key, "scan") for key in keys])

    def delete_scan(self, key: str, force: bool = False) -> bool:
        """Remove a scan and all its points; False when there was none.

        Parameters
        ----------
        force
            Even if it is not closed.

        Raises
        ------
        StateError
            It is not closed.
        """
        state = self._engine.states([check_key(key, "scan")]).get(key)
        if state is None:
            return False
        if state != ScanState.CLOSED and not force:
            raise StateError(f"scan {key} is {state.name}: close it first, or delete it with force=True")
        self._engine.remove(key)
        return True

    # --------------------------------------------------------------------------------------- room

    def trim(self, limit_nbytes: int, *, protect_s: float = PROTECT_S) -> TrimReport:
        """Make room now: remove the oldest points until those that are left take no more than a limit.

        Examples
        --------
        >>> with DataStore("memory://") as store:
        ...     store.trim(10**9).is_enough
        True
        """
        return trim(self._engine, limit_nbytes, protect_s=protect_s)

    def statistics(self) -> StoreStatistics:
        """What became of the points that were sent through this object."""
        found = self._engine.statistics()
        return found if self._keeper is None else replace(found, nbytes_trimmed=self._keeper.nbytes_trimmed)

    # --------------------------------------------------------------------------------------- life

    def close(self) -> None:
        """Let go of everything; streams that are written are given up without being sealed."""
        if self._keeper is not None:
            self._keeper.stop()
        self._engine.close()

    def __enter__(self) -> "DataStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        url, *how = self._given
        if url.startswith("memory://"):
            raise LayoutError(f"{url} is memory of this process: other processes need a folder or a server")
        return _opened, (url if "://" in url else self.url, *how)

    def __repr__(self) -> str:
        return f"<store {self.url}>"

    def _repr_html_(self) -> str:
        from labdaq.store.pictures import store_html

        return store_html(self)


def _opened(url: str, identity: Sequence[str], sync_s: float | None, patience_s: float) -> DataStore:
    """The same store in another process, which gets it as an argument; limits are kept where they were set."""
    return DataStore(url, identity, sync_s=sync_s, patience_s=patience_s)


def default_url() -> str:
    """Where scans are kept when nothing else is said: ``LABDAQ_STORE``, or the folder ``labdaq-data`` here."""
    return os.environ.get("LABDAQ_STORE") or "labdaq-data"


def open_scan(which: str = "last", url: str | os.PathLike[str] | None = None) -> Scan:
    """A scan to be read, also one that another notebook is taking at this moment.

    Parameters
    ----------
    which
        ``"last"``: the newest; a key; or a name, of which the newest is taken.
    url
        Of the store; `default_url` when it is not given.

    Raises
    ------
    NotFoundError
        There is no store.
    NoScanAvailable
        There is no such scan in it.
    """
    return find_scan(DataStore(default_url() if url is None else url, must_exist=True), which)


def find_scan(store: DataStore, which: str) -> Scan:
    """A scan of a store: ``"last"``, a key, or a name of which the newest is taken.

    Raises
    ------
    NoScanAvailable
        There is none.
    """
    if which.startswith("labdaq:scan:"):
        return store.load_scan(which)
    if which == "last":
        return store.load_scan(store.get_last_scan()[1])
    _tag, keys = store.search_existing_scans(name=which, order="newest", limit=1)
    if not keys:
        raise NoScanAvailable(f"no scan in {store.url} is called {which!r}")
    return store.load_scan(keys[0])


def _engine_of(url: str, sync_s: float | None, patience_s: float, must_exist: bool) -> Engine:
    """The engine that a URL asks for."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "labdaq", url
    if scheme == "memory":
        from labdaq.store.memory import memory_engine

        return memory_engine(rest)
    if scheme in {"redis", "rediss", "unix"}:
        from labdaq.store.redis.engine import RedisEngine

        return RedisEngine(url, patience_s=patience_s)
    if scheme != "labdaq" or not rest:
        raise LayoutError(
            f"{urlsplit(url).scheme or url!r} is no store: give a path, labdaq:///path, memory:// or redis://host:6379"
        )
    if separator and not rest.startswith("/"):
        raise LayoutError(f"{url} names a machine; a folder is written labdaq:///{rest}")
    from labdaq.store.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(rest, sync_s=sync_s, must_exist=must_exist)
