"""Finding scans by what somebody typed."""

import json
import re
import time
from typing import Any

from labdaq.errors import LayoutError, ScanNotFoundError
from labdaq.store import DataStore, Scan

__all__ = ["differences", "find_scans", "label_of_scan", "parse_search"]

_OF_COURSE = ("number", "path", "process.", "clock")
"""No two scans have these in common."""
_RANGE = re.compile(r"^(\d*)-(\d*)$")


def parse_search(text: str) -> tuple[dict[str, Any], list[str]]:
    """Fields of the identity, and words that have to occur in what was said.

    Examples
    --------
    >>> parse_search("name=muon* number=3-9 session=7 lead")
    ({'name': 'muon*', 'number': (3, 9), 'session': '7'}, ['lead'])
    """
    fields: dict[str, Any] = {}
    words = []
    for term in text.split():
        field, is_field, value = term.partition("=")
        if not is_field:
            words.append(term.lower())
        elif field == "number" and (ends := _RANGE.match(value)) is not None:
            fields[field] = tuple(int(end) if end else None for end in ends.groups())
        else:
            fields[field] = int(value) if field == "number" and value.isdecimal() else value
    return fields, words


def find_scans(store: DataStore, text: str, most: int) -> list[Scan]:
    """The newest scans that fit.

    Raises
    ------
    LayoutError
        A field that was named does not exist; lists those that do.
    """
    fields, words = parse_search(text)
    _tag, keys = store.search_existing_scans(order="newest", limit=None if words else most, **fields)
    found: list[Scan] = []
    for key in keys:
        if len(found) == most:
            break
        try:
            scan = store.load_scan(key)
        except ScanNotFoundError:  # deleted meanwhile
            continue
        said = f"{label_of_scan(scan)} {json.dumps([scan.identity, scan.info], default=str)}".lower()
        if all(word in said for word in words):
            found.append(scan)
    return found


def label_of_scan(scan: Scan) -> str:
    """A line of a list."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(scan.created_ns / 1e9))
    comment = str(scan.info.get("comment") or "")
    parts = [f"{scan.identity['name']} {scan.identity['number']}", made, scan.state.name.lower(), comment[:60]]
    return "  ·  ".join(part for part in parts if part)


def differences(scans: list[Scan], most: int = 40) -> dict[str, list[str]]:
    """What was said about scans and is not the same for all of them; clocks and processes are left out.

    Parameters
    ----------
    scans
        Two or more.
    most
        At most so many differences.

    Returns
    -------
    dict
        Texts by name, in the order of the scans; empty where nothing was said.

    Raises
    ------
    LayoutError
        Fewer than two scans.
    """
    if len(scans) < 2:
        raise LayoutError(f"{len(scans)} scan: two or more are compared")
    flat = [dict(_leaves({**scan.identity, **scan.info})) for scan in scans]
    names = [name for name in dict.fromkeys(name for one in flat for name in one) if not name.startswith(_OF_COURSE)]
    rows = {name: [one.get(name, "") for one in flat] for name in names}
    return dict([(name, texts) for name, texts in rows.items() if len(set(texts)) > 1][:most])


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        prefix = f"{name}." if name else ""
        return [leaf for key, one in value.items() for leaf in _leaves(one, f"{prefix}{key}")]
    return [(name, "" if value is None else str(value)[:60])]
