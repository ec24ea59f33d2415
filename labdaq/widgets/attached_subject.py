"""A run that another process owns, as its panel shows it."""

import time
from collections.abc import Iterator

from labdaq.errors import LabdaqError, StateError
from labdaq.pipeline import AttachedRun
from labdaq.pipeline.running.snapshots import NodeSnapshot, RingSnapshot, Snapshot
from labdaq.pipeline.workers import board as b
from labdaq.roles import Parameter
from labdaq.widgets.subject import LastLines, Seen, allowed_in, balance_line, keep_note

__all__ = ["AttachedSubject"]


class AttachedSubject(LastLines):
    """A run that another process owns."""

    can_start = False

    def __init__(self, run: AttachedRun) -> None:
        super().__init__()
        self._run = run
        self.title = f"{run.name} · run {run.number}"
        self.parameters: dict[str, Parameter] = {}
        self.ring_names = list(run._rings)
        self._last_s = time.monotonic()
        self._written: dict[str, int] = {}
        self._cpu_ns: dict[str, int] = {}
        self._read_nbytes = 0

    def see(self) -> Seen:
        """The numbers of now."""
        self._read_log()
        now_s = time.monotonic()
        elapsed_s, self._last_s = max(now_s - self._last_s, 1e-9), now_s
        board = self._run.board
        limit = board.words[b.LIMIT]
        nodes = tuple(self._nodes(elapsed_s))
        snapshot = Snapshot(
            seconds=self._seconds(),
            state=self._run.state.name,
            events=self._run.events,
            rings=tuple(self._rings(elapsed_s)),
            nodes=nodes,
            deadtime=self._deadtime(),
        )
        return Seen(
            title=self.title,
            state=self._run.state.name,
            snapshot=snapshot,
            balance=tuple(f"{node.name}: {balance_line(node)}" for node in nodes),
            events_limit=limit if limit < b.NO_LIMIT else None,
            reason="" if self._run.is_alive else "its process has ended",
        )

    def _seconds(self) -> float:
        words = self._run.board.words
        if not words[b.STARTED_NS]:
            return 0.0
        now_ns = time.monotonic_ns() if self._run.is_alive else words[b.STARTED_NS]
        return max((words[b.ENDED_NS] or now_ns) - words[b.STARTED_NS], 0) / 1e9

    def _deadtime(self) -> float:
        roles = {number: node["role"] for number, node in enumerate(self._run._nodes, 1)}
        rows = [row for row in self._run.board.rows() if roles.get(row.get(b.W_GROUP)) == "source"]
        seconds = self._seconds() * len(rows)
        return min(sum(row.get(b.W_WAITED_NS) for row in rows) / 1e9 / seconds, 1.0) if seconds else 0.0

    def _nodes(self, elapsed_s: float) -> Iterator[NodeSnapshot]:
        counts = self._run.counts()
        for number, node in enumerate(self._run._nodes, 1):
            rows = [row for row in self._run.board.rows() if row.get(b.W_GROUP) == number]
            name, cpu_ns = str(node["name"]), sum(row.get(b.W_CPU_NS) for row in rows)
            cpu = max(cpu_ns - self._cpu_ns.get(name, cpu_ns), 0) / 1e9 / elapsed_s
            self._cpu_ns[name] = cpu_ns
            yield NodeSnapshot(
                name=name,
                role=str(node["role"]),
                states=tuple(row.state for row in rows),
                counts=counts[name],
                written=sum(row.get(b.W_WRITTEN) for row in rows),
                nerror=sum(row.get(b.W_ERRORS) for row in rows),
                cpu=cpu,
            )

    def _rings(self, elapsed_s: float) -> Iterator[RingSnapshot]:
        for name in self._run._rings if self._run.is_alive else ():
            try:
                statistics = self._run.ring(name).statistics()
            except LabdaqError:  # the run is ending, and its memory gone
                continue
            written = statistics.frames_written
            rate_hz = (written - self._written.get(name, written)) / elapsed_s
            self._written[name] = written
            lags = {group.name: group.lag for group in statistics.groups}
            yield RingSnapshot(name, written, rate_hz, statistics.fill, lags)

    def _read_log(self) -> None:
        """What was written to the log of the run since."""
        try:
            with (self._run.folder / "log.txt").open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self._read_nbytes, size - 20_000))
                text = file.read()
        except OSError:
            return
        whole = text.rpartition(b"\n")[0]
        self._read_nbytes = max(self._read_nbytes, size - 20_000) + len(whole) + bool(whole)
        self.log.extend(line for line in whole.decode("utf-8", "replace").splitlines() if line)

    def allowed(self) -> set[str]:
        """Which commands are possible now."""
        return allowed_in(self._run.state) if self._run.is_alive else set()

    def do(self, command: str, *, events: int | None = None, seconds: float | None = None) -> None:  # noqa: ARG002
        """Pause, resume, stop or abort."""
        if command == "start":
            raise StateError("a run that is attached to cannot be started again: start the next one where it was made")
        getattr(self._run, command)()

    def note(self, text: str) -> str:
        """Keep a note in the folder of the run."""
        return keep_note(self._run.folder, text)

    def close(self) -> None:
        """Look no more; the view of the run stays open for its owner."""
