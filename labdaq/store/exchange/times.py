"""When points were written, as far as the engine can tell: to the millisecond, by batches."""

import time
from typing import TYPE_CHECKING

from labdaq.store.keys import created_ns
from labdaq.store.stream import Stream

if TYPE_CHECKING:
    from labdaq.store.scan import Scan

__all__ = ["ended_ns", "written_ns"]

_RESOLUTION_NS = 1_000_000


def written_ns(stream: Stream, index: int) -> int:
    """When the store got a point, UTC, to the millisecond; of a point that was trimmed, not before that.

    Examples
    --------
    >>> from labdaq.store import DataStore, NumericStreamEncoder
    >>> with DataStore("memory://") as store:
    ...     scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    ...     delays = scan.create_stream("delay", NumericStreamEncoder(float))
    ...     delays.send(2.2)
    ...     abs(written_ns(delays, 0) - scan.created_ns) < 60e9
    True
    """
    journal, record = stream.engine.journal, stream.record
    early, late = created_ns(stream.key), time.time_ns()
    while late - early > _RESOLUTION_NS:
        middle = (early + late) // 2
        early, late = (early, middle) if journal(record, middle) > index else (middle, late)
    return late


def ended_ns(scan: "Scan") -> int:
    """When the last point of a scan was written; when the scan was made, if there is none."""
    lengths = {stream: len(stream) for stream in scan.streams.values()}
    return max((written_ns(stream, n - 1) for stream, n in lengths.items() if n), default=scan.created_ns)
