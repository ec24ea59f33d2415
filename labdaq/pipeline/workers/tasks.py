"""Tasks: workers that read and write rings by themselves, in any way they like.

For what is no source, filter or sink: programs written for other systems, displays, merging two rings.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from labdaq.errors import ClosedError, EndOfDataError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.worker import Worker
from labdaq.ring import Ring
from labdaq.ring.event_reading import EventReader
from labdaq.ring.event_writing import EventWriter
from labdaq.ring.observer import Observer

__all__ = ["TaskContext", "TaskWorker"]


class TaskContext:
    """What a task is given: its ways into the rings, its settings, and what the run wants of it.

    Attributes
    ----------
    name : str
        Of the worker.
    number : int
        Which of the workers of this task it is, from 0.
    readers : list of EventReader
        Members of the task's reader group, one for each ring that it reads.
    writers : list of EventWriter
        One for each ring that it writes.
    observers : list of Observer
        One for each ring that it observes.
    rings : dict of str to Ring
        All of them by name.
    settings : mapping
        What was given to the pipeline.
    folder : Path
        Of the run; files go here.
    log : logging.Logger
        What is said here comes into the log of the run.
    """

    def __init__(self, worker: "TaskWorker", stack: ExitStack) -> None:
        plan = worker.plan
        self._worker = worker
        self.name, self.number = plan.name, plan.number
        self.settings: Mapping[str, Any] = plan.options.get("settings", {})
        self.folder: Path = plan.folder
        self.rings: dict[str, Ring] = {ring.name: ring for ring in (*plan.reads, *plan.writes, *plan.observes)}
        self.readers: list[EventReader] = [worker.opened(stack, r.reader(plan.group, plan.name)) for r in plan.reads]
        self.writers: list[EventWriter] = [worker.opened(stack, r.writer(plan.name)) for r in plan.writes]
        self.observers: list[Observer] = [worker.opened(stack, r.observer(label=plan.name)) for r in plan.observes]
        self.log = logging.Logger(plan.name)  # noqa: LOG001 - of this task alone, nobody configures it
        self.log.addHandler(_Reporting(worker))

    @property
    def is_taking(self) -> bool:
        """Whether more events may come in, or may yet: a task that is a source ends when they may not."""
        words = self._worker.board.words
        return not (words[b.ENDED_NS] or words[b.IS_ABORTED])

    @property
    def is_paused(self) -> bool:
        """Whether the intake is paused."""
        return self._worker.is_paused

    @property
    def is_aborted(self) -> bool:
        """Whether everything is to end at once."""
        return self._worker.is_aborted

    def may_take(self) -> bool:
        """Wait while the intake is paused; whether it goes on."""
        while self.is_taking and self.is_paused:
            time.sleep(0.01)
        return self.is_taking

    def take(self) -> int | None:
        """The number of the next event, for tasks that are sources; None when the run has enough."""
        number, wanted = self._worker.board.take()
        return number if wanted else None

    def count(self, outcome: str, amount: int = 1) -> None:
        """Count what became of events: accepted, rejected, quarantined, repeated or discarded."""
        self._worker.row.count(b.OUTCOMES.index(outcome), amount)
        self._worker.row.settle()


class _Reporting(logging.Handler):
    """Sends what a task logs to the run."""

    def __init__(self, worker: "TaskWorker") -> None:
        super().__init__()
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        self._worker.report("log", f"{self._worker.plan.name}: {record.getMessage()}")


class TaskWorker(Worker):
    """Calls a function with a :class:`TaskContext`."""

    def body(self) -> None:
        """See :class:`labdaq.pipeline.workers.worker.Worker`."""
        with ExitStack() as stack:
            context = TaskContext(self, stack)
            self.ready()
            if not self.plan.reads:
                self.await_begin()
            try:
                self.plan.work(context)
            except EndOfDataError:
                pass
            except ClosedError:
                if self.is_taking:
                    raise
            finally:
                self.row.settle()
