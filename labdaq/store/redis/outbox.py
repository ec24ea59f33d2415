"""What waits to be sent to one stream of a Redis server, and what a batch looks like there.

An entry of the Redis stream has the id ``<index of its first point>-1`` and two fields: ``m``, how many points it
holds, when they were sent (ns, UTC) and how many bytes were sent before; and ``p``, their bytes. Small batches that
are sent within a millisecond share an entry, where their bytes may simply be joined.

A box is always in one of five states. Nothing says so but what it holds, so nothing can be out of step:

==========  =======  =======  =========  =============================================================
state       `queue`  `sent`   `error`    among those that are ready to be sent
==========  =======  =======  =========  =============================================================
empty       empty    empty    None       no
waiting     some     empty    None       yes
on its way  any      some     None       no, except when more was added meanwhile; the thread has it
unanswered  any      some     None       yes; after a refusal with `refused_since`, and from `retry_at` on
failed      empty    empty    an error   no, and never again
==========  =======  =======  =========  =============================================================

`add` makes an empty box wait, and changes no other state. `take` puts it on its way: what is unanswered as it was,
else the first of what waits. From there `acknowledge` makes it empty or waiting; `refuse`, or a connection that
breaks, unanswered. `fail` may come at any time, even while a box is on its way: what the server says of it then is not
heard any more. A box that was dropped has failed, and the sender has forgotten it.

Always: `npending` and `pending_nbytes` are those of `sent` and `queue` together, whose entries follow each other, up to
`length`. `refused_since` is set only while there is something in `sent`.
"""

import struct
from collections import deque
from typing import Any

from labdaq.errors import LabdaqError, LayoutError
from labdaq.store.redis.scripts import COMMIT, stream_keys

__all__ = ["ABOUT", "Entry", "Outbox", "bulk"]

ABOUT = struct.Struct("<IQQ")
_SMALL = 4096  # a batch of more bytes has an entry of its own
_JOINED = 2**16  # bytes of an entry which batches share
_JOIN_NS = 1_000_000
_LARGEST = 2**23  # a batch of more bytes becomes several entries, where that is possible
_SOON_S = 0.2
_LIMIT = 2**29 - 2**16  # bytes that Redis takes as one value


def bulk(value: str | bytes) -> bytes:
    """An argument of a command, as Redis reads it."""
    data = value.encode() if isinstance(value, str) else value
    return b"$%d\r\n%b\r\n" % (len(data), data)


_MULTI = b"*1\r\n" + bulk("MULTI")
_EXEC = b"*1\r\n" + bulk("EXEC")
_M, _P = bulk("m"), bulk("p")


class Entry:
    """Points that are sent together."""

    __slots__ = ("count", "offset", "payload", "start", "time_ns")

    def __init__(self, start: int, count: int, time_ns: int, offset: int, payload: Any) -> None:
        self.start = start
        self.count = count
        self.time_ns = time_ns
        self.offset = offset
        self.payload = payload


class Outbox:
    """The points of one writer that are not acknowledged; used under the lock of the sender.

    Attributes
    ----------
    length, nbytes : int
        Points and bytes of the stream, with those that wait.
    sent : list of Entry
        What was sent, and is sent again just so if no answer comes; goes before what is in `queue`.
    is_retry : bool
        Whether it was sent before.
    npending, pending_nbytes : int
        Points and bytes that wait.
    error : LabdaqError or None
        Why nothing can be sent any more.
    is_reported : bool
        Whether somebody was told of that error.
    nlost : int
        Points that were lost by it.
    refused_since, refusal
        Since when (monotonic clock) and why the server does not take them.
    """

    def __init__(
        self, key: str, name: str, token: str, *, place: str, point_nbytes: int | None, length: int, nbytes: int
    ) -> None:
        self.key = key
        self.name = name
        self.token = token
        self.length = length
        self.nbytes = nbytes
        self.queue: deque[Entry] = deque()
        self.sent: list[Entry] = []
        self.is_retry = False
        self.npending = 0
        self.pending_nbytes = 0
        self.error: LabdaqError | None = None
        self.is_reported = False
        self.nlost = 0
        self.refused_since: float | None = None
        self.refusal = ""
        self.retry_at = 0.0
        self._point_nbytes = point_nbytes
        keys = stream_keys(key)
        self._add = b"*8\r\n" + b"".join(map(bulk, ("XADD", f"{key}:{place}", "NOMKSTREAM")))
        commit = "EVAL", COMMIT, str(len(keys)), *keys, token
        self._commit = b"*%d\r\n" % (len(commit) + 3) + b"".join(map(bulk, commit))

    # ------------------------------------------------------------------------------------- filling

    def check(self, nbytes: int, count: int) -> None:
        """Whether a batch fits into entries at all.

        Raises
        ------
        LayoutError
            It does not.
        """
        largest = nbytes if self._point_nbytes is None else self._point_nbytes
        if largest > _LIMIT:
            raise LayoutError(
                f"{'a batch' if self._point_nbytes is None else 'a point'} of {largest} bytes is too large for a Redis "
                f"server, which takes up to {_LIMIT}; these are {count} points: send fewer at once"
            )

    def add(self, payload: Any, count: int, time_ns: int) -> None:
        """Let a batch wait; its bytes are copied."""
        nbytes = len(payload)
        if nbytes > _SMALL or self._point_nbytes is None:
            self._add_entries(payload, count, time_ns)
        elif self.queue and self._may_join(self.queue[-1], nbytes, time_ns):
            last = self.queue[-1]
            last.payload += payload
            last.count += count
        else:
            self.queue.append(Entry(self.length, count, time_ns, self.nbytes, bytearray(payload)))
        self.length += count
        self.nbytes += nbytes
        self.npending += count
        self.pending_nbytes += nbytes

    def _may_join(self, last: Entry, nbytes: int, time_ns: int) -> bool:
        return (
            0 <= time_ns - last.time_ns <= _JOIN_NS
            and type(last.payload) is bytearray
            and len(last.payload) + nbytes <= _JOINED
        )

    def _add_entries(self, payload: Any, count: int, time_ns: int) -> None:
        if self._point_nbytes is None or len(payload) <= _LARGEST:
            self.queue.append(Entry(self.length, count, time_ns, self.nbytes, bytes(payload)))
            return
        size = max(1, _LARGEST // self._point_nbytes)
        view = memoryview(payload)
        for at in range(0, count, size):
            part, offset = min(size, count - at), at * self._point_nbytes
            kept = bytes(view[offset : offset + part * self._point_nbytes])
            self.queue.append(Entry(self.length + at, part, time_ns, self.nbytes + offset, kept))

    # ------------------------------------------------------------------------------------- sending

    def take(self, room: int) -> int:
        """Choose what is sent next, unless that was done; how many bytes these are."""
        self.is_retry = bool(self.sent)
        if not self.sent:
            taken = 0
            while self.queue and (taken == 0 or taken + len(self.queue[0].payload) <= room):
                entry = self.queue.popleft()
                taken += len(entry.payload)
                self.sent.append(entry)
        return sum(len(entry.payload) for entry in self.sent)

    def commands(self, entries: list[Entry]) -> list[Any]:
        """What sends entries, in pieces, as Redis reads it: one transaction, of which all is done or nothing."""
        pieces: list[Any] = [_MULTI]
        for entry in entries:
            about = ABOUT.pack(entry.count, entry.time_ns, entry.offset)
            number = bulk(b"%d-1" % entry.start)
            pieces += (b"%b%b%b%b$%d\r\n" % (self._add, number, _M, bulk(about) + _P, len(entry.payload)),)
            pieces += (entry.payload, b"\r\n")
        last = entries[-1]
        numbers = entries[0].start, last.start + last.count, last.offset + len(last.payload)
        return [*pieces, self._commit, *(bulk(str(number)) for number in numbers), _EXEC]

    def acknowledge(self) -> tuple[int, int]:
        """What was sent has arrived; how many points and bytes these were."""
        npoint = sum(entry.count for entry in self.sent)
        nbytes = sum(len(entry.payload) for entry in self.sent)
        self.sent = []
        self.npending -= npoint
        self.pending_nbytes -= nbytes
        self.refused_since = None
        return npoint, nbytes

    def refuse(self, why: str, now: float) -> None:
        """The server does not take what was sent; it is asked again a little later."""
        self.refused_since = now if self.refused_since is None else self.refused_since
        self.refusal = why
        self.retry_at = now + _SOON_S

    def fail(self, error: LabdaqError) -> tuple[int, int]:
        """Nothing more can be sent; how many points and bytes are lost by that."""
        lost = self.npending, self.pending_nbytes
        self.queue.clear()
        self.sent = []
        self.length -= self.npending
        self.nlost += self.npending
        self.npending = self.pending_nbytes = 0
        self.refused_since = None
        self.error = error
        return lost
