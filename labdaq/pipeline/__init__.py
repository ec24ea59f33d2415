"""Pipelines: rings and workers, wired in a few lines, run, supervised, and accounted for.

`pipeline`    what its user writes                    `nodes`, `declared`   what it is made of
`running`     one run: control, crew, supervision, accounts, detached runs
`workers`     what sources, filters, sinks and tasks do
`sinks`       files, streams of the store, histograms
`recording`   what is kept of a run                   `kept`    runs found again, opened, replayed
`suite`       pipelines in YAML                       `streams`   sources, sinks, records of live streams
`shared_work` work that several machines share, by a Redis server
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labdaq.pipeline.declared import DeclaredRing, Tap
    from labdaq.pipeline.kept.listing import RunList, RunSummary, open_run, runs
    from labdaq.pipeline.kept.open_run import OpenRun
    from labdaq.pipeline.kept.replay import Replay
    from labdaq.pipeline.pipeline import Pipeline
    from labdaq.pipeline.running.attached import AttachedRun, attach
    from labdaq.pipeline.running.ledger import Ledger, NodeBalance
    from labdaq.pipeline.running.result import RunResult
    from labdaq.pipeline.running.states import TRANSITIONS, Command, RunState, state_diagram
    from labdaq.pipeline.shared_work.joining import join_work
    from labdaq.pipeline.shared_work.member import MemberStatistics, SharedMember
    from labdaq.pipeline.shared_work.rings import SharedReader, SharedRing, read_shared
    from labdaq.pipeline.shared_work.shared import SharedWork, shared
    from labdaq.pipeline.sinks.files import StoreSink, TableSink
    from labdaq.pipeline.sinks.histograms import HistogramSink
    from labdaq.pipeline.sinks.kept_histogram import KeptHistogram
    from labdaq.pipeline.streams.bridges import SharedSubscriber, publish, subscribe
    from labdaq.pipeline.streams.following import ScanFollower, follow_scan
    from labdaq.pipeline.streams.recording import StreamRecording, record_stream
    from labdaq.pipeline.streams.sinks import StreamSink
    from labdaq.pipeline.streams.sources import StreamSource
    from labdaq.pipeline.workers.tasks import TaskContext

__all__ = [
    "TRANSITIONS",
    "AttachedRun",
    "Command",
    "DeclaredRing",
    "HistogramSink",
    "KeptHistogram",
    "Ledger",
    "MemberStatistics",
    "NodeBalance",
    "OpenRun",
    "Pipeline",
    "Replay",
    "RunList",
    "RunResult",
    "RunState",
    "RunSummary",
    "ScanFollower",
    "SharedMember",
    "SharedReader",
    "SharedRing",
    "SharedSubscriber",
    "SharedWork",
    "StoreSink",
    "StreamRecording",
    "StreamSink",
    "StreamSource",
    "TableSink",
    "Tap",
    "TaskContext",
    "attach",
    "follow_scan",
    "join_work",
    "open_run",
    "publish",
    "read_shared",
    "record_stream",
    "runs",
    "shared",
    "state_diagram",
    "subscribe",
]

# Each is imported when it is first asked for: who only lists runs, or only shares work, need not wait for all of it.
_HOMES = {
    **dict.fromkeys(("DeclaredRing", "Tap"), "declared"),
    **dict.fromkeys(("RunList", "RunSummary", "open_run", "runs"), "kept.listing"),
    "OpenRun": "kept.open_run",
    "Replay": "kept.replay",
    "Pipeline": "pipeline",
    **dict.fromkeys(("AttachedRun", "attach"), "running.attached"),
    **dict.fromkeys(("Ledger", "NodeBalance"), "running.ledger"),
    "RunResult": "running.result",
    **dict.fromkeys(("TRANSITIONS", "Command", "RunState", "state_diagram"), "running.states"),
    "join_work": "shared_work.joining",
    **dict.fromkeys(("MemberStatistics", "SharedMember"), "shared_work.member"),
    **dict.fromkeys(("SharedReader", "SharedRing", "read_shared"), "shared_work.rings"),
    **dict.fromkeys(("SharedWork", "shared"), "shared_work.shared"),
    **dict.fromkeys(("StoreSink", "TableSink"), "sinks.files"),
    "HistogramSink": "sinks.histograms",
    "KeptHistogram": "sinks.kept_histogram",
    **dict.fromkeys(("SharedSubscriber", "publish", "subscribe"), "streams.bridges"),
    **dict.fromkeys(("ScanFollower", "follow_scan"), "streams.following"),
    **dict.fromkeys(("StreamRecording", "record_stream"), "streams.recording"),
    "StreamSink": "streams.sinks",
    "StreamSource": "streams.sources",
    "TaskContext": "workers.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"labdaq.pipeline has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"labdaq.pipeline.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
