"""What a run of a suite comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labdaq.compat.mimocorb.control import buffer_control
from labdaq.pipeline.running.result import RunResult

__all__ = ["SuiteResult", "WorkerOutcome", "outcome_of"]


@dataclass(frozen=True)
class WorkerOutcome:
    """How a process ended."""

    name: str
    """Of its function in the suite."""
    state: str
    """``ended``, ``failed``, or ``killed`` when another one took its place."""
    exitcode: int | None
    """Of its process."""
    reason: str
    """A traceback, or what else there is to say; empty when it just ended."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of its events: accepted, rejected, discarded and so on."""


@dataclass(frozen=True)
class SuiteResult(RunResult):
    """How a run ended, and the balance of its events.

    Its nodes are the functions of the suite; those of mimoCoRB2 that share the events of a buffer are one node.
    """

    written: Mapping[str, int] = field(default_factory=dict)
    """Events that came into each buffer."""
    workers: tuple[WorkerOutcome, ...] = ()
    is_interrupted: bool = False
    """Whether Ctrl-C ended it."""

    def __str__(self) -> str:
        return f"{super().__str__()}\nworkers: {self._workers()}"

    def _workers(self) -> str:
        numbers: dict[tuple[str, str], int] = {}
        for one in self.workers:
            key = (one.name, one.state)
            numbers[key] = numbers.get(key, 0) + 1
        said = (f"{number} x {name} {state}" for (name, state), number in numbers.items())
        return ", ".join(one.removeprefix("1 x ") for one in said)


def outcome_of(result: RunResult, control: buffer_control, *, is_interrupted: bool = False) -> SuiteResult:
    """The result of a run that is over, with its buffers and processes."""
    workers = [
        WorkerOutcome(one.name, one.state, one.exitcode, one.reason, {} if one.row is None else one.row.counts())
        for one in sorted(control.process_list, key=lambda one: control.suite.functions.index(one.function))
    ]
    return SuiteResult(**vars(result), written=control.counts, workers=tuple(workers), is_interrupted=is_interrupted)
