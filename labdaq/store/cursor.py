"""Cursors: reading heads that follow streams while these are written."""

from collections.abc import Iterable, Mapping
from typing import Any

from labdaq.errors import EndOfStream, IndexNoMoreThereError, LayoutError
from labdaq.store.engine import Extent
from labdaq.store.exchange.fallback import first_there
from labdaq.store.stream import Stream
from labdaq.store.waiting import deadline_of, patiently

__all__ = ["Cursor", "CursorGroup"]


class Cursor:
    """A reading head over one stream; it only moves forward. Used by one thread at a time.

    Attributes
    ----------
    position : int
        Index of the next point to be read.
    skipped : int
        Points that were passed over: asked for by ``count < 0``, or by `skip_trimmed`.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.position = 0
        self.skipped = 0
        self._refused = -1  # where the last read failed since points were trimmed

    def read(
        self, block: bool = True, timeout: float | None = 0, count: int = 0, *, last_only: bool = False
    ) -> tuple[int, Any]:
        """Read what came since the last time.

        Parameters
        ----------
        block
            Wait until there is something.
        timeout
            For how many seconds at most; 0 or None: for ever.
        count
            At most so many points; 0: all that there are, which of a long stream may be more than fits in memory;
            negative: pass over all but the last so many.
        last_only
            The same as ``count=-1``.

        Returns
        -------
        index : int
            Of the first point.
        data : array or list
            The points; the empty list when nothing came.

        Raises
        ------
        EndOfStream
            All was read, and the stream is sealed; or its writer died.
        IndexNoMoreThereError
            Points that were to be read next were trimmed; `skip_trimmed` goes on behind them.
        """
        return self._read(_checked(count, last_only), block, timeout)

    def read_batches(self, count: int, block: bool = True, timeout: float | None = 0) -> tuple[int, Any]:
        """Read as `read` does, at least one point: so many, or to the end of the batch in which the last of them is.

        For those who read a long stream piece by piece: points of JSON or of varying shape take as long one by one as
        their whole batch does.
        """
        return self._read(max(1, count), block, timeout, whole=True)

    def _read(self, count: int, block: bool, timeout: float | None, *, whole: bool = False) -> tuple[int, Any]:
        if not _await([self], block, deadline_of(timeout)):
            return self.position, []
        extent = self.stream.extent()
        if extent.length <= self.position:
            raise EndOfStream(f"stream {self.stream.name!r} ended after {extent.length} points, and all were read")
        start, stop, points = self._look(extent, count, whole=whole)
        self._advance(start, stop)
        return start, points

    def _is_ready(self, extent: Extent) -> bool:
        return extent.length > self.position or extent.is_sealed

    def _look(self, extent: Extent, count: int, *, whole: bool = False) -> tuple[int, int, Any]:
        """What is to be read of an extent in which there is something: from where, to where, and the points."""
        start = self.position if count >= 0 else max(self.position, extent.length + count)
        stop = extent.length if count <= 0 else min(extent.length, start + count)
        try:
            points = (self.stream.whole_batches if whole else self.stream.points)(start, stop, extent)
        except IndexNoMoreThereError:
            self._refused = start
            raise
        return start, start + len(points), points

    def _advance(self, start: int, stop: int) -> None:
        self.skipped += start - self.position
        self.position = stop

    def skip_trimmed(self) -> int:
        """Go on at the first point that there is, in the store or in a file; how many were passed over.

        Points that a file should have are passed over, too, if the last `read` could not get them from it.
        """
        extent = self.stream.extent()
        first = first_there(self.stream, extent) if extent.first > self.position else 0
        if first <= self.position == self._refused:  # a file says that it has them, and does not give them
            first = extent.first
        lost = max(0, first - self.position)
        self.position += lost
        self.skipped += lost
        return lost

    def __repr__(self) -> str:
        return f"<cursor at {self.position} of {self.stream!r}>"


class CursorGroup:
    """Reading heads over several streams of one store, which wait together.

    Parameters
    ----------
    streams
        The streams, or a mapping of which they are the values.

    Attributes
    ----------
    cursors : dict of Stream to Cursor
    """

    def __init__(self, streams: Iterable[Stream] | Mapping[Any, Stream]) -> None:
        given = list(streams.values() if isinstance(streams, Mapping) else streams)
        if not given:
            raise LayoutError("there is no stream to be read")
        if any(stream.engine is not given[0].engine for stream in given):
            raise LayoutError("these streams are of several stores: make a group for each")
        self.cursors = {stream: Cursor(stream) for stream in given}
        self._ended: set[Stream] = set()

    @property
    def position(self) -> dict[Stream, int]:
        """Index of the next point of each stream."""
        return {stream: cursor.position for stream, cursor in self.cursors.items()}

    def read(
        self, block: bool = True, timeout: float | None = 0, count: int = 0, *, last_only: bool = False
    ) -> dict[Stream, tuple[int, Any]]:
        """Read what came since the last time: index and points of those streams for which something came.

        The arguments are those of `Cursor.read`; this returns as soon as any stream has something.

        Raises
        ------
        EndOfStream
            All streams have ended, and all was read.
        IndexNoMoreThereError
            Points that were to be read next were trimmed from one of them; no cursor moved.
        """
        count = _checked(count, last_only)
        deadline = deadline_of(timeout)
        cursors = [cursor for stream, cursor in self.cursors.items() if stream not in self._ended]
        while cursors:
            if not _await(cursors, block, deadline):
                return {}
            found = self._take(cursors, count)
            if found:
                return found
            cursors = [cursor for cursor in cursors if cursor.stream not in self._ended]
        raise EndOfStream(f"all {len(self.cursors)} streams have ended, and all was read")

    def _take(self, cursors: list[Cursor], count: int) -> dict[Stream, tuple[int, Any]]:
        found: dict[Cursor, tuple[int, int, Any]] = {}
        extents = cursors[0].stream.engine.extents([cursor.stream.log for cursor in cursors])
        for cursor, extent in zip(cursors, extents, strict=True):
            if extent.length > cursor.position:
                found[cursor] = cursor._look(extent, count)
            elif extent.is_sealed:
                self._ended.add(cursor.stream)
        for cursor, (start, stop, _points) in found.items():
            cursor._advance(start, stop)
        return {cursor.stream: (start, points) for cursor, (start, _stop, points) in found.items()}

    def __repr__(self) -> str:
        return f"<cursors over {len(self.cursors)} streams>"


def _checked(count: int, last_only: bool) -> int:
    if last_only and count not in {0, -1}:
        raise LayoutError(f"count={count} and last_only=True contradict each other")
    return -1 if last_only else count


def _await(cursors: list[Cursor], block: bool, deadline: float | None) -> bool:
    """Wait until one of the cursors has something to read, or has come to an end."""
    engine = cursors[0].stream.engine
    logs = [cursor.stream.log for cursor in cursors]
    keys = [cursor.stream.key for cursor in cursors]

    def is_ready() -> bool:
        return any(cursor._is_ready(extent) for cursor, extent in zip(cursors, engine.extents(logs), strict=True))

    def lost() -> str | None:
        """Who died, when all writers did."""
        gone = [log.lost_writer() for log in logs]
        return gone[0] if all(gone) else None

    return is_ready() or (block and patiently(engine, is_ready, keys, deadline, lost))
