"""The engine on a Redis server, which machines share: Redis 7 or later, or Valkey, without any module."""

import functools
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from labdaq.errors import DataError, NotFoundError, ResourceError, ScanNotFoundError, StateError
from labdaq.store.encoding import encoder_of, to_json_text
from labdaq.store.engine import CATALOGUE, Extent, Log, LogWriter, ScanRecord, StreamRecord
from labdaq.store.identity import Query
from labdaq.store.keys import tag_order
from labdaq.store.redis import catalogue, replies, search
from labdaq.store.redis.catalogue import LAST_TAG, SCANS, STREAMS
from labdaq.store.redis.claim import failure
from labdaq.store.redis.link import Command, Link
from labdaq.store.redis.log import RedisLog, RedisLogWriter, extent_command
from labdaq.store.redis.scripts import LOCATE, TRIM, stream_keys
from labdaq.store.redis.sender import Sender
from labdaq.store.states import ScanState
from labdaq.store.statistics import StoreStatistics

__all__ = ["RedisEngine"]

logger = logging.getLogger("labdaq.store")

_BLOCK_S = 0.5  # how long the server is asked to wait at once
_FIELDS = ("created_ns", "identity", "info", "state", "streams")


class RedisEngine:
    """See `labdaq.store.engine.Engine`; keys are described in `scripts`.

    Parameters
    ----------
    url
        ``redis://user:password@host:6379/0``, ``rediss://`` or ``unix://``, with options of redis-py behind ``?``.
    patience_s
        How long a server that does not answer is waited for, before an error says so (seconds).

    Raises
    ------
    MissingExtraError
        The package redis is not installed.
    LayoutError
        This is no such URL.
    ResourceError
        The server cannot be reached, or refuses the password.
    """

    def __init__(self, url: str, *, patience_s: float) -> None:
        self._address = url
        self._link = Link(url, patience_s)
        self.url = self._link.url
        try:
            self._check_format()
        except BaseException:
            self._link.close()
            raise
        self._sender = Sender(self._link)
        self._uncounted: dict[str, str] = {}

    def _check_format(self) -> None:
        key, version = catalogue.FORMAT
        (found,) = self._link.pipeline([("GET", key)], patience_s=0)
        if found is None:  # a server that is full can be read nevertheless
            found = self._link.pipeline([("SET", key, version, "NX"), ("GET", key)])[1]
        catalogue.check_format(found, self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(RedisEngine, self._address, patience_s=self._link.patience_s), ()

    def statistics(self) -> StoreStatistics:
        """What became of the points that were sent from here."""
        return self._sender.statistics()

    def identity_fields(self, own: Sequence[str]) -> tuple[str, ...]:
        return replies.fields_of(self._link.run(catalogue.FIELDS, ["labdaq:fields"], own))

    # -------------------------------------------------------------------------------------- scans

    def add(self, record: ScanRecord) -> str:
        listed = search.members(record)
        keys = [record.key, _states(record.key), SCANS, *(index for index, _score, _member in listed)]
        about = [to_json_text(record.identity), to_json_text(record.info), str(record.created_ns)]
        places = [part for _index, score, member in listed for part in (score, member)]
        ms = record.created_ns // 1_000_000
        return replies.tag_of(self._link.run(catalogue.ADD, keys, [record.key, ms, *about, *places]))

    def load(self, key: str) -> ScanRecord:
        found = self._link.call("HMGET", key, *_FIELDS)
        if not any(found):
            raise ScanNotFoundError(f"there is no scan {key} in {self.url}")
        return replies.scan_of(found, key)

    def find_stream(self, key: str) -> StreamRecord:
        record = self._link.call("HGET", stream_keys(key)[2], "record")
        if record is None:
            raise NotFoundError(f"there is no stream {key} in {self.url}")
        return replies.stream_of(record, key)

    def declare(self, stream: StreamRecord) -> None:
        _batches, extent, about, _writer = stream_keys(stream.key)
        keys = [stream.scan_key, _declared(stream.scan_key), STREAMS, extent, about]
        if self._link.run(catalogue.DECLARE, keys, [stream.key, to_json_text(_as_json(stream))])[0] != b"ok":
            raise ScanNotFoundError(f"there is no scan {stream.scan_key} in {self.url}")

    def advance(self, record: ScanRecord, before: ScanState) -> None:
        streams = to_json_text([_as_json(stream) for stream in record.streams])
        what = [int(before), int(record.state), to_json_text(record.info), streams, secrets.token_hex(8)]
        reply = self._link.run(catalogue.ADVANCE, [record.key, _states(record.key)], what)
        if reply[0] == b"gone":
            raise ScanNotFoundError(f"there is no scan {record.key} in {self.url}")
        if reply[0] != b"ok":
            state = replies.state_of(reply[1], record.key).name
            raise StateError(f"scan {record.key} is {state}, not {before.name}: somebody else moved it")

    def states(self, keys: Sequence[str]) -> dict[str, ScanState]:
        found = self._link.pipeline([("HGET", key, "state") for key in keys])
        return {key: replies.state_of(state, key) for key, state in zip(keys, found, strict=True) if state is not None}

    def last_tag(self) -> str:
        return replies.tag_of(self._link.call("GET", LAST_TAG))

    def next_scan(self, since: str) -> tuple[str, str] | None:
        return replies.tag_and_key(self._link.call("XRANGE", SCANS, f"({tag_order(since)[1]}", "+", "COUNT", 1))

    def last_scan(self) -> tuple[str, str] | None:
        return replies.tag_and_key(self._link.call("XREVRANGE", SCANS, "+", "-", "COUNT", 1))

    def search(self, query: Query) -> tuple[str, list[str]]:
        limit = -1 if query.limit is None else query.limit
        what: list[Any] = [int(query.newest_first), limit]
        for ranges in search.terms(query):
            what += [len(ranges), *(part for place in ranges for part in place)]
        tag, *keys = self._link.run(catalogue.SEARCH, [SCANS], what)
        return replies.tag_of(tag), replies.keys_of(keys, "scan", SCANS + ":order")

    def remove(self, key: str) -> None:
        try:
            listed = search.members(self.load(key))
        except ScanNotFoundError:
            return
        except DataError:  # it goes nevertheless; what the indices still say of it, nobody finds
            listed = []
        indices = [index for index, _score, _member in listed]
        keys = [key, _states(key), _declared(key), SCANS, STREAMS, *indices]
        self._link.run(catalogue.REMOVE, keys, [key, *(member for _index, _score, member in listed)])

    # ------------------------------------------------------------------------------------ streams

    def open_log(self, stream: StreamRecord) -> Log:
        return RedisLog(self._link, stream)

    def open_writer(self, stream: StreamRecord) -> LogWriter:
        return RedisLogWriter(self._link, self._sender, stream, encoder_of(stream.encoding).point_nbytes)

    def extents(self, logs: Sequence[Log]) -> list[Extent]:
        known = [log for log in logs if isinstance(log, RedisLog)]
        found = self._link.pipeline([extent_command(log.key) for log in known])
        return [log.note(reply) for reply, log in zip(found, known, strict=True)]

    def lost_owner(self, scan_key: str) -> str | None:
        return None  # who drives a scan is not claimed, only who writes its streams

    def trim(self, stream: StreamRecord, first: int) -> int:
        reply = self._link.run(TRIM, stream_keys(stream.key), [first])
        if reply[0] != b"ok":
            raise failure(reply, stream.name)
        return replies.count_of(reply[1])

    def usage(self) -> dict[str, int]:
        """Bytes of the points themselves; a server needs some 60 more for each batch.

        Streams that are damaged are left out, and named in the log.
        """
        usage, damaged = {}, {}
        streams = self._link.call("SMEMBERS", STREAMS)
        found = self._link.replies([extent_command(key.decode("latin-1")) for key in streams])
        for name, reply in zip(streams, found, strict=True):
            try:
                (key,) = replies.keys_of([name], "stream", STREAMS)
                numbers = replies.numbers_of(reply, key, key)
            except ScanNotFoundError:  # deleted meanwhile
                continue
            except DataError as error:
                damaged[repr(name)] = str(error)
            else:
                usage[key] = numbers.nbytes - numbers.trimmed
        if new := {name: why for name, why in damaged.items() if name not in self._uncounted}:
            logger.warning("%d streams of %s are not counted: %s", len(damaged), self.url, "; ".join(new.values()))
        self._uncounted = damaged
        return usage

    def journal(self, stream: StreamRecord, before_ns: int) -> int:
        reply = self._link.call(*extent_command(stream.key))
        low, high, *_more = replies.numbers_of(reply, stream.key, stream.name)
        while low < high:
            middle = (low + high) // 2
            reply = self._link.run(LOCATE, stream_keys(stream.key), [middle])
            start, about = replies.about_of(reply, stream.key) if reply else (0, None)
            if about is None or not start <= middle < start + about.npoint:
                raise DataError(f"point {middle} of {stream.name!r} ({stream.key}) is missing on the server")
            low, high = (low, start) if about.time_ns > before_ns else (start + about.npoint, high)
        return low

    # --------------------------------------------------------------------------------------- life

    def wait(self, check: Callable[[], bool], keys: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        news = [_news(key) for key in dict.fromkeys(keys)]
        while True:
            entries = self._link.pipeline([("XREVRANGE", key, "+", "-", "COUNT", 1) for key in news])
            if check():
                return True
            left = _BLOCK_S if deadline is None else min(_BLOCK_S, deadline - time.monotonic())
            if left <= 0:
                return False
            seen = [replies.last_id(each) for each in entries]
            ms = max(1, round(left * 1000))
            command: Command = ("XREAD", "COUNT", 1, "BLOCK", ms, "STREAMS", *news, *seen)
            if self._link.pipeline([command], block_s=left)[0] and check():
                return True

    def close(self) -> None:
        """Send what waits, for as long as patience lasts.

        Raises
        ------
        ResourceError
            Points were lost; the message says how many.
        """
        if self._link.is_closed:
            return
        try:
            lost = self._sender.close()
        finally:
            self._link.close()
        if lost:
            raise ResourceError(f"{lost} points that were sent to {self.url} are lost: it did not take them in time")


def _states(key: str) -> str:
    return key + ":states"


def _declared(key: str) -> str:
    return key + ":declared"


def _news(key: str) -> str:
    """The Redis stream that gets an entry whenever something with a key changes."""
    if key == CATALOGUE:
        return SCANS
    return stream_keys(key)[1] if key.startswith("labdaq:stream:") else _states(key)


def _as_json(stream: StreamRecord) -> dict[str, Any]:
    return {
        "key": stream.key,
        "scan_key": stream.scan_key,
        "name": stream.name,
        "encoding": dict(stream.encoding),
        "info": dict(stream.info),
    }
