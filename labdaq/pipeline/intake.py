"""Sources: how their events come into a ring, whichever form they have."""

import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.pipeline import board as b
from labdaq.pipeline.trace import TRACE
from labdaq.pipeline.worker import TooManyErrorsError, Worker

__all__ = ["SourceWorker", "source_worker"]

_SLICE_S = 0.05
_GRACE_S = 0.5
_BATCH_NBYTES = 1 << 22
_TRACES = {TRACE: 0}


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
    if hasattr(work, "start") and hasattr(work, "stop"):
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
        """See :class:`labdaq.pipeline.worker.Worker`."""
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
        if hasattr(self.source, "losses"):
            self.report("losses", dict(self.source.losses()))

    @abstractmethod
    def take_all(self) -> None:
        """Take events until there are no more."""

    # ------------------------------------------------------------------------------ what all need

    def may_take(self) -> bool:
        """Whether to ask the source now: waits while the intake is on hold, False when it has ended."""
        if self.changes:
            self.apply_changes(self.board.taken)
        if self.nerror >= self.plan.max_errors:
            raise TooManyErrorsError(f"{self.plan.who} gave up after {self.nerror} errors")
        while self.is_taking and self.is_paused and self.policy == "hold":
            time.sleep(0.01)
        return self.is_taking

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
        self.row.words[self.row.base + b.W_WAITED_NS] = self.writer.waited_ns

    def reserve(self, n: int | None) -> Any:
        """Room in the ring; None when the intake ended before there was any."""
        while True:
            try:
                return self.writer.reserve(n, timeout=_SLICE_S)
            except WaitTimeoutError:
                if not self.is_taking:
                    return None

    def put(self, record: Any, known: dict[str, Any]) -> bool:
        """Write an event that is there already; False when there was no room for it before the end."""
        until = None
        while True:
            try:
                self.writer.put(record, planes=_TRACES, timeout=_SLICE_S, **known)
            except WaitTimeoutError:
                if not self.is_taking:
                    until = until or time.monotonic() + _GRACE_S
                    if time.monotonic() > until:
                        return False
            else:
                return True


class AcquireIntake(SourceWorker):
    """Of a source with ``acquire(event)``, which fills an event in the ring."""

    def take_all(self) -> None:
        ring = self.plan.writes[0]
        scratch = _Scratch(np.zeros(ring.shape, ring.dtype))
        while self.may_take():
            if self.discards:
                self.source.acquire(scratch)
                self.discard()
                continue
            number, wanted = self.board.take()
            if not wanted:
                return
            event = self.reserve(None)
            if event is None:
                self.board.give_back(number, 1)
                return
            self._fill(event, number)

    def _fill(self, event: Any, number: int) -> None:
        event.counter = number
        try:
            self.source.acquire(event)
        except (EndOfDataError, ClosedError):
            event.void()
            self.board.give_back(number, 1)
            raise
        except Exception as error:  # noqa: BLE001 - whatever the source raises
            event.void()
            self.board.give_back(number, 1)
            self.note_error(error)
            return
        except BaseException:
            event.void()
            raise
        event.set_plane(TRACE, 0)
        event.commit()
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
            number, wanted = self.board.take(most)
            if not wanted:
                return
            events = self.reserve(wanted)
            if events is None:
                self.board.give_back(number, most)
                return
            filled = self._filled(events, number, most)
            if not filled:
                time.sleep(1e-3)

    def _filled(self, events: Any, number: int, asked: int) -> int:
        planes, filled = events.planes, 0
        try:
            filled = int(self.source.acquire_batch(events))
            if self.discards:
                self.discard(filled)
                filled = 0
        except (EndOfDataError, ClosedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the source raises
            self.note_error(error)
        finally:
            if filled:
                planes["counter"][:filled] = np.arange(number, number + filled)
                planes[TRACE][:filled] = 0
                events.commit(filled)
            else:
                events.void()
            self.count(filled)
            if filled < asked:
                self.board.give_back(number + filled, asked - filled)
        return filled


class IteratorIntake(SourceWorker):
    """Of a generator, or anything that can be iterated: gives records, or (record, what is known of it)."""

    def take_all(self) -> None:
        given = self.source
        events = iter(given() if callable(given) and not hasattr(given, "__iter__") else given)
        while self.may_take():
            number, wanted = self.board.take()
            if not wanted:
                return
            kept = False
            try:
                record, known = _split(next(events, None))
                if record is None:
                    return
                kept = self._keep(record, {"counter": number, **known})
            finally:
                if not kept:
                    self.board.give_back(number, 1)

    def _keep(self, record: Any, known: dict[str, Any]) -> bool:
        if self.discards:
            self.discard()
            return False
        try:
            kept = self.put(record, known)
        except LayoutError as error:
            self.note_error(error)
            kept = False
        if kept:
            self.count(1)
        else:
            self.discard()
        return kept


def _split(item: Any) -> tuple[Any, dict[str, Any]]:
    """A record, and what is known of it: ``(record, timestamp_ns)``, or ``(record, mapping)``."""
    if not isinstance(item, tuple) or len(item) != 2:
        return item, {}
    record, known = item
    if isinstance(known, Mapping):
        return record, {str(name): value for name, value in known.items() if value is not None}
    if known is None or isinstance(known, int | np.integer):
        return record, {} if known is None else {"timestamp_ns": int(known)}
    return item, {}


class PushIntake(SourceWorker):
    """Of a source that calls ``put`` when it has an event."""

    def take_all(self) -> None:
        self._lock = threading.Lock()
        self._waits = self.plan.options.get("when_full", "discard") == "wait"
        self._is_enough = False
        self.policy = self.plan.options.get("when_paused", "discard")
        try:
            self.source.start(self._put)
            while self.is_taking and not self._is_enough and not getattr(self.source, "finished", False):
                if self.changes:
                    self.apply_changes(self.board.taken)
                if self.nerror >= self.plan.max_errors:
                    raise TooManyErrorsError(f"{self.plan.who} gave up after {self.nerror} errors")
                time.sleep(0.005)
        finally:
            self.source.stop()

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
            if not self.is_taking or self._is_enough:
                return False
            if self.is_paused:
                self.discard()
                return True
            number, wanted = self.board.take()
            if not wanted:
                self._is_enough = True
                return False
            known = {"timestamp_ns": timestamp_ns, "deadtime": deadtime}
            known["counter"] = number if counter is None else counter
            if not self._store(record, known):
                self.board.give_back(number, 1)
                self.discard()
            return self.is_taking

    def _store(self, record: Any, known: dict[str, Any]) -> bool:
        try:
            if self._waits:
                kept = self.put(record, known)
            else:
                self.writer.put(record, planes=_TRACES, timeout=0, **known)
                kept = True
        except WaitTimeoutError:
            return False
        except LayoutError as error:
            self.note_error(error)
            return False
        if kept:
            self.count(1)
        return kept
