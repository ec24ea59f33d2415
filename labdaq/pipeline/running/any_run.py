"""What is known of a run of whatever kind, by those who keep its books, its record and its panel."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from labdaq.errors import StateError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.limits import Limits
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.workers.board import Board, Row
from labdaq.ring import Ring

if TYPE_CHECKING:
    from labdaq.pipeline.recording.record import Record

__all__ = ["AnyCrew", "AnyRun", "AnyWorker", "RunHere"]


class AnyWorker(Protocol):
    """A worker whose work is counted."""

    @property
    def node(self) -> Node:
        """For which it works."""

    @property
    def number(self) -> int:
        """Of those who work for the node."""

    @property
    def row(self) -> Row:
        """Where it is counted."""


class AnyCrew(Protocol):
    """All who work, or worked, in a run."""

    @property
    def members(self) -> Mapping[str, Sequence[AnyWorker]]:
        """By the name of the node."""

    @property
    def sources(self) -> Sequence[AnyWorker]:
        """Those that take in events."""


class AnyRun(Protocol):
    """A run of a pipeline, or of a suite of another program: what both have."""

    @property
    def name(self) -> str:
        """Of the pipeline."""

    @property
    def number(self) -> int:
        """Of the run."""

    @property
    def folder(self) -> Path:
        """With its files."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Sources first."""

    @property
    def rings(self) -> Mapping[DeclaredRing, Ring]:
        """The memory of its rings."""

    @property
    def crew(self) -> AnyCrew:
        """Who works for which node."""

    @property
    def board(self) -> Board:
        """Where the workers count, and others look."""

    @property
    def limits(self) -> Limits:
        """When it ends."""

    @property
    def record(self) -> "Record":
        """What is kept of it."""

    @property
    def state(self) -> RunState:
        """What it is doing."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended and everything is put away."""

    @property
    def reason(self) -> str:
        """Why it ends, or ended."""

    @property
    def failure(self) -> str:
        """Why it cannot end well, even if everything is drained."""

    @property
    def seconds(self) -> float:
        """How long the intake has lasted, without pauses."""

    @property
    def restarts(self) -> int:
        """Processes that were killed and replaced."""

    @property
    def errors(self) -> list[str]:
        """What went wrong, the first ones."""

    @property
    def nerror(self) -> int:
        """How much went wrong."""

    @property
    def stuck(self) -> list[str]:
        """Threads that did not return."""

    @property
    def losses(self) -> dict[str, dict[str, int]]:
        """What devices lost, by node and reason."""

    @property
    def parameters(self) -> list[tuple[str, str, Any, int]]:
        """Changes while it ran: node, name, value, counter from which it holds."""

    @property
    def undelivered(self) -> Counter[str]:
        """Events that were left for each node."""

    @property
    def result(self) -> RunResult | None:
        """When it is over."""

    @property
    def on_over(self) -> list[Callable[[], None]]:
        """Called when it is over."""

    def first_frame(self, ring: DeclaredRing) -> int:
        """How many frames were written into a ring before this run."""

    def written_to(self, ring: DeclaredRing) -> int:
        """Events that this run wrote into a ring."""

    def command(self, command: Command, reason: str = ...) -> None:
        """Ask for a change of state, and say why; returns at once."""

    def set_parameter(self, node: str, name: str, value: Any) -> None:
        """Change a parameter."""

    def note(self, text: str) -> None:
        """Keep what somebody wants to remember."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""

    def over(self) -> RunResult:
        """The result of a run that is over."""


class RunHere(RunControls):
    """What runs of this process do alike."""

    def note(self: AnyRun, text: str) -> None:
        """Keep what somebody wants to remember of this moment, with its time, in ``notes.txt`` and the record.

        Raises
        ------
        LayoutError
            There is nothing in it.
        StateError
            The run is over.
        """
        if self.is_over:
            raise StateError(f"run {self.number} of {self.name!r} is over: its record is closed")
        self.record.note(text)

    def over(self: AnyRun) -> RunResult:
        """The result of a run that is over; a StateError otherwise."""
        if self.result is None:
            raise StateError(f"run {self.number} of {self.name!r} is not over")
        return self.result

    def written_to(self: AnyRun, ring: DeclaredRing) -> int:
        """Events that this run wrote into a ring."""
        return self.rings[ring].statistics().frames_written - self.first_frame(ring)
