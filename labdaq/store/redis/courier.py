"""The connection of the sender: transactions out, verdicts back. Used by its thread alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labdaq.store.redis.claim import Claim
from labdaq.store.redis.link import Link, cut, set_timeout
from labdaq.store.redis.outbox import Entry, Outbox

__all__ = ["Courier"]

_PIECE_NBYTES = 2**18  # of what is handed to the system at once
_CONNECT_S = 2.0


class Courier:
    """A connection that is made when it is needed.

    Parameters
    ----------
    moved
        Called whenever the system took something, or the server answered.
    """

    def __init__(self, link: Link, moved: Callable[[], None]) -> None:
        self.nconnected = 0
        self._link = link
        self._moved = moved
        self._connection: Any = None

    def connect(self) -> bool:
        """Connect, if it is not; whether the connection is new."""
        if self._connection is not None:
            return False
        patience_s = self._link.patience_s
        self._connection = connection = self._link.new_connection(min(_CONNECT_S, patience_s))
        self._link.connect(connection)
        set_timeout(connection, patience_s)
        self.nconnected += 1
        return True

    def disconnect(self) -> None:
        """The next time a new connection is made."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def interrupt(self) -> None:
        """End what it waits for; any thread may."""
        cut(self._connection)

    def renew(self, claims: Sequence[Claim]) -> Iterator[Any]:
        """Renew claims; the reply to each."""
        connection = self._connection
        connection.send_packed_command(connection.pack_commands([claim.renewal() for claim in claims]))
        for _claim in claims:
            reply = self._link.reply(connection)
            self._moved()
            yield reply

    def deliver(self, boxes: Sequence[Outbox]) -> Iterator[tuple[Outbox, Any]]:
        """Send what is to be sent from outboxes; what the server says to each."""
        loads = [(box, entries) for box in boxes if (entries := box.sent)]  # it is dropped when a writer gives up
        if loads:
            self._connection.send_packed_command(self._pieces(loads))
        for box, entries in loads:
            verdict = self._verdict(len(entries), box.is_retry)
            self._moved()
            yield box, verdict

    def _pieces(self, loads: Sequence[tuple[Outbox, list[Entry]]]) -> Iterator[bytes]:
        """All commands, as pieces of a size that the system likes."""
        parts: list[Any] = []
        size = 0
        for part in (part for box, entries in loads for part in box.commands(entries)):
            parts.append(part)
            size += len(part)
            if size >= _PIECE_NBYTES:
                yield b"".join(parts)
                parts, size = [], 0
                self._moved()
        if parts:
            yield b"".join(parts)

    def _verdict(self, nentry: int, is_retry: bool) -> Any:
        """What the server said to one transaction: the reply to its commit, or a refusal."""
        connection, refused = self._connection, self._link.refused
        replies = [self._link.reply(connection) for _ in range(nentry + 3)]  # to MULTI, each XADD, EVAL, EXEC
        if (no := next((reply for reply in replies if isinstance(reply, refused)), None)) is not None:
            return no
        *added, commit = replies[-1]
        if isinstance(commit, refused) or commit != [b"ok", b"new"]:
            return commit
        is_there = (type(i) is bytes or (is_retry and "equal or smaller" in str(i)) for i in added)
        return commit if all(is_there) else [b"torn"]
