"""Which points of which streams leave the store together: as they were at one moment, in batches that fit in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labdaq.errors import IndexNoMoreThereError, LayoutError, NotFoundError
from labdaq.store.encoding import to_json_text
from labdaq.store.exchange import fallback
from labdaq.store.stream import Stream

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["Selected", "about", "aligned", "batches", "is_scalar", "label_of", "native", "pieces", "select", "unit_of"]

BATCH_NBYTES = 2**24
_FIRST_GUESS = 16  # points of a stream whose points differ in size
_MOST = 2**16


@dataclass(frozen=True)
class Selected:
    """Points of a stream: from start to stop."""

    stream: Stream
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The name of the stream."""
        return self.stream.name

    @property
    def npoint(self) -> int:
        """How many points."""
        return self.stop - self.start

    def read(self, start: int | None = None, stop: int | None = None) -> Any:
        """The points, or some of them."""
        begin, end = self.start if start is None else start, self.stop if stop is None else stop
        if begin >= end:
            return self.stream.encoder.decode([], 0, 0)
        return self.stream.points(begin, end, self.stream.extent())


def select(scan: "Scan", names: Iterable[str] | None = None, *, skip_trimmed: bool = False) -> list[Selected]:
    """What there is of streams at this moment.

    Parameters
    ----------
    names
        Which streams; None: all.
    skip_trimmed
        Go on without points that were trimmed and that no file has.

    Raises
    ------
    NotFoundError
        There is no such stream; lists those that there are.
    IndexNoMoreThereError
        Points were trimmed.
    """
    streams = scan.streams
    wanted = list(streams) if names is None else list(dict.fromkeys([names] if isinstance(names, str) else names))
    unknown = [name for name in wanted if name not in streams]
    if unknown:
        there = ", ".join(streams) or "none"
        raise NotFoundError(f"no stream {', '.join(map(repr, unknown))} in this scan; there are: {there}")
    if not wanted:
        return []
    extents = streams[wanted[0]].engine.extents([streams[name].log for name in wanted])
    found = []
    for name, extent in zip(wanted, extents, strict=True):
        first = fallback.first_there(streams[name], extent)
        if first > 0 and not skip_trimmed:
            raise IndexNoMoreThereError(
                f"points before {first} of {name!r} were removed to make room; skip_trimmed=True goes on without them"
            )
        found.append(Selected(streams[name], first, extent.length))
    return found


def aligned(selected: list[Selected], *, shortest: bool = False) -> list[Selected]:
    """The same, from one index to one other: rows of a table.

    Raises
    ------
    LayoutError
        The streams differ in length, and are not to be cut to the shortest; lists the lengths.
    """
    if not selected:
        return []
    start, stops = max(s.start for s in selected), {s.stop for s in selected}
    if len(stops) > 1 and not shortest:
        lengths = ", ".join(f"{s.name} {s.stop}" for s in selected)
        raise LayoutError(
            f"these streams differ in length and make no table: {lengths}. Name streams that belong together, or cut "
            "them with shortest=True"
        )
    stop = min(stops)
    return [replace(s, start=min(start, stop), stop=stop) for s in selected]


def pieces(selected: list[Selected], nbytes: int = BATCH_NBYTES, most: int = _MOST) -> Iterator[tuple[int, list[Any]]]:
    """Rows in pieces of about this size: the index at which each begins, and the points of each stream.

    Parameters
    ----------
    selected
        Streams that are aligned, at least one.
    nbytes
        What a piece takes, unless a single row takes more.
    most
        Rows in a piece, at most.
    """
    sizes = [s.stream.encoder.point_nbytes for s in selected]
    known = sum(size or 0 for size in sizes)
    is_known = None not in sizes
    count = max(1, nbytes // max(1, known)) if is_known else _FIRST_GUESS
    start = selected[0].start
    while start < selected[0].stop:
        stop = min(selected[0].stop, start + min(count, most))
        rows = [s.read(start, stop) for s in selected]
        yield start, rows
        if not is_known:
            varying = sum(_size(p) for points, size in zip(rows, sizes, strict=True) if size is None for p in points)
            mean = known + varying // (stop - start)
            count = max(1, min(2 * count, nbytes // max(1, mean)))
        start = stop


def batches(selected: Selected, nbytes: int = BATCH_NBYTES) -> Iterator[tuple[int, Any]]:
    """The points of one stream in pieces of about this size, and the index at which each begins."""
    for start, (points,) in pieces([selected], nbytes):
        yield start, points


def _size(point: Any) -> int:
    """About what a point takes."""
    return int(point.nbytes) if hasattr(point, "nbytes") else len(to_json_text(point))


def native(points: Any) -> Any:
    """An array in the byte order of this machine: what other programs want."""
    return points.astype(points.dtype.newbyteorder("="), copy=False)


def is_scalar(stream: Stream) -> bool:
    """Whether its points are single real numbers."""
    return stream.shape == () and stream.dtype.kind in "biuf"


def unit_of(stream: Stream) -> str | None:
    """The unit that was given with a stream, as ``unit`` or ``units``."""
    return _text(stream.info, "unit", "units")


def label_of(stream: Stream) -> str | None:
    """The label that was given with a stream."""
    return _text(stream.info, "label", "long_name")


def _text(info: Mapping[str, Any], *keys: str) -> str | None:
    return next((info[key] for key in keys if isinstance(info.get(key), str)), None)


def about(scan: "Scan") -> dict[str, Any]:
    """Who a scan is, as plain JSON: its identity, key, state, the time when it was made, and its info."""
    identity = {name: value for name, value in scan.identity.items() if value is not None}
    created = datetime.fromtimestamp(scan.created_ns / 1e9, UTC).isoformat()
    return {**identity, "key": scan.key, "state": scan.state.name, "created": created, "info": dict(scan.info)}
