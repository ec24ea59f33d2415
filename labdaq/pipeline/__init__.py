"""Pipelines: rings and workers, wired in a few lines, run, supervised, and accounted for.

`pipeline`    the pipeline as its user writes it       `nodes`, `declared`  what it is made of
`run`         one run and its supervisor               `states`      what it may do when
`board`       numbers that all workers see             `worker`      what all workers have in common
`intake`      sources                                  `filtering`, `compiled`  filters
`sinking`, `sinks`  sinks, and those that come along   `tasks`       workers with a will of their own
`threads`, `processes`  where workers run              `ledger`, `closing`  the balance at the end
`trace`, `repeats`  records that come twice            `gathering`, `ordering`  several at once, in order
`runs`, `replay`  kept runs, found again and replayed  `histograms`  sinks that count
`detached`, `attached`  runs in a process of their own `suite`       pipelines in YAML
`record`      a run as a scan of the store             `snapshots`   what it is doing now
"""

from labdaq.pipeline.attached import AttachedRun, attach
from labdaq.pipeline.declared import DeclaredRing, Tap
from labdaq.pipeline.histograms import HistogramSink
from labdaq.pipeline.kept import OpenRun
from labdaq.pipeline.kept_histogram import KeptHistogram
from labdaq.pipeline.ledger import Ledger, NodeBalance
from labdaq.pipeline.pipeline import Pipeline
from labdaq.pipeline.replay import Replay
from labdaq.pipeline.result import RunResult
from labdaq.pipeline.runs import RunList, RunSummary, open_run, runs
from labdaq.pipeline.sinks import StoreSink, TableSink
from labdaq.pipeline.states import TRANSITIONS, Command, RunState, state_diagram
from labdaq.pipeline.tasks import TaskContext

__all__ = [
    "TRANSITIONS",
    "AttachedRun",
    "Command",
    "DeclaredRing",
    "HistogramSink",
    "KeptHistogram",
    "Ledger",
    "NodeBalance",
    "OpenRun",
    "Pipeline",
    "Replay",
    "RunList",
    "RunResult",
    "RunState",
    "RunSummary",
    "StoreSink",
    "TableSink",
    "Tap",
    "TaskContext",
    "attach",
    "open_run",
    "runs",
    "state_diagram",
]
