"""What became of points that were sent to a Redis server."""

from dataclasses import dataclass

__all__ = ["RedisStatistics"]


@dataclass(frozen=True)
class RedisStatistics:
    """What became of the points that this process sent to a Redis server.

    Attributes
    ----------
    sent : int
        Acknowledged by the server.
    pending : int
        On their way. If it only grows: send fewer at once, or larger batches.
    retried : int
        Sent again, because no answer came. If it grows: look at the network, and at the log of the server.
    lost : int
        Given up: the scan was deleted, the server came back without it, or did not answer until the store was
        closed. An error said so each time.
    reconnects : int
        How often the connection had to be made again.
    """

    sent: int
    pending: int
    retried: int
    lost: int
    reconnects: int
