"""What a worker has to do, in a form that can go to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from labdaq.ring import Ring

__all__ = ["Upstream", "WorkerPlan"]


class Upstream(NamedTuple):
    """A ring from which events come."""

    ring: Ring
    group: str
    """The reader group by whose hands they come."""
    is_first: bool
    """Whether a source writes it: its counters rise."""


@dataclass
class WorkerPlan:
    """One worker of one run."""

    role: str
    """source, filter, sink or task."""
    group: str
    """Name of the node of the pipeline; also of its reader group in the ring it reads."""
    number: int
    """Which of the workers of the node it is, from 0."""
    row: int
    """Its row on the board."""
    work: Any
    """The user's function or object."""
    reads: tuple[Ring, ...] = ()
    writes: tuple[Ring, ...] = ()
    observes: tuple[Ring, ...] = ()
    folder: Path = Path()
    """Folder of the run."""
    origin: int = 0
    """Number of the node."""
    table: int | None = None
    """Table of the records that its group has seen, where some may come twice."""
    upstream: tuple[Upstream, ...] = ()
    """All rings before those that it reads, from the source on, where the order of events matters."""
    run_in: str = "threads"
    max_errors: int = 10
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the role."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.group}-{self.number + 1}"

    @property
    def who(self) -> str:
        """For messages."""
        return f"{self.role} {self.group!r}"
