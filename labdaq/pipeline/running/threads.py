"""Workers in threads of this process."""

import threading
from typing import Any

from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.choosing import new_worker
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.worker import Report, Worker

__all__ = ["ThreadHost"]


class ThreadHost:
    """A worker and its thread, as the supervisor sees them."""

    is_killable = False

    def __init__(self, plan: WorkerPlan, board: Board, report: Report) -> None:
        self.plan = plan
        self._worker: Worker | None = new_worker(plan, board, report)
        self._thread = threading.Thread(target=self._worker.run, name=plan.name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def change(self, name: str, value: Any) -> None:
        """Set a parameter at the border of the next event."""
        if self._worker is not None:
            self._worker.changes.append((name, value))

    def interrupt(self) -> None:
        """Make a source that waits for its device return."""
        if hasattr(self.plan.work, "interrupt"):
            self.plan.work.interrupt()

    def kill(self) -> None:
        """A thread cannot be killed: what it holds is taken away from it."""
        if self._worker is not None:
            self._worker.abandon()

    def join(self, timeout: float) -> bool:
        """Wait for it to end; whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Let go of the worker, and with it of the memory of rings."""
        self._worker = None
