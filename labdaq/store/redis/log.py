"""A stream on a Redis server, to be read and to be written."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from labdaq.errors import (
    ClosedError,
    DataError,
    IndexNoMoreThereError,
    LabdaqError,
    ResourceError,
    StateError,
)
from labdaq.store.encoding import Batch
from labdaq.store.engine import Extent, StreamRecord
from labdaq.store.redis.claim import Claim, failure
from labdaq.store.redis.link import Command, Link
from labdaq.store.redis.outbox import Outbox
from labdaq.store.redis.replies import author_of, batch_of, claim_of, count_of, numbers_of
from labdaq.store.redis.scripts import stream_keys
from labdaq.store.redis.sender import Sender

__all__ = ["RedisLog", "RedisLogWriter", "extent_command"]

_PAGE = 16  # entries, at first; then as many as make a page of so many bytes
_PAGE_NBYTES = 2**22
_MOST = 4096
_GRACE_S = 2.0  # for a writer that has lost its server and finds it again


def extent_command(key: str) -> Command:
    """What to ask for the extent of a stream."""
    return "XREVRANGE", stream_keys(key)[1], "+", "-", "COUNT", 1


class RedisLog:
    """Reads batches; keeps nothing."""

    def __init__(self, link: Link, stream: StreamRecord) -> None:
        self.key = stream.key
        self.name = stream.name
        self._link = link
        self._place = f"{stream.key}:0"
        self._missing_since: float | None = None

    def extent(self) -> Extent:
        return self.note(self._link.call(*extent_command(self.key)))

    def note(self, reply: Any) -> Extent:
        """The extent, from the answer to `extent_command`; and where the batches are from now on."""
        numbers = numbers_of(reply, self.key, self.name)
        self._place = f"{self.key}:{numbers.place}"
        return numbers.extent

    def read(self, start: int, stop: int) -> Sequence[Batch]:
        while True:
            place = self._place
            try:
                return self._read(start, stop)
            except DataError:
                if place == self._place:  # nobody took the stream over meanwhile
                    raise

    def _read(self, start: int, stop: int) -> Sequence[Batch]:
        found: list[Batch] = []
        position = start
        for batch in self._batches(start, stop):
            if not (batch.start == position or (not found and batch.start < start < batch.start + batch.npoint)):
                break
            found.append(batch)
            position = batch.start + batch.npoint
        if position < stop:
            raise self._hole(start, position)
        return found

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batch that holds a point, and those behind it, page by page."""
        place = self._place
        here: Command = "XREVRANGE", place, start, "-", "COUNT", 1
        count, at = _PAGE, start + 1
        commands = [here, self._page(at, stop, count)] if at < stop else [here]
        while commands:
            page = [batch_of(entry, place) for reply in self._link.pipeline(commands) for entry in reply]
            yield from page
            if not page or (at := page[-1].start + page[-1].npoint) >= stop:
                return
            nbytes = sum(len(batch.payload) for batch in page)
            count = min(max(_PAGE_NBYTES * len(page) // max(nbytes, 1), 1), _MOST)
            commands = [self._page(at, stop, count)]

    def _page(self, start: int, stop: int, count: int) -> Command:
        return "XRANGE", self._place, start, stop - 1, "COUNT", count

    def _hole(self, start: int, position: int) -> LabdaqError:
        """What it means that a point is not where it should be."""
        extent = self.extent()
        if start < extent.first:
            return IndexNoMoreThereError(f"points before {extent.first} of {self.name!r} were removed to make room")
        return DataError(f"point {position} of {self.name!r} is missing on the server: somebody tampered with it")

    def lost_writer(self) -> str | None:
        _batches, _extent, about, writer = stream_keys(self.key)
        commands: list[Command] = [("HGET", about, "author"), ("EXISTS", writer), extent_command(self.key)]
        author, is_alive, extent = self._link.pipeline(commands)
        if author is None or is_alive or self.note(extent).is_sealed:
            self._missing_since = None
            return None
        now = time.monotonic()
        self._missing_since = self._missing_since or now
        return author_of(author) if now - self._missing_since >= _GRACE_S else None

    def close(self) -> None:
        pass


class RedisLogWriter:
    """Puts batches into an outbox, from which the sender takes them."""

    def __init__(self, link: Link, sender: Sender, stream: StreamRecord, point_nbytes: int | None) -> None:
        sender.check_process()
        self._link = link
        self._sender = sender
        self._is_given_up = False
        self._claim = Claim(stream.key)
        reply = link.call(*self._claim.taking())
        if reply[0] != b"ok":
            raise failure(reply, stream.name)
        length, nbytes, place = claim_of(reply)
        self._box = Outbox(
            stream.key,
            stream.name,
            self._claim.token,
            place=place,
            point_nbytes=point_nbytes,
            length=length,
            nbytes=nbytes,
        )
        self.length = length
        sender.open(self._box, self._claim)

    def append(self, payload: Any, count: int) -> None:
        if self._is_given_up:
            raise StateError(f"stream {self._box.name!r} was sealed or given up here")
        self._sender.put(self._box, payload, count)
        self.length = self._box.length

    def flush(self, timeout: float | None) -> None:
        self._sender.flush(self._box, timeout)

    def seal(self, timeout: float | None) -> int:
        self.flush(timeout)
        reply = self._link.call(*self._claim.seal(self._box.length))
        if reply[0] != b"ok":
            raise failure(reply, self._box.name, start=self._box.length)
        self._is_given_up = True
        self._sender.drop(self._box)
        return count_of(reply[1])

    def close(self) -> None:
        if self._is_given_up or self._sender.is_over:
            return
        self._is_given_up, was_reported = True, self._box.is_reported
        try:
            self._sender.flush(self._box, self._link.patience_s)
        except ClosedError:  # the whole store is being closed, which sends what waits
            return
        except LabdaqError as error:
            lost = self._sender.drop(self._box)
            if lost:
                raise ResourceError(f"{lost} points of stream {self._box.name!r} are lost: {error}") from error
            if not was_reported:
                raise
            return
        self._sender.drop(self._box)
        self._link.call(*self._claim.release())
