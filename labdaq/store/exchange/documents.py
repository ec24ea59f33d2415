"""Scans as the documents of Bluesky's event model: for programs that know those.

A scan is a run; streams of one length are the data keys of one descriptor, of which that with most streams is called
``primary`` and any other by its first stream. Each point is an event. Dots and slashes in the names of streams, which
are not allowed there, become underscores.

Times of events are those of the stream ``<name>.timestamp_ns`` beside it, or ``timestamp_ns``. Where there is none,
all events of a page bear the time when the last of them was in the store.

Everything is plain JSON: a complex number is ``[real, imaginary]``, a time is ISO 8601, a point of a JSON stream is
its text. NaN and the infinities, which JSON does not have, are null, in points and in infos.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.store.encoding import from_json_text, to_json_text
from labdaq.store.exchange.selection import Selected, about, is_scalar, pieces, select, unit_of
from labdaq.store.exchange.times import ended_ns, written_ns
from labdaq.store.keys import created_ns, ulid_of
from labdaq.store.states import ScanState
from labdaq.store.stream import Stream

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["Document", "documents"]

Document = tuple[str, dict[str, Any]]

PAGE_NBYTES = 2**20
PAGE_NPOINT = 1000
_CLOCK = "timestamp_ns"
_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "M": "string", "m": "integer"}


def documents(scan: "Scan", *, skip_trimmed: bool = False) -> Iterator[Document]:
    """The documents of a scan: ``start``, and for each descriptor its ``event_page``; ``stop`` when it has stopped.

    Doing it again yields the same identifiers.

    Parameters
    ----------
    skip_trimmed
        Go on without points that were trimmed; numbers of events count from the first point ever written.

    Yields
    ------
    name : str
    document : dict

    Raises
    ------
    IndexNoMoreThereError
        Points were trimmed.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     scan.create_stream("delay", NumericStreamEncoder(float), {"unit": "us"}).send([2.2, 0.7])
    ...     scan.close()
    ...     found = list(documents(scan))
    >>> [name for name, _ in found]
    ['start', 'descriptor', 'event_page', 'stop']
    >>> found[2][1]["data"]
    {'delay': [2.2, 0.7]}
    """
    yield "start", _start(scan)
    selected = select(scan, skip_trimmed=skip_trimmed)
    keys = _keys(s.name for s in selected)
    groups = _groups(selected, keys)
    for name, group in groups.items():
        yield "descriptor", _descriptor(scan, name, group, keys)
    for group in groups.values():
        for page in _pages(group, keys):
            yield "event_page", page
    if scan.state >= ScanState.STOPPED:
        yield "stop", _stop(scan, {name: group[0].npoint for name, group in groups.items()})


def _start(scan: "Scan") -> dict[str, Any]:
    told = about(scan)
    info = _strict(from_json_text(to_json_text(told.pop("info"))))
    named = {"data_session": told.get("session"), "project": told.get("proposal")}
    return {
        "uid": ulid_of(scan.key),
        "time": scan.created_ns / 1e9,
        "scan_id": told["number"],
        "plan_name": told["name"],
        **{key: value for key, value in named.items() if value is not None},
        "identity": told,
        "info": info if _are_keys(info) else to_json_text(info),
    }


def _are_keys(value: Any) -> bool:
    """Whether the event model allows the keys of an info: not empty, without dots and slashes."""
    if not isinstance(value, Mapping):
        return True
    return all(key and not set(key) & {".", "/", "\n"} and _are_keys(inner) for key, inner in value.items())


def _keys(names: Iterable[str]) -> dict[str, str]:
    """By the names of streams, what the event model allows as a key; each one once."""
    found: dict[str, str] = {}
    for name in names:
        key = name.replace(".", "_").replace("/", "_")
        while key in found.values():
            key += "_"
        found[name] = key
    return found


def _groups(selected: list[Selected], keys: Mapping[str, str]) -> dict[str, list[Selected]]:
    """Streams that begin and end together, by the names of their descriptors; the largest comes first."""
    spans: dict[tuple[int, int], list[Selected]] = {}
    for s in selected:
        spans.setdefault((s.start, s.stop), []).append(s)
    groups = sorted(spans.values(), key=len, reverse=True)
    named: dict[str, list[Selected]] = {}
    for i, group in enumerate(groups):
        name = "primary" if i == 0 else keys[group[0].name]
        while name in named:
            name += "_"
        named[name] = group
    return named


def _descriptor(scan: "Scan", name: str, group: list[Selected], keys: Mapping[str, str]) -> dict[str, Any]:
    data_keys = {keys[s.name]: _data_key(s.stream) for s in group}
    shown = [keys[s.name] for s in group if is_scalar(s.stream) and not s.name.endswith(_CLOCK)]
    return {
        "uid": ulid_of(group[0].stream.key),
        "run_start": ulid_of(scan.key),
        "time": created_ns(group[0].stream.key) / 1e9,
        "name": name,
        "data_keys": data_keys,
        "object_keys": {key: [key] for key in data_keys},
        "hints": {key: {"fields": [key]} for key in shown},
    }


def _data_key(stream: Stream) -> dict[str, Any]:
    key: dict[str, Any] = {"source": stream.key, "object_name": stream.name, "dtype": "string", "shape": []}
    if stream.dtype is not None and stream.shape is not None:
        is_complex = stream.dtype.kind == "c"
        shape = [None if n == -1 else n for n in stream.shape] + [2] * is_complex
        numbers = np.empty(0, stream.dtype).real.dtype if is_complex else stream.dtype
        key |= {"dtype": "array" if shape else _KINDS[numbers.kind], "shape": shape, "dtype_numpy": numbers.str}
    unit = unit_of(stream)
    if unit is None and stream.dtype is not None and stream.dtype.kind == "m":
        unit = np.datetime_data(stream.dtype)[0]
    return key if unit is None else key | {"units": unit}


def _pages(group: list[Selected], keys: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    descriptor, clocks = ulid_of(group[0].stream.key), _clocks(group)
    for start, rows in pieces(group, PAGE_NBYTES, PAGE_NPOINT):
        points = {s.name: row for s, row in zip(group, rows, strict=True)}
        stop = start + len(rows[0])
        times = {name: (np.asarray(points[name]) / 1e9).tolist() for name in set(clocks.values())}
        written = [written_ns(group[0].stream, stop - 1) / 1e9] * (stop - start) if len(clocks) < len(group) else []
        stamps = {keys[s.name]: times[clocks[s.name]] if s.name in clocks else written for s in group}
        numbers = list(range(start + 1, stop + 1))
        yield {
            "descriptor": descriptor,
            "uid": [f"{descriptor}-{number}" for number in numbers],
            "seq_num": numbers,
            "time": next((times[clock] for clock in clocks.values()), written),
            "timestamps": stamps,
            "data": {keys[name]: _plain(values) for name, values in points.items()},
        }


def _clocks(group: list[Selected]) -> dict[str, str]:
    """By stream, the stream that tells its times."""
    known = {s.name for s in group if s.stream.shape == () and s.stream.dtype.kind in "iu"}
    found = {}
    for s in group:
        prefixes = (s.name, s.name.rpartition(".")[0])
        names = [f"{prefix}.{_CLOCK}" if prefix else _CLOCK for prefix in prefixes] + [_CLOCK]
        clock = next((name for name in names if name in known), None)
        if clock is not None:
            found[s.name] = clock
    return found


def _plain(points: Any) -> list[Any]:
    """Points as JSON has them."""
    if isinstance(points, list):
        return [_plain(point) if isinstance(point, np.ndarray) else to_json_text(_strict(point)) for point in points]
    if points.dtype.kind == "c":
        points = np.stack([points.real, points.imag], -1)
    elif points.dtype.kind == "M":
        points = np.datetime_as_string(points)
    elif points.dtype.kind == "m":
        points = points.astype(np.int64)
    values = (_finite(points) if points.dtype.kind == "f" else points).tolist()
    if not isinstance(values, list):
        raise LayoutError(f"{points!r} is no list of points")
    return values


def _finite(points: Any) -> Any:
    """Real numbers as those of Python, with None for those that JSON does not have."""
    with np.errstate(over="ignore"):
        points = points.astype(float)
    if (is_finite := np.isfinite(points)).all():
        return points
    points = points.astype(object)
    points[~is_finite] = None
    return points


def _strict(value: Any) -> Any:
    """What was JSON for us as JSON for everybody: with None for NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _strict(inner) for key, inner in value.items()}
    return [_strict(inner) for inner in value] if isinstance(value, list) else value


def _stop(scan: "Scan", numbers: dict[str, int]) -> dict[str, Any]:
    status, reason = _exit(scan.info.get("end_reason"))
    return {
        "uid": f"{ulid_of(scan.key)}-stop",
        "run_start": ulid_of(scan.key),
        "time": ended_ns(scan) / 1e9,
        "exit_status": status,
        "reason": reason,
        "num_events": numbers,
    }


def _exit(reason: Any) -> tuple[str, str]:
    """How a scan ended, by what its info says; a scan that was stopped without a word was a success."""
    if not isinstance(reason, str) or not reason:
        return "success", ""
    word = reason.lower()
    if "abort" in word or "cancel" in word:
        return "abort", reason
    return ("success" if "success" in word or "complete" in word else "fail"), reason
