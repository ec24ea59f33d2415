"""What a call of ``recv()`` ended with."""

from enum import IntEnum

__all__ = ["CaptureStatus"]


class CaptureStatus(IntEnum):
    """What a call of ``recv()`` ended with; the numbers are Bifrost's."""

    STARTED = 0
    """The first sequence began."""
    ENDED = 1
    """The sequence ended: the file is over, or nothing came within the timeout."""
    CONTINUED = 2
    """A gulp was handed out."""
    CHANGED = 3
    """Another sequence began."""
    NO_DATA = 4
    """There was nothing, and no sequence is open."""
    INTERRUPTED = 5
    """Stopped by a signal, or by ``stop()``."""
    ERROR = 6
    """The socket failed."""
