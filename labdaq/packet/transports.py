"""What a transport of packets is: where batches come from."""

from typing import Protocol

from labdaq.packet.batch import Batch

__all__ = ["Packets", "Transport"]


class Transport(Protocol):
    """A source of batches. Those that can be sought also have ``seek`` and ``tell``."""

    is_live: bool
    """Whether packets are lost when they are not fetched in time."""

    def next_batch(self) -> Batch | None:
        """The next packets, in memory that lasts until the next call; None at the end."""

    def counters(self) -> dict[str, int | None]:
        """What the ledger says of the transport."""

    def close(self) -> None:
        """Let go what belongs to it."""


class Packets:
    """Packets that are in memory already: for tests, simulations and packets from elsewhere.

    Parameters
    ----------
    batches
        Lists of packets (bytes), or :class:`Batch` objects.
    """

    is_live = False

    def __init__(self, *batches: "list[bytes] | Batch") -> None:
        self._batches = [batch if isinstance(batch, Batch) else Batch.of(batch) for batch in batches]
        self._next = 0

    def next_batch(self) -> Batch | None:
        """The next batch."""
        if self._next >= len(self._batches):
            return None
        self._next += 1
        return self._batches[self._next - 1]

    def counters(self) -> dict[str, int | None]:
        """Nothing gets lost on the way."""
        return {"kernel_drops": 0}

    def close(self) -> None:
        """Nothing to be done."""
