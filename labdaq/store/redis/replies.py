"""What the server says about scans and streams, read and checked: the one place where its bytes become values.

A database may hold what nobody here wrote: by another program, by hand, by a disk that failed. So nothing is taken
for granted; whatever does not fit becomes a DataError that names the key, and what to do about it.
"""

import contextlib
import json
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from labdaq.errors import DataError, ScanNotFoundError
from labdaq.store.encoding import Batch, from_json_text
from labdaq.store.engine import Extent, ScanRecord, StreamRecord
from labdaq.store.identity import IdentityModel
from labdaq.store.keys import FIRST_TAG, check_key, tag_order
from labdaq.store.redis.catalogue import LAST_TAG, SCANS
from labdaq.store.redis.outbox import ABOUT
from labdaq.store.redis.scripts import MOST, stream_keys
from labdaq.store.states import ScanState

__all__ = [
    "About",
    "Numbers",
    "about_of",
    "author_of",
    "batch_of",
    "claim_of",
    "count_of",
    "fields_of",
    "keys_of",
    "last_id",
    "numbers_of",
    "scan_of",
    "state_of",
    "stream_of",
    "tag_and_key",
    "tag_of",
    "wrong_type",
]

_UNFIT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, struct.error)
_EXTENT = re.compile(rb"(\d+) (\d+) (\d+) (\d+) ([01]) (\d+)")
_NUMBER = re.compile(rb"0|[1-9]\d{0,18}")
_BATCH = re.compile(rb"(\d+)-1")
_NS = 2**63
_REMOVE_STREAM = "delete the scan of this stream, with force=True, or put the key right with redis-cli"


class Numbers(NamedTuple):
    """What is kept about the points of a stream."""

    first: int
    length: int
    nbytes: int
    """That were ever written."""
    trimmed: int
    """Bytes before the first point."""
    is_sealed: bool
    place: int
    """The number of the key that has the batches."""

    @property
    def extent(self) -> Extent:
        """As readers know it."""
        return Extent(self.first, self.length, self.is_sealed)


class About(NamedTuple):
    """What is said about an entry."""

    npoint: int
    time_ns: int
    offset: int


@contextlib.contextmanager
def _reading(key: str, what_to_do: str) -> Iterator[None]:
    """Whatever goes wrong with the value of a key is the fault of the value."""
    try:
        yield
    except _UNFIT as error:
        raise _unfit(key, f"{type(error).__name__}: {str(error)[:200]}", what_to_do) from error


def _unfit(key: str, why: str, what_to_do: str) -> DataError:
    return DataError(f"{key} on the Redis server is not as labdaq writes it ({why}): {what_to_do}")


def wrong_type(command: Sequence[Any]) -> DataError:
    """What to say when a command finds another kind of value behind its key."""
    name, *rest = command
    keys = (
        rest[2 : 2 + int(rest[1])] if name == "EVAL" else rest[rest.index("STREAMS") + 1 :] if name == "XREAD" else rest
    )
    key = keys[0] if len(keys) == 1 or name not in {"EVAL", "XREAD"} else f"one of {', '.join(map(str, keys[:6]))}"
    return _unfit(str(key), "another type of value", "look with redis-cli TYPE which one, and remove it with DEL")


# ---- numbers and texts


def _number(data: bytes, most: int = MOST) -> int:
    if _NUMBER.fullmatch(data) is None or int(data) > most:
        raise ValueError(f"{data!r} is no number from 0 to {most}")
    return int(data)


def count_of(reply: Any) -> int:
    """A number that a script gives, as a number or as a text."""
    with _reading("the answer of a script", "is this a Redis server?"):
        return int(reply)


def state_of(reply: Any, key: str) -> ScanState:
    """The state of a scan."""
    what_to_do = "set it to 0 to 4 with redis-cli HSET, or remove the scan with store.engine.remove"
    with _reading(f"state of {key}", what_to_do):
        return ScanState(_number(reply, max(ScanState)))


def tag_of(reply: Any) -> str:
    """The time tag of the newest scan."""
    with _reading(LAST_TAG, "remove it with redis-cli DEL; the next scan writes it anew"):
        tag: str = FIRST_TAG if reply is None else reply.decode()
        tag_order(tag)
        return tag


def fields_of(reply: Any) -> tuple[str, ...]:
    """Identity fields, whatever they are called."""
    return tuple(dict.fromkeys(data.decode(errors="replace") for data in reply))


def keys_of(reply: Sequence[Any], kind: str, place: str) -> list[str]:
    """Keys of scans or streams that are listed in a key."""
    return [_key(data, kind, place) for data in reply]


def _key(data: bytes, kind: str, place: str) -> str:
    with _reading(place, "remove the member that is no key, with redis-cli"):
        return check_key(data.decode(), kind)


def last_id(entries: Any) -> bytes:
    """Where to go on reading a Redis stream."""
    found: bytes = entries[0][0] if entries else b"0-0"
    return found


# ---- scans


def scan_of(reply: Any, key: str) -> ScanRecord:
    """A scan, from its fields created_ns, identity, info, state and streams."""
    created, identity, info, state, streams = reply
    known_state = state_of(state, key)
    with _reading(key, "delete this scan with store.delete_scan, or put it right with redis-cli HSET"):
        who = from_json_text(identity)
        IdentityModel(who).checked(who)
        about = _mapping(from_json_text(info))
        known = from_json_text(streams)
        if not isinstance(known, list):
            raise TypeError(f"streams are {type(known).__name__}")
        records = tuple(_stream(stream) for stream in known)
        return ScanRecord(key, _number(created, _NS), who, about, known_state, records)


def stream_of(reply: bytes, key: str) -> StreamRecord:
    """A stream, from what was declared."""
    with _reading(stream_keys(key)[2], _REMOVE_STREAM):
        record = _stream(from_json_text(reply))
        if record.key != key:
            raise ValueError(f"it describes {record.key}")
        return record


def _stream(found: Any) -> StreamRecord:
    record = StreamRecord(**_mapping(found))
    check_key(record.key, "stream")
    check_key(record.scan_key, "scan")
    if not isinstance(record.name, str):
        raise TypeError(f"the name of a stream is {record.name!r}")
    _mapping(record.encoding)
    _mapping(record.info)
    return record


def _mapping(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TypeError(f"{type(found).__name__} instead of an object")
    return found


def tag_and_key(entries: Any) -> tuple[str, str] | None:
    """Of the first of some entries in the list of scans."""
    if not entries:
        return None
    number = entries[0][0]
    with _reading(f"entry {number.decode()} of {SCANS}", f"remove it with redis-cli XDEL {SCANS} {number.decode()}"):
        _k, key, _t, tag = entries[0][1]
        tag_order(tag.decode())
        return tag.decode(), check_key(key.decode(), "scan")


# ---- streams


def numbers_of(reply: Any, key: str, name: str) -> Numbers:
    """What is kept about the points of a stream; the scripts refuse the same as this does.

    Raises
    ------
    ScanNotFoundError
        There is no such stream.
    DataError
        It is damaged.
    """
    if isinstance(reply, DataError):
        raise reply
    if not reply:
        raise ScanNotFoundError(f"stream {name!r} was deleted with its scan")
    with _reading(stream_keys(key)[1], _REMOVE_STREAM):
        mark, text = reply[0][1]
        found = _EXTENT.fullmatch(text) if mark == b"e" else None
        if found is None:
            raise ValueError(f"{text[:80]!r} does not say which points there are")
        first, length, nbytes, trimmed, sealed, place = map(_number, found.groups())
        if first > length or trimmed > nbytes:
            raise ValueError(f"{text!r} are points that cannot be")
        return Numbers(first, length, nbytes, trimmed, bool(sealed), place)


def claim_of(reply: Sequence[Any]) -> tuple[int, int, str]:
    """Length, bytes, and where batches go, from a claim that was granted."""
    _ok, length, nbytes, place = reply
    return count_of(length), count_of(nbytes), str(count_of(place))


def author_of(text: bytes) -> str:
    """Who claimed a stream, in words."""
    try:
        author = json.loads(text)
        return f"process {author['pid']} of {author['host']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return "somebody else"


def batch_of(entry: Any, place: str) -> Batch:
    """The batch in an entry of a key."""
    try:
        number, (_m, about, _p, payload) = entry
        start, npoint = int(_BATCH.fullmatch(number)[1]), ABOUT.unpack(about)[0]  # type: ignore[index]
        if npoint == 0:  # who reads on behind it would never come any further
            raise ValueError("there is no point in it")
    except _UNFIT as error:
        raise _unfit(f"entry {str(entry)[:80]} of {place}", str(error)[:200], _REMOVE_STREAM) from error
    return Batch(start, npoint, payload)


def about_of(reply: Sequence[Any], key: str) -> tuple[int, About]:
    """The first point of an entry, and what is said about it."""
    with _reading(f"a batch of {key}", _REMOVE_STREAM):
        number, about = reply
        return int(_BATCH.fullmatch(number)[1]), About(*ABOUT.unpack(about))  # type: ignore[index]
