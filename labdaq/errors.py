"""Every error that labdaq raises on purpose.

One flat vocabulary. Each class says who is to blame and derives from the built-in that a user would
already catch; each message names the values that were wrong and what to do about them.
"""

import errno

__all__ = [
    "BusyError",
    "ClosedError",
    "DataError",
    "EndOfDataError",
    "EndOfStream",
    "IndexNoMoreThereError",
    "IndexNotYetThereError",
    "IndexWontBeThereError",
    "LabdaqError",
    "LayoutError",
    "MissingExtraError",
    "NoScanAvailable",
    "NoWritePermission",
    "NotFoundError",
    "ResourceError",
    "ScanNotFoundError",
    "SpanError",
    "StateError",
    "WaitTimeoutError",
]

_REMEDIES = {
    errno.ENOSPC: "make room on the disk, or choose another",
    getattr(errno, "EDQUOT", 0): "your share of the disk is used up: make room, or choose another",
    errno.EACCES: "look at its permissions, or choose another place",
    errno.EPERM: "look at its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EMFILE: "close what is no longer used, or allow more open files (ulimit -n)",
    errno.ENOENT: "make its folder first, or look at the name",
}


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

    @classmethod
    def of(cls, error: OSError, doing: str, path: object = None) -> "ResourceError":
        """What the system said, keeping its number, with what can be done about it.

        Examples
        --------
        >>> print(ResourceError.of(OSError(errno.ENOSPC, "No space left on device"), "writing", "data.csv"))
        [Errno 28] writing failed: No space left on device; make room on the disk, or choose another: 'data.csv'
        """
        remedy = _REMEDIES.get(error.errno or -1)
        text = f"{doing} failed: {error.strerror or error}" + (f"; {remedy}" if remedy else "")
        return cls(error.errno, text) if path is None else cls(error.errno, text, str(path))


class DataError(LabdaqError, ValueError):
    """What was read is damaged or is not what it claims to be."""


class MissingExtraError(LabdaqError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


# ---- scans that are kept; most names are those of blissdata, so that programs for it go on to work


class StateError(LabdaqError, RuntimeError):
    """A scan cannot do this in the state it is in; the message names both. Nothing was changed."""


class NoWritePermission(LabdaqError, PermissionError):  # noqa: N818
    """A scan or stream that was opened to be read was asked to change."""


class ScanNotFoundError(NotFoundError):
    """There is no scan with this key, or no longer."""


class NoScanAvailable(NotFoundError):  # noqa: N818
    """No scan came within the time allowed, or there is none at all."""


class EndOfStream(EndOfDataError):  # noqa: N818
    """Every point of the stream was read, and no more will come."""


class IndexNotYetThereError(LabdaqError, IndexError):
    """The point may still come: the stream is being written."""


class IndexWontBeThereError(LabdaqError, IndexError):
    """The stream ended before this point."""


class IndexNoMoreThereError(LabdaqError, IndexError):
    """The point was removed to make room."""
