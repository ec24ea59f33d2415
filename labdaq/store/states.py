"""The states of a scan."""

from enum import IntEnum

__all__ = ["ScanState"]


class ScanState(IntEnum):
    """What a scan has come to; it only goes forward, and any state may go to `CLOSED`.

    Examples
    --------
    >>> ScanState.STARTED < ScanState.CLOSED
    True
    """

    CREATED = 0
    """It has an identity; info and streams are being gathered."""
    PREPARED = 1
    """Its info and its streams are known to all; it may begin any moment."""
    STARTED = 2
    """Data are being taken."""
    STOPPED = 3
    """All streams of the one who made it are sealed; the last info is being gathered."""
    CLOSED = 4
    """It is a record: nothing will change any more."""
