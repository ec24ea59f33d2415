"""The account of one reader with its sender: what was offered is delivered, dropped, lost, or on its way."""

from collections import deque
from collections.abc import Callable

from labdaq.errors import DataError
from labdaq.stream.statistics import ReaderStatistics

__all__ = ["Account", "ObserverAccount"]


class Account:
    """One reader of plain data."""

    def __init__(self, identity: bytes, name: str, sequence: int) -> None:
        self.identity, self.name = identity, name
        self.is_connected = self.is_attached = True
        self.offered = self.delivered = self.dropped = self.lost = 0
        self.on_the_way: deque[tuple[int, int]] = deque()
        self.nbytes = 0
        self.pending: deque[tuple[int, int, tuple[bytes, ...]]] = deque()
        self._seen_until = sequence

    def has_room(self, nbytes: int, window: int, window_nbytes: int) -> bool:
        """Whether another chunk may go on its way."""
        return not self.on_the_way or (len(self.on_the_way) < window and self.nbytes + nbytes <= window_nbytes)

    def send(self, sequence: int, nbytes: int) -> None:
        """A chunk went on its way."""
        self.on_the_way.append((sequence, nbytes))
        self.nbytes += nbytes

    def drop(self, sequence: int) -> None:  # noqa: ARG002 - of use to those who report
        """There was no room for a chunk."""
        self.dropped += 1

    def acknowledge(self, sequence: int, received: int) -> None:
        """The reader is done with all before ``sequence``, and received so many in all.

        Raises
        ------
        DataError
            When it cannot have.
        """
        chunks = self.on_the_way
        done = 0
        for number, _nbytes in chunks:
            if number >= sequence:
                break
            done += 1
        fresh = received - self.delivered
        if fresh < 0 or fresh > done + self.lost:  # what was given up as lost may have arrived all the same
            raise DataError(f"reader {self.name!r} received {fresh} chunks of {done}")
        for _ in range(done):
            self.nbytes -= chunks.popleft()[1]
        self.delivered = received
        self.lost += done - fresh

    def leave(self, sequence: int) -> None:
        """The connection is over: what was on its way is lost."""
        self.lost += len(self.on_the_way) + len(self.pending)
        self.on_the_way.clear()
        self.pending.clear()
        self.nbytes = 0
        self.is_connected = False
        self._seen_until = sequence

    def resume(self, sequence: int) -> None:
        """The connection is there again: what was sent meanwhile is lost to it."""
        missed = sequence - self._seen_until
        self.offered += missed
        self.lost += missed
        self.is_connected = True

    @property
    def waiting(self) -> int:
        """Chunks on their way, or about to be."""
        return len(self.on_the_way) + len(self.pending)

    def statistics(self) -> ReaderStatistics:
        """Frozen."""
        return ReaderStatistics(
            self.name, self.offered, self.delivered, self.dropped, self.lost, self.waiting, self.is_connected
        )


class ObserverAccount(Account):
    """One reader of shared memory. It reports now and then, and nothing is on a way of its own.

    Parameters
    ----------
    identity, name, sequence
        As of `Account`.
    next_sequence
        Number of the next chunk of the sender: all before it were offered.
    """

    def __init__(self, identity: bytes, name: str, sequence: int, next_sequence: Callable[[], int]) -> None:
        super().__init__(identity, name, sequence)
        self._next_sequence = next_sequence
        self._offered_until = sequence
        self.is_attached = False
        self._reported = sequence
        self._known: deque[list[int]] = deque()  # first and last of chunks that the sender itself dropped

    def drop(self, sequence: int) -> None:
        """The sender had no room for a chunk."""
        if sequence < self._reported:  # it came, or came back, meanwhile: this was not for it
            return
        super().drop(sequence)
        if self._known and self._known[-1][1] == sequence - 1:
            self._known[-1][1] = sequence
        else:
            self._known.append([sequence, sequence])

    def acknowledge(self, sequence: int, received: int) -> None:
        """The reader is done with all before ``sequence``; what it did not receive was dropped for it."""
        known = sum(max(0, min(last + 1, sequence) - max(first, self._reported)) for first, last in self._known)
        done = max(0, sequence - self._reported - known)
        fresh = received - self.delivered
        if fresh < 0 or fresh > done + self.lost or done > self.waiting:
            raise DataError(f"reader {self.name!r} received {fresh} chunks of {done}")
        while self._known and self._known[0][1] < sequence:
            self._known.popleft()
        self._reported = max(sequence, self._reported)
        self.delivered = received
        self.dropped += max(0, done - fresh)
        self.lost -= max(0, fresh - done)

    def leave(self, sequence: int) -> None:
        """What was in the memory is lost."""
        self._settle()
        self.lost += self.waiting
        super().leave(sequence)

    def resume(self, sequence: int) -> None:
        """It goes on where the sender is now."""
        super().resume(sequence)
        self._reported = self._offered_until = sequence
        self._known.clear()

    def _settle(self) -> None:
        """What was sent since the last look was offered."""
        if self.is_connected:
            sequence = self._next_sequence()
            self.offered += sequence - self._offered_until
            self._offered_until = sequence

    def statistics(self) -> ReaderStatistics:
        """Frozen."""
        self._settle()
        return super().statistics()

    @property
    def waiting(self) -> int:
        """Chunks of which it has not reported yet."""
        self._settle()
        return self.offered - self.delivered - self.dropped - self.lost
