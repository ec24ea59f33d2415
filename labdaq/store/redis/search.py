"""By which indices scans are found on a Redis server.

A sorted set for each identity field and kind of value: numbers are scores; texts are members ``<text> NUL <key>``
of score 0, which Redis keeps in the order of their bytes, and so, in UTF-8, of their code points. The time of
making, whose ns no double holds, is a text of 20 digits.
"""

from collections.abc import Iterator

from labdaq.store.engine import ScanRecord
from labdaq.store.identity import Query

__all__ = ["members", "terms"]

_CREATED = "labdaq:index:created"

Range = tuple[str, str, bytes, bytes]
End = str | float | None


def members(record: ScanRecord) -> list[tuple[str, str, bytes]]:
    """Index, score and member, of all places where a scan is listed."""
    key = record.key.encode()
    found = [(_CREATED, "0", b"%020d\0%b" % (record.created_ns, key))]
    for name, value in record.identity.items():
        if isinstance(value, str):
            found.append((_texts(name), "0", value.encode() + b"\0" + key))
        elif value is not None:
            found.append((_numbers(name), repr(float(value)), key))
    return found


def terms(query: Query) -> list[list[Range]]:
    """What a query asks for: of each term, the ranges of indices in one of which a scan must be."""
    found: list[list[Range]] = [[_equal(name, value)] for name, value in query.exact.items()]
    found += [[_prefix(name, start)] for name, start in query.prefix.items()]
    found += [list(_between(name, low, high)) for name, (low, high) in query.ranges.items()]
    if query.created_ns != (None, None):
        found.append(list(_made(*query.created_ns)))
    return found


def _texts(name: str) -> str:
    return f"labdaq:index:text:{name}"


def _numbers(name: str) -> str:
    return f"labdaq:index:number:{name}"


def _equal(name: str, value: str | float) -> Range:
    if isinstance(value, str):
        text = value.encode()
        return _texts(name), "BYLEX", b"[" + text + b"\0", b"(" + text + b"\1"
    number = repr(float(value)).encode()
    return _numbers(name), "BYSCORE", number, number


def _prefix(name: str, start: str) -> Range:
    text = start.encode()
    return _texts(name), "BYLEX", b"[" + text, b"(" + text + b"\xff"  # no byte of UTF-8 is that high


def _between(name: str, low: End, high: End) -> Iterator[Range]:
    ends = [end for end in (low, high) if end is not None]
    if not any(isinstance(end, str) for end in ends):
        least, most = (default if end is None else repr(float(end)) for end, default in ((low, "-inf"), (high, "+inf")))
        yield _numbers(name), "BYSCORE", least.encode(), most.encode()
    if all(isinstance(end, str) for end in ends):
        first = b"-" if low is None else b"[" + str(low).encode()
        last = b"+" if high is None else b"(" + str(high).encode() + b"\1"
        yield _texts(name), "BYLEX", first, last


def _made(low: int | None, high: int | None) -> Iterator[Range]:
    if high is not None and high < 0:
        return
    first = b"-" if low is None or low < 0 else b"[%020d" % low
    last = b"+" if high is None else b"(%020d\1" % high
    yield _CREATED, "BYLEX", first, last
