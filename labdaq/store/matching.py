"""Whether a scan is what a search asks for: for engines that look at one after the other."""

from labdaq.store.engine import ScanRecord
from labdaq.store.identity import Query

__all__ = ["matches"]


def matches(record: ScanRecord, query: Query) -> bool:
    """Whether a scan matches every term of a query; a text never equals a number.

    Examples
    --------
    >>> scan = ScanRecord("…", 0, {"name": "muon_2", "number": 2})
    >>> matches(scan, Query(prefix={"name": "muon"}, ranges={"number": (1, 2)}))
    True
    """
    identity = record.identity
    return (
        all(_same_kind(identity.get(name), value) and identity[name] == value for name, value in query.exact.items())
        and all(
            isinstance(value := identity.get(name), str) and value.startswith(start)
            for name, start in query.prefix.items()
        )
        and all(_within(identity.get(name), low, high) for name, (low, high) in query.ranges.items())
        and _within(record.created_ns, *query.created_ns)
    )


def _same_kind(value: object, term: object) -> bool:
    return value is not None and isinstance(value, str) == isinstance(term, str)


def _within(value: str | float | None, low: str | float | None, high: str | float | None) -> bool:
    """Whether a value lies between two limits, themselves included; texts are ordered by code points."""
    if value is None:
        return False
    ends = [end for end in (low, high) if end is not None]
    if not all(_same_kind(value, end) for end in ends):
        return False
    return (low is None or value >= low) and (high is None or value <= high)  # type: ignore[operator]
