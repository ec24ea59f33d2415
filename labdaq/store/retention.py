"""Making room: a store is kept within a limit.

Points of scans that are closed are given up first, the oldest before the newer; then, in scans that are open,
what is older than the protected history. What is said about scans is never removed.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from labdaq.errors import DataError, LabdaqError, LayoutError, NotFoundError
from labdaq.store.engine import Engine, StreamRecord
from labdaq.store.identity import Query
from labdaq.store.states import ScanState

__all__ = ["PROTECT_S", "Keeper", "TrimReport", "check_limits", "trim"]

PROTECT_S = 180.0
_LONGEST_S = 10.0  # between two looks at the size of a store

logger = logging.getLogger("labdaq.store")


@dataclass(frozen=True)
class TrimReport:
    """What `trim` did."""

    nbytes_before: int
    nbytes_freed: int
    nstream: int
    """Streams that lost points."""
    is_enough: bool
    """Whether the limit is kept now; if not, the rest is protected, or lies in segments that are still written."""


def trim(engine: Engine, limit_nbytes: int, *, protect_s: float = PROTECT_S) -> TrimReport:
    """Make room: remove the oldest points until those that are left take no more than a limit.

    Parameters
    ----------
    limit_nbytes
        What the points of the store may take.
    protect_s
        Points younger than this are kept, whatever they take.
    """
    check_limits(limit_nbytes, protect_s)
    usage = engine.usage()
    before = left = sum(usage.values())
    touched = 0
    before_ns = time.time_ns() - int(protect_s * 1e9)
    for stream in _candidates(engine):
        if left <= limit_nbytes:
            break
        freed = 0
        with _passing_over(f"stream {stream.name!r} ({stream.key})"):
            freed = _free(engine, stream, before_ns, left - limit_nbytes, usage.get(stream.key, 0))
        touched += freed > 0
        left -= freed
    return TrimReport(before, before - left, touched, left <= limit_nbytes)


@contextlib.contextmanager
def _passing_over(what: str) -> Iterator[None]:
    """One that is damaged, or was deleted meanwhile, keeps nobody from trimming the others."""
    try:
        yield
    except (DataError, NotFoundError) as error:
        logger.warning("%s was passed over when room was made: %s", what, error)


def _free(engine: Engine, stream: StreamRecord, before_ns: int, need: int, used: int) -> int:
    """Trim a stream by so many bytes, of what is older than a time; no more than the engine's pieces make necessary."""
    most = engine.journal(stream, before_ns)
    log = engine.open_log(stream)
    try:
        first, length, _is_sealed = log.extent()
    finally:
        log.close()
    freed, share = 0, need / max(used, 1)
    while freed < need and first < most:
        freed += engine.trim(stream, min(most, first + math.ceil((length - first) * share)))
        if share >= 1:
            break
        share *= 2
    return freed


def check_limits(limit_nbytes: int | None, protect_s: float) -> None:
    """Raise LayoutError if these are no sizes and times."""
    if (limit_nbytes is not None and not limit_nbytes >= 0) or not protect_s >= 0:
        raise LayoutError(f"limit_nbytes {limit_nbytes} and protect_s {protect_s} are 0 or more")


def _candidates(engine: Engine) -> Iterator[StreamRecord]:
    """All streams: those of closed scans first, the oldest before the newer."""
    open_ones: list[StreamRecord] = []
    for key in engine.search(Query())[1]:
        with _passing_over(f"scan {key}"):
            scan = engine.load(key)
            if scan.state == ScanState.CLOSED:
                yield from scan.streams
            else:
                open_ones += scan.streams
    yield from open_ones


class Keeper:
    """Keeps a store within a limit, from a thread of its own, until it is stopped."""

    def __init__(self, engine: Engine, limit_nbytes: int, protect_s: float) -> None:
        self.nbytes_trimmed = 0
        self._stopping = threading.Event()
        period_s = min(max(protect_s / 10, 0.1), _LONGEST_S)
        arguments = (engine, limit_nbytes, protect_s, period_s)
        self._thread = threading.Thread(target=self._run, args=arguments, name="labdaq-store-room", daemon=True)
        self._thread.start()

    def _run(self, engine: Engine, limit_nbytes: int, protect_s: float, period_s: float) -> None:
        while not self._stopping.wait(period_s):
            try:
                self.nbytes_trimmed += trim(engine, limit_nbytes, protect_s=protect_s).nbytes_freed
            except LabdaqError as error:  # of a disk or a server: the next time may be better
                logger.warning("no room was made in %s: %s", engine.url, error)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()
