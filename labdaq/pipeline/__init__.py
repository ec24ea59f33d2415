"""Pipelines: rings and workers, wired in a few lines, run, supervised, and accounted for.

`pipeline`    what its user writes                    `nodes`, `declared`   what it is made of
`running`     one run: control, crew, supervision, accounts, detached runs
`workers`     what sources, filters, sinks and tasks do
`sinks`       files, streams of the store, histograms
`recording`   what is kept of a run                   `kept`    runs found again, opened, replayed
`suite`       pipelines in YAML
"""

from labdaq.pipeline.declared import DeclaredRing, Tap
from labdaq.pipeline.kept.listing import RunList, RunSummary, open_run, runs
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.kept.replay import Replay
from labdaq.pipeline.pipeline import Pipeline
from labdaq.pipeline.running.attached import AttachedRun, attach
from labdaq.pipeline.running.ledger import Ledger, NodeBalance
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.states import TRANSITIONS, Command, RunState, state_diagram
from labdaq.pipeline.sinks.files import StoreSink, TableSink
from labdaq.pipeline.sinks.histograms import HistogramSink
from labdaq.pipeline.sinks.kept_histogram import KeptHistogram
from labdaq.pipeline.workers.tasks import TaskContext

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
