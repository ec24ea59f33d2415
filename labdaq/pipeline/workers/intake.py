"""Sources: how their events come into a ring, whichever form they have."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.pipeline.workers.gathering import Gatherer
from labdaq.pipeline.workers.taking import FAILED, SourceWorker
from labdaq.pipeline.workers.trace import TRACE

__all__ = ["source_worker"]

_BATCH_NBYTES = 1 << 22
_OVER = object()


def source_worker(work: Any) -> "type[SourceWorker]":
    """Which kind of worker reads a source.

    Raises
    ------
    LayoutError
        It is no source.
    """
    if hasattr(work, "acquire_batch"):
        return BatchIntake
    if hasattr(work, "acquire"):
        return AcquireIntake
    if callable(getattr(work, "start", None)) and callable(getattr(work, "stop", None)):  # a range has numbers there
        return PushIntake
    if hasattr(work, "__iter__") or callable(work):
        return IteratorIntake
    raise LayoutError(
        f"{work!r:.60} is no source: it needs acquire(event), acquire_batch(events), start(put) and stop(), or it "
        "must be a generator or iterable"
    )


class AcquireIntake(SourceWorker):
    """Of a source with ``acquire(event)``, which fills an event in the ring."""

    def take_all(self) -> None:
        ring = self.plan.writes[0]
        scratch = _Scratch(np.zeros(ring.shape, ring.dtype))
        while self.may_take():
            if self.discards:
                if self._is_filled(scratch):
                    self.discard()
                continue
            event = self.reserve(None)
            if event is None:
                return
            try:
                if self._is_filled(event):
                    self._keep(event)
            finally:
                event.void()

    def _is_filled(self, event: Any) -> bool:
        return self.asked(self.source.acquire, event) is not FAILED

    def _keep(self, event: Any) -> None:
        event.set_plane(TRACE, 0)
        number, wanted = self.board.take()
        if not wanted:  # another source was quicker
            self.discard()
            return
        if event.counter is None:
            event.counter = number
        try:
            event.commit()
        except LayoutError as error:  # what the source says of it is no number
            self.board.give_back(number, 1)
            self.note_error(error)
            self.discard()
        else:
            self.count(1)


class _Scratch:
    """Where events go that nobody wants."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.counter: int | None = None
        self.timestamp_ns: int | None = None
        self.deadtime: float | None = None


class BatchIntake(SourceWorker):
    """Of a source with ``acquire_batch(events)``."""

    def take_all(self) -> None:
        ring = self.plan.writes[0]
        nbytes = max(ring.dtype.itemsize * int(np.prod(ring.shape)), 1)
        most = max(1, min(ring.capacity // 4, _BATCH_NBYTES // nbytes, 4096))
        while self.may_take():
            events = self.reserve(max(1, min(most, self.board.left)))
            if events is None:
                return
            try:
                given = self._given(events)
                self._keep(events, given)
            finally:
                events.void()
            if not given:
                time.sleep(1e-3)

    def _given(self, events: Any) -> int:
        """How many events the source filled."""
        given = self.asked(self.source.acquire_batch, events)
        if given is FAILED:
            return 0
        if isinstance(given, int | np.integer) and 0 <= given <= len(events):
            return int(given)
        who, n = self.plan.who, len(events)
        self.note_error(LayoutError(f"{who} must return how many of {n} events it filled, and returned {given!r:.60}"))
        return 0

    def _keep(self, events: Any, given: int) -> None:
        if not given:
            return
        first, wanted = (0, 0) if self.discards else self.board.take(given)
        if wanted:
            counters = events.planes["counter"][:wanted]
            counters[:] = np.where(counters < 0, np.arange(first, first + wanted), counters)
            events.planes[TRACE][:wanted] = 0
            events.commit(wanted)
            self.count(wanted)
        if given > wanted:
            self.discard(given - wanted)


class IteratorIntake(SourceWorker):
    """Of a generator, or anything that can be iterated: gives records, or (record, what is known of it)."""

    def take_all(self) -> None:
        given = self.source
        is_maker = callable(given) and not hasattr(given, "__iter__")
        events = iter(given() if is_maker else given)
        try:
            with Gatherer(self) as self._gatherer:
                self._take_from(events)
        finally:
            if is_maker and hasattr(events, "close"):
                events.close()

    def _take_from(self, events: Iterator[Any]) -> None:
        while self.may_take():
            item = next(events, _OVER)
            if item is _OVER:
                return
            if self.discards:
                self.discard()
            else:
                self._keep(item)

    def _keep(self, item: Any) -> None:
        try:
            record, known = _split(item)
            done = self._gatherer.put(record, known)
            if done is None:
                done = self.put(record, known)
        except LayoutError as error:
            self.note_error(error)
            done = False
        if not done:
            self.discard()


_KNOWN = ("counter", "timestamp_ns", "deadtime")


def _split(item: Any) -> tuple[Any, dict[str, Any]]:
    """A record, and what is known of it: ``(record, timestamp_ns)``, or ``(record, mapping)``."""
    if not isinstance(item, tuple) or len(item) != 2:
        return item, {}
    record, known = item
    if isinstance(known, Mapping):
        unknown = sorted(set(known) - set(_KNOWN))
        if unknown:
            raise LayoutError(f"a record comes with {', '.join(map(str, unknown))}: known are {', '.join(_KNOWN)}")
        return record, {name: value for name, value in known.items() if value is not None}
    if known is None or isinstance(known, int | np.integer):
        return record, {} if known is None else {"timestamp_ns": int(known)}
    return item, {}


class PushIntake(SourceWorker):
    """Of a source that calls ``put`` when it has an event."""

    def take_all(self) -> None:
        self._lock = threading.Lock()
        self._waits = self.plan.options.get("when_full", "discard") == "wait"
        self.policy = self.plan.options.get("when_paused", "discard")
        try:
            self.source.start(self._put)
            while self._is_wanting and not getattr(self.source, "finished", False):
                self.look()
                time.sleep(0.005)
        finally:
            self.source.stop()

    @property
    def _is_wanting(self) -> bool:
        return self.is_taking and self.board.left > 0

    def _put(
        self,
        record: Any,
        *,
        counter: int | None = None,
        timestamp_ns: int | None = None,
        deadtime: float | None = None,
    ) -> bool:
        """See :class:`labdaq.roles.Put`."""
        with self._lock:
            while self.is_paused and self.is_taking and self.policy == "hold":
                time.sleep(0.005)
            if not self._is_wanting:
                return False
            if self.is_paused:
                self.discard()
                return True
            known = {"counter": counter, "timestamp_ns": timestamp_ns, "deadtime": deadtime}
            if not self._is_kept(record, {name: value for name, value in known.items() if value is not None}):
                self.discard()
            return self._is_wanting

    def _is_kept(self, record: Any, known: Mapping[str, Any]) -> bool:
        try:
            return self.put(record, known, waits=self._waits)
        except LayoutError as error:
            self.note_error(error)
            return False
