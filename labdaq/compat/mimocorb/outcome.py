"""What a run of a suite comes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labdaq.compat.mimocorb.daq import run_mimoDAQ
from labdaq.pipeline.running.states import RunState

__all__ = ["SuiteResult", "WorkerOutcome", "outcome_of"]


@dataclass(frozen=True)
class WorkerOutcome:
    """How a process ended."""

    name: str
    """Of its function in the suite."""
    state: str
    """``ended`` or ``failed``."""
    exitcode: int | None
    """Of its process."""
    reason: str
    """A traceback, or what else there is to say; empty when it just ended."""


@dataclass(frozen=True)
class SuiteResult:
    """How a run ended, and the balance of its events."""

    name: str
    """Of the suite."""
    state: RunState
    """ENDED, or FAILED: a worker failed, or the run was aborted."""
    reason: str
    """Why it ended."""
    seconds: float
    """In which data were taken."""
    written: Mapping[str, int]
    """Events that came into each buffer."""
    read: Mapping[tuple[str, str], int]
    """Events that were read to their end, by buffer and reader."""
    left_behind: Mapping[tuple[str, str], int]
    """Events that were not, likewise."""
    discarded: Mapping[str, int]
    """Events that came while the source was paused, by buffer."""
    workers: tuple[WorkerOutcome, ...]
    folder: Path
    """Where the files of the run are."""
    is_interrupted: bool = False
    """Whether Ctrl-C ended it."""

    @property
    def errors(self) -> tuple[str, ...]:
        """What went wrong in workers, with tracebacks."""
        return tuple(f"{one.name}: {one.reason.rstrip()}" for one in self.workers if one.state == "failed")

    def __str__(self) -> str:
        lines = [f"run of {self.name!r}: {self.state.name.lower()}, {self.reason}, {self.seconds:.3g} s"]
        lines += [self._balance(buffer) for buffer in self.written]
        lines.append(f"workers: {self._workers()}")
        lines += self.errors[:1]
        lines.append(f"files: {self.folder}")
        return "\n".join(lines)

    def _balance(self, buffer: str) -> str:
        parts = []
        for (name, reader), number in self.read.items():
            if name == buffer:
                left = self.left_behind.get((name, reader), 0)
                parts.append(f"{number} read by {reader}" + (f" and {left} left behind" if left else ""))
        line = f"{buffer}: {self.written[buffer]} written" + (f" = {'; '.join(parts)}" if parts else "")
        lost = self.discarded.get(buffer, 0)
        return line + (f"; {lost} discarded while paused" if lost else "")

    def _workers(self) -> str:
        numbers: dict[tuple[str, str], int] = {}
        for one in self.workers:
            key = (one.name, one.state)
            numbers[key] = numbers.get(key, 0) + 1
        said = (f"{number} x {name} {state}" for (name, state), number in numbers.items())
        return ", ".join(one.removeprefix("1 x ") for one in said)


def outcome_of(daq: run_mimoDAQ, *, is_interrupted: bool = False) -> SuiteResult:
    """The result of a run that is over."""
    control = daq.bc
    is_bad = bool(control.failures) or daq.is_aborted
    reason = "it was aborted" if daq.is_aborted else "it was interrupted" if is_interrupted else daq.reason
    workers = [WorkerOutcome(one.name, one.state, one.exitcode, one.reason) for one in reversed(control.process_list)]
    return SuiteResult(
        name=daq.suite.path.stem,
        state=RunState.FAILED if is_bad else RunState.ENDED,
        reason=reason,
        seconds=control.active_s,
        written=control.counts,
        read=control.events_read,
        left_behind=control.left_behind,
        discarded=control.discarded,
        workers=tuple(workers),
        folder=daq.folder,
        is_interrupted=is_interrupted,
    )
