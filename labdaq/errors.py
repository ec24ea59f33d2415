"""Every error that labdaq raises on purpose.

One flat vocabulary. Each class says who is to blame and derives from the built-in that a user would
already catch; each message names the values that were wrong and what to do about them.
"""

__all__ = [
    "BusyError",
    "ClosedError",
    "DataError",
    "EndOfDataError",
    "LabdaqError",
    "LayoutError",
    "MissingExtraError",
    "NotFoundError",
    "ResourceError",
    "SpanError",
    "WaitTimeoutError",
]


class LabdaqError(Exception):
    """The base of every error raised by labdaq."""


class BusyError(LabdaqError):
    """Somebody else uses what allows one user only; the message names the holder."""


class ClosedError(LabdaqError, ValueError):
    """What you use was closed, released or ended earlier, on this side."""


class EndOfDataError(LabdaqError, EOFError):
    """There is nothing more to read and nothing more will come."""


class WaitTimeoutError(LabdaqError, TimeoutError):
    """The time you allowed for waiting is over; nothing was changed or lost."""


class LayoutError(LabdaqError, ValueError):
    """A dtype, shape, unit or size does not fit where it was to go."""


class SpanError(LabdaqError, ValueError):
    """A span was asked for, or used, in a way that can never work."""


class NotFoundError(LabdaqError, LookupError):
    """No such name, time or number; the message lists what there is."""


class ResourceError(LabdaqError, OSError):
    """The system refused memory, a file or a handle; the message says how much was asked for."""


class DataError(LabdaqError, ValueError):
    """What was read is damaged or is not what it claims to be."""


class MissingExtraError(LabdaqError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""
