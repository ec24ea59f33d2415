"""Pipelines: rings and workers, wired in a few lines, run, supervised, and accounted for.

`pipeline`    the pipeline as its user writes it       `nodes`, `declared`  what it is made of
`run`         one run and its supervisor               `states`      what it may do when
`board`       numbers that all workers see             `worker`      what all workers have in common
`intake`      sources                                  `filtering`, `compiled`  filters
`sinking`, `sinks`  sinks, and those that come along   `tasks`       workers with a will of their own
`threads`, `processes`  where workers run              `ledger`, `closing`  the balance at the end
`record`      a run as a scan of the store             `snapshots`   what it is doing now
"""

from labdaq.pipeline.attached import AttachedRun, attach
from labdaq.pipeline.declared import DeclaredRing, Tap
from labdaq.pipeline.ledger import Ledger, NodeBalance
from labdaq.pipeline.pipeline import Pipeline
from labdaq.pipeline.result import RunResult
from labdaq.pipeline.sinks import StoreSink, TableSink
from labdaq.pipeline.states import TRANSITIONS, Command, RunState, state_diagram
from labdaq.pipeline.tasks import TaskContext

__all__ = [
    "TRANSITIONS",
    "AttachedRun",
    "Command",
    "DeclaredRing",
    "Ledger",
    "NodeBalance",
    "Pipeline",
    "RunResult",
    "RunState",
    "StoreSink",
    "TableSink",
    "Tap",
    "TaskContext",
    "attach",
    "state_diagram",
]
