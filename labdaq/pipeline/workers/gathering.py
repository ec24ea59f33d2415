"""Records that come quickly one by one, put into the ring several at a time.

To reserve and to commit costs more than to copy a small record. So when records come faster than some ten thousand
a second, room is reserved for several, and committed when it is full. None is held back for long: when the next
one does not come within some milliseconds, what is there is committed by a thread that watches.
"""

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import ClosedError
from labdaq.pipeline.workers.trace import TRACE

if TYPE_CHECKING:
    from labdaq.pipeline.workers.taking import SourceWorker

__all__ = ["Gatherer"]

_HOLD_S = 0.005
_QUICK_NS = 50_000
_BATCH_NS = 500_000
_MOST = 64


class Gatherer:
    """Writes the records of one source; a context manager that commits what is left.

    Parameters
    ----------
    worker
        Whose ring and books they come into.
    """

    def __init__(self, worker: "SourceWorker") -> None:
        self._worker = worker
        ring = worker.plan.writes[0]
        self._dtype, self._shape = ring.dtype, ring.shape
        self._most = max(1, min(_MOST, ring.capacity // 4))
        self._lock = threading.Lock()
        self._room: Any = None
        self._filled = self._wanted = 0
        self._gap_ns = float(_QUICK_NS)
        self._last_ns = 0
        self._has_room, self._is_over = threading.Event(), False
        self._watcher = threading.Thread(target=self._watch, name=f"{worker.plan.name} (watch)", daemon=True)

    def __enter__(self) -> "Gatherer":
        self._watcher.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._commit()
        self._is_over = True
        self._has_room.set()
        self._watcher.join()

    def put(self, record: Any, known: dict[str, Any]) -> bool | None:
        """Put a record where it belongs; None when records come too slowly for this, False when it is not wanted.

        Raises
        ------
        LayoutError
            It does not fit; nothing was written.
        """
        now_ns = time.time_ns()
        self._gap_ns += 0.1 * (min(now_ns - self._last_ns, 10 * _QUICK_NS) - self._gap_ns)
        self._last_ns = now_ns
        if type(record) is not np.ndarray or record.dtype != self._dtype or record.shape != self._shape:
            record = self._worker.writer.conformed(record)
        with self._lock:
            if self._room is None:
                size = self._size()
                if size < 2:
                    return None
                if not self._begin(size):
                    return False
            n = self._filled
            self._data[n] = record
            self._counters[n] = known.get("counter", -1)
            self._stamps[n] = known.get("timestamp_ns", now_ns)
            if "deadtime" in known:
                self._deadtimes[n] = known["deadtime"]
            self._filled = n + 1
            if self._filled == self._wanted:
                self._commit()
        return True

    def _size(self) -> int:
        """For how many records to reserve room: 1 when they come slowly."""
        if self._gap_ns >= _QUICK_NS:
            return 1
        return min(self._most, int(_BATCH_NS / max(self._gap_ns, 1.0)), self._worker.board.left)

    def _begin(self, size: int) -> bool:
        """Reserve room for the next records; whether there was any before the end."""
        room = self._worker.reserve(size)
        if room is None:
            return False
        self._room, self._filled, self._wanted = room, 0, size
        planes = room.planes
        self._data, self._counters, self._stamps = room.data, planes["counter"], planes["timestamp_ns"]
        self._deadtimes = planes["deadtime"]
        planes[TRACE][:] = 0
        self._has_room.set()
        return True

    def _commit(self) -> None:
        """Hand over what is there, and give the rest of the room back."""
        if self._room is None:
            return
        room, self._room = self._room, None
        self._has_room.clear()
        first, wanted = self._worker.board.take(self._filled)
        numbers = self._counters[:wanted]
        np.copyto(numbers, np.arange(first, first + wanted), where=numbers < 0)
        try:
            room.commit(wanted, give_back=True)
        except ClosedError:  # the run was aborted
            wanted = 0
        self._worker.count(wanted)
        if wanted < self._filled:  # another source was quicker
            self._worker.discard(self._filled - wanted)

    def _watch(self) -> None:
        """Commit what has waited too long for the next record."""
        while not self._is_over:
            self._has_room.wait()
            seen = self._room
            time.sleep(_HOLD_S)
            if seen is not None and self._room is seen:
                with self._lock:
                    if self._room is seen:
                        self._commit()
