"""What became of points that were sent."""

from dataclasses import dataclass

__all__ = ["StoreStatistics"]


@dataclass(frozen=True)
class StoreStatistics:
    """What became of the points that were sent through one store object.

    Each of them is acknowledged, on its way, or lost.

    Attributes
    ----------
    sent : int
        Acknowledged.
    pending : int
        On their way to a server. If it only grows: send fewer at once, or larger batches.
    lost : int
        Given up: the scan was deleted, the server came back without it, or did not answer until the store was
        closed. An error said so each time.
    retried : int
        Sent again, because no answer came. If it grows: look at the network, and at the log of the server.
    reconnects : int
        How often the connection had to be made again.
    nbytes_trimmed : int
        Removed to keep the limit of the store. If points go too early: raise ``limit_nbytes`` or ``protect_s``.
    """

    sent: int
    pending: int = 0
    lost: int = 0
    retried: int = 0
    reconnects: int = 0
    nbytes_trimmed: int = 0
