"""Runs that were kept.

`listing`, `found`   found again: `runs` and `open_run`      `open_run`   one, with all that it left
`data`, `tables`   its records and waveforms        `remains`    what is left of one that was cut short
`replay`, `recorded`, `pacing`   given once more as a source, at any pace
"""

from labdaq.pipeline.kept.listing import RunList, RunSummary, open_run, runs
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.kept.replay import Replay

__all__ = ["OpenRun", "Replay", "RunList", "RunSummary", "open_run", "runs"]
