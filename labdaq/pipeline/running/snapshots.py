"""What a run is doing, as numbers of one moment: for panels, and once a second for the file of statistics."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import LabdaqError
from labdaq.files import CsvFile
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.closing import deadtime_of
from labdaq.pipeline.workers import board as b

__all__ = ["NodeSnapshot", "RingSnapshot", "Snapshot", "StatisticsFile", "snapshot_of"]


@dataclass(frozen=True)
class RingSnapshot:
    """A ring at one moment of a run."""

    name: str
    written: int
    """Events of this run that came into it."""
    rate_hz: float
    """Events per second since the last snapshot of the same observer."""
    fill: float
    """0 to 1: how much of it its slowest reader still needs. At 1 whoever writes waits."""
    lags: dict[str, int]
    """Events between each reader group and the newest."""


@dataclass(frozen=True)
class NodeSnapshot:
    """The workers of a node at one moment."""

    name: str
    role: str
    states: tuple[str, ...]
    """Of its workers: starting, working, done, failed, killed, stuck."""
    counts: dict[str, int]
    """accepted, rejected, quarantined, repeated, discarded so far."""
    written: int
    nerror: int
    cpu: float
    """Processors that it keeps busy, since the last snapshot of the same observer."""


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    seconds: float
    """Of intake, without pauses."""
    state: str
    events: int
    rings: tuple[RingSnapshot, ...]
    nodes: tuple[NodeSnapshot, ...]
    deadtime: float


class Observation:
    """Remembers what was last seen of a run, so that there are rates."""

    def __init__(self, run: AnyRun) -> None:
        self._run = run
        self._last_s = time.monotonic()
        self._written: dict[str, int] = {}
        self._cpu_ns: dict[str, int] = {}

    def now(self) -> Snapshot:
        """The numbers of this moment."""
        run, now_s = self._run, time.monotonic()
        elapsed_s = max(now_s - self._last_s, 1e-9)
        self._last_s = now_s
        return Snapshot(
            seconds=run.seconds,
            state=run.state.name,
            events=run.board.taken,
            rings=tuple(self._ring(ring, elapsed_s) for ring in run.rings),
            nodes=tuple(self._node(node, elapsed_s) for node in run.nodes),
            deadtime=deadtime_of(run),
        )

    def _ring(self, declared: Any, elapsed_s: float) -> RingSnapshot:
        statistics = self._run.rings[declared].statistics()
        written = self._run.written_to(declared)
        rate_hz = (written - self._written.get(declared.name, 0)) / elapsed_s
        self._written[declared.name] = written
        lags = {group.name: group.lag for group in statistics.groups}
        return RingSnapshot(declared.name, written, rate_hz, statistics.fill, lags)

    def _node(self, node: Any, elapsed_s: float) -> NodeSnapshot:
        rows = [member.row for member in self._run.crew.members[node.name]]
        cpu_ns = sum(row.get(b.W_CPU_NS) for row in rows)
        cpu = (cpu_ns - self._cpu_ns.get(node.name, 0)) / 1e9 / elapsed_s
        self._cpu_ns[node.name] = cpu_ns
        return NodeSnapshot(
            name=node.name,
            role=node.role,
            states=tuple(row.state for row in rows),
            counts={name: sum(row.counts()[name] for row in rows) for name in b.OUTCOMES},
            written=sum(row.get(b.W_WRITTEN) for row in rows),
            nerror=sum(row.get(b.W_ERRORS) for row in rows),
            cpu=cpu,
        )


def snapshot_of(run: AnyRun) -> Snapshot:
    """The numbers of this moment; its rates are those since the beginning of the run."""
    return Observation(run).now()


class StatisticsFile:
    """One line a second: rates, fill levels, dead time, and CPU of each worker."""

    def __init__(self, path: Path, run: AnyRun, every_s: float = 1.0) -> None:
        self._file = CsvFile(path, units={"time": "s"})
        self._observation = Observation(run)
        self._every_s = every_s
        self._next_s = time.monotonic() + every_s
        fields = [("time", "f8"), ("events", "i8"), ("deadtime", "f8")]
        fields += [(f"{ring.name}.{what}", "f8") for ring in run.rings for what in ("rate_hz", "fill")]
        fields += [(f"{node.name}.cpu", "f8") for node in run.nodes]
        self._dtype = np.dtype(fields)

    def look(self, run: AnyRun, *, last: bool = False) -> None:
        """Add a line when it is time."""
        now_s = time.monotonic()
        if now_s < self._next_s and not last:
            return
        self._next_s = now_s + self._every_s
        shown = self._observation.now()
        line = np.zeros(1, self._dtype)
        line["time"], line["events"], line["deadtime"] = run.seconds, shown.events, shown.deadtime
        for ring in shown.rings:
            line[f"{ring.name}.rate_hz"], line[f"{ring.name}.fill"] = ring.rate_hz, ring.fill
        for node in shown.nodes:
            line[f"{node.name}.cpu"] = node.cpu
        try:
            self._file.write(line)
        except LabdaqError:  # a full disk ends the run elsewhere
            return

    def close(self) -> None:
        """Complete the file."""
        self._file.close()
