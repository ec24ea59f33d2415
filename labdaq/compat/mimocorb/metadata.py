"""What goes with each event: its number, when it happened, and the dead time before it.

v1 has times in seconds as ``float64``, labdaq in whole nanoseconds; -1 stands for what nobody has set.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError

__all__ = ["METADATA", "UNSET", "Metadata", "metadata_records", "nanoseconds", "seconds", "table_dtype"]

METADATA: list[tuple[str, Any]] = [("counter", np.longlong), ("timestamp", np.float64), ("deadtime", np.float64)]
UNSET = -1


class Metadata(NamedTuple):
    """Counter, time stamp [s, UTC] and dead time, as a fraction from 0 to 1."""

    counter: int
    timestamp: float
    deadtime: float


def nanoseconds(timestamp: float) -> int:
    """A time in seconds as whole nanoseconds, such that :func:`seconds` gives it back.

    Raises
    ------
    LayoutError
        For what is no time after 1970.

    Examples
    --------
    >>> nanoseconds(1.75e9 + 0.1), seconds(nanoseconds(1.75e9 + 0.1)) == 1.75e9 + 0.1
    (1750000000099999905, True)
    """
    try:
        whole = int(timestamp)
        result = whole * 10**9 + round((timestamp - whole) * 1e9)
    except (TypeError, ValueError, OverflowError) as error:
        raise LayoutError(f"timestamp={timestamp!r}: seconds since 1970, or -1 for now") from error
    if not 0 <= result < 1 << 63:
        raise LayoutError(f"timestamp={timestamp!r}: seconds since 1970, or -1 for now")
    return result


def seconds(timestamp_ns: int) -> float:
    """Nanoseconds as the nearest ``float64`` of seconds."""
    return timestamp_ns / 10**9


def table_dtype(fields: npt.DTypeLike) -> np.dtype[Any]:
    """The columns of a table of records: metadata, then the fields.

    Raises
    ------
    LayoutError
        When a field has the name of one of the metadata.

    Examples
    --------
    >>> table_dtype([("height", "f4")]).names
    ('counter', 'timestamp', 'deadtime', 'height')
    """
    dtype = np.dtype(fields)
    if taken := {name for name, _ in METADATA} & set(dtype.names or ()):
        raise LayoutError(f"the table has a column {taken.pop()!r} of its own: rename the field of the buffer")
    return np.dtype([*METADATA, *dtype.descr])


def metadata_records(planes: Any, n: int) -> npt.NDArray[Any]:
    """The metadata of a batch of events: structured array of :data:`METADATA`, shape ``(n,)``."""
    records = np.empty(n, METADATA)
    records["counter"] = planes["counter"]
    # by Python's division, which rounds once: nanoseconds of today do not fit into a float64
    records["timestamp"] = [seconds(stamp) for stamp in planes["timestamp_ns"].tolist()]
    records["deadtime"] = planes["deadtime"]
    return records
