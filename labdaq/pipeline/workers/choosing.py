"""Which class does the work of a plan."""

from dataclasses import replace

from labdaq.pipeline.shared_work.shared import SharedWork
from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.compiled import CompiledWorker
from labdaq.pipeline.workers.filtering import FilterWorker
from labdaq.pipeline.workers.intake import source_worker
from labdaq.pipeline.workers.ordering import OrderedWorker
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.sinking import CallingWorker, KeepingWorker
from labdaq.pipeline.workers.tasks import TaskWorker
from labdaq.pipeline.workers.worker import Report, Worker

__all__ = ["new_worker"]


def new_worker(plan: WorkerPlan, board: Board, report: Report) -> Worker:
    """The worker for a plan, ready to run.

    Raises
    ------
    LayoutError
        The user's object cannot do this work.
    """
    if isinstance(plan.work, SharedWork):
        if plan.number == 0:
            from labdaq.pipeline.shared_work.gateway import GatewayWorker  # few pipelines need streams and Redis

            return GatewayWorker(plan, board, report)
        plan = replace(plan, work=plan.work.func)
    return _kind(plan)(plan, board, report)


def _kind(plan: WorkerPlan) -> type[Worker]:
    if plan.role == "source":
        return source_worker(plan.work)
    if plan.role == "sink":
        if not hasattr(plan.work, "write"):
            return CallingWorker
        return OrderedWorker if plan.options.get("order") == "counter" else KeepingWorker
    if plan.role == "task":
        return TaskWorker
    return CompiledWorker if plan.run_in == "compiled" else FilterWorker
