"""What a run of another process is doing, as numbers of one moment."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labdaq.errors import LabdaqError
from labdaq.pipeline.running.snapshots import NodeSnapshot, RingSnapshot, Snapshot
from labdaq.pipeline.workers import board as b

if TYPE_CHECKING:
    from labdaq.pipeline.running.attached import AttachedRun

__all__ = ["AttachedObservation"]


class AttachedObservation:
    """Remembers what was last seen of a run, so that there are rates; the first ones are zero.

    Parameters
    ----------
    run
        Of another process.
    """

    def __init__(self, run: "AttachedRun") -> None:
        self._run = run
        self._last_s = time.monotonic()
        self._written: dict[str, int] = {}
        self._cpu_ns: dict[str, int] = {}

    def now(self) -> Snapshot:
        """The numbers of this moment; of a run that is over without its rings, which are gone or another run's."""
        run, now_s = self._run, time.monotonic()
        elapsed_s, self._last_s = max(now_s - self._last_s, 1e-9), now_s
        words = run.board.words
        return Snapshot(
            seconds=words[b.SECONDS_NS] / 1e9,
            state=run.state.name,
            events=run.events,
            rings=tuple(self._rings(elapsed_s)),
            nodes=tuple(self._nodes(elapsed_s)),
            deadtime=words[b.DEADTIME_PPB] / 1e9,
        )

    def _rings(self, elapsed_s: float) -> Iterator[RingSnapshot]:
        for name, begin in self._run.begin_frames.items() if not self._run.is_over else ():
            try:
                statistics = self._run.ring(name).statistics()
            except LabdaqError:  # the run is ending and its memory gone, or it is not shared
                continue
            written = statistics.frames_written - begin
            rate_hz = (written - self._written.get(name, written)) / elapsed_s
            self._written[name] = written
            lags = {group.name: group.lag for group in statistics.groups}
            yield RingSnapshot(name, written, rate_hz, statistics.fill, lags)

    def _nodes(self, elapsed_s: float) -> Iterator[NodeSnapshot]:
        counts = self._run.counts()
        for name, node in self._run.nodes.items():
            rows = self._run.rows_of(name)
            cpu_ns = sum(row.get(b.W_CPU_NS) for row in rows)
            cpu = (cpu_ns - self._cpu_ns.get(name, cpu_ns)) / 1e9 / elapsed_s
            self._cpu_ns[name] = cpu_ns
            yield NodeSnapshot(
                name=name,
                role=node["role"],
                states=tuple(row.state for row in rows),
                counts=counts[name],
                written=sum(row.get(b.W_WRITTEN) for row in rows),
                nerror=sum(row.get(b.W_ERRORS) for row in rows),
                cpu=cpu,
            )
