"""What all sources have in common: when to take, how an event gets its number, and what is counted."""

import operator
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.resuming import passed_over
from labdaq.pipeline.workers.trace import TRACE
from labdaq.pipeline.workers.worker import Worker

__all__ = ["FAILED", "SourceWorker"]

_SLICE_S = 0.05
FAILED = object()
"""In place of what a source gives: it raised."""


def _device_to_hold(source: Any) -> str:
    """Name of the device of a source; empty if it has none, or sees to it itself."""
    device = getattr(source, "device", "")
    if not isinstance(device, str) or hasattr(source, "__array__"):  # of an array it says where its memory is
        return ""
    return "" if getattr(source, "locks_device", False) else device


class SourceWorker(Worker):
    """Reads a source until it is stopped, has no more, or the run has enough."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        self.source = self.plan.work
        self.policy = self.plan.options.get("when_paused", "hold")
        with ExitStack() as stack:
            self.writer = self.opened(stack, self.plan.writes[0].writer(self.plan.name))
            if device := _device_to_hold(self.source):
                from labdaq.devices.locks import lent

                stack.enter_context(lent(device, self.plan.folder.name))
            if hasattr(self.source, "close"):
                stack.callback(self._close)
            if hasattr(self.source, "open"):
                self.source.open()
            self.ready()
            self.await_begin()
            self._pass_over(self.plan.options.get("passed", 0))
            try:
                if self.is_taking:  # otherwise the run was stopped before it had begun
                    self.take_all()
            except (EndOfDataError, ClosedError):
                if self.is_taking and not isinstance(self.source, Iterator):
                    self.report("log", f"{self.plan.who} has no more")
            finally:
                self._note_losses()
                self.row.settle()

    def _pass_over(self, count: int) -> None:
        """Begun anew: without the events that are there already, unless the run is stopped meanwhile."""
        if not count:
            return
        self.report("log", f"{self.plan.who} passes over {count} events")
        try:
            self.source = passed_over(self.source, count, self.plan.writes[0], lambda: self.is_taking)
        except (EndOfDataError, ClosedError):
            if self.is_taking:  # otherwise it was interrupted
                raise
        is_done = "passed over" if self.is_taking else "was stopped while it passed over"
        self.report("log", f"{self.plan.who} {is_done} {count} events")

    def _close(self) -> None:
        try:
            self.plan.work.close()
        except Exception as error:  # noqa: BLE001 - the run is told; the data are safe
            self.note_error(error)

    def _note_losses(self) -> None:
        source = self.plan.work
        if not hasattr(source, "losses"):
            return
        try:
            losses = {str(reason): operator.index(count) for reason, count in dict(source.losses()).items()}
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
        """What a call of the source gives; FAILED when it raised, which is noted.

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
            return FAILED

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
