"""Sources: how their events come into a ring, whichever form they have."""

import operator
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.gathering import Gatherer
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import Worker

__all__ = ["SourceWorker", "source_worker"]

_SLICE_S = 0.05
_BATCH_NBYTES = 1 << 22
_FAILED, _OVER = object(), object()


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


class SourceWorker(Worker):
    """Reads a source until it is stopped, has no more, or the run has enough."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        self.source = self.plan.work
        self.policy = self.plan.options.get("when_paused", "hold")
        with ExitStack() as stack:
            self.writer = self.opened(stack, self.plan.writes[0].writer(self.plan.name))
            if hasattr(self.source, "close"):
                stack.callback(self._close)
            if hasattr(self.source, "open"):
                self.source.open()
            self.ready()
            try:
                self.take_all()
            except (EndOfDataError, ClosedError):
                if self.is_taking and not isinstance(self.source, Iterator):
                    self.report("log", f"{self.plan.who} has no more")
            finally:
                self._note_losses()
                self.row.settle()

    def _close(self) -> None:
        try:
            self.source.close()
        except Exception as error:  # noqa: BLE001 - the run is told; the data are safe
            self.note_error(error)

    def _note_losses(self) -> None:
        if not hasattr(self.source, "losses"):
            return
        try:
            losses = {str(reason): operator.index(count) for reason, count in dict(self.source.losses()).items()}
        except Exception as error:  # noqa: BLE001 - whatever the source raises
            self.note_error(LayoutError(f"{self.plan.who}: losses() gives no mapping of reasons to numbers: {error!r}"))
        else:
            self.report("losses", losses)

    @abstractmethod
    def take_all(self) -> None:
        """Take events until there are no more."""

    # ------------------------------------------------------------------------------ what all need

    def may_take(self) -> bool:
        """Whether to ask the source now: waits while the intake is on hold, False when the run has enough."""
        self.look()
        while self.is_taking and self.is_paused and self.policy == "hold":
            time.sleep(0.01)
        return self.is_taking and self.board.left > 0

    def look(self) -> None:
        """Between two events: set parameters that were changed, and give up after too many errors."""
        if self.changes:
            self.apply_changes(self.board.taken)
        self.check_errors()

    @property
    def discards(self) -> bool:
        """Whether what comes now is not wanted."""
        return self.is_paused and self.policy == "discard"

    def discard(self, count: int = 1) -> None:
        """Count events that came and were not kept."""
        self.row.count(b.DISCARDED, count)

    def count(self, written: int) -> None:
        """Count events that are in the ring."""
        self.row.words[self.row.base + b.W_WRITTEN] += written
        self.row.words[self.row.base + b.W_TOTALS + b.ACCEPTED] += written
        self.row.words[self.row.base + b.W_WAITED_NS] = self.writer.waited_ns

    def asked(self, ask: Any, events: Any) -> Any:
        """What a call of the source gives; _FAILED when it raised, which is noted.

        Raises
        ------
        EndOfDataError, ClosedError
            It has no more.
        """
        try:
            return ask(events)
        except (EndOfDataError, ClosedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the source raises
            self.note_error(error)
            return _FAILED

    def reserve(self, n: int | None) -> Any:
        """Room in the ring; None when the intake ended before there was any."""
        while True:
            try:
                return self.writer.reserve(n, timeout=_SLICE_S)
            except WaitTimeoutError:
                if not self.is_taking:
                    return None

    def put(self, record: Any, known: Mapping[str, Any], *, waits: bool = True) -> bool:
        """Write an event that is there already, when there is room and it is wanted; whether it was.

        Its number is taken when there is room for it: so no number is taken in vain.

        Raises
        ------
        LayoutError
            It does not fit; nothing was written.
        """
        record = self.writer.conformed(record)
        event = self.reserve(None) if waits else self._reserved_at_once()
        if event is None:
            return False
        with event:
            number, wanted = self.board.take()
            if not wanted:  # another source was quicker
                event.void()
                return False
            event.data[...] = record
            event.counter = known.get("counter", number)
            event.timestamp_ns, event.deadtime = known.get("timestamp_ns"), known.get("deadtime")
            event.set_plane(TRACE, 0)
        self.count(1)
        return True

    def _reserved_at_once(self) -> Any:
        try:
            return self.writer.reserve(timeout=0)
        except WaitTimeoutError:
            self.row.put(b.W_REFUSED, self.row.get(b.W_REFUSED) + 1)
            return None


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
        return self.asked(self.source.acquire, event) is not _FAILED

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
        if given is _FAILED:
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
