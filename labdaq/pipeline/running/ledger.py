"""The balance of a run: what came in at each place, and what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labdaq.pipeline.workers.board import OUTCOMES

__all__ = ["Ledger", "NodeBalance"]


@dataclass(frozen=True)
class NodeBalance:
    """The balance of one node: of all its workers together."""

    name: str
    role: str
    received: int
    """Events that were in the ring for it; for a source, those that it gave."""
    accepted: int = 0
    """Passed on, or kept; for a source, those that are in its ring."""
    rejected: int = 0
    """Dropped by a filter."""
    quarantined: int = 0
    """Set apart because the user's code raised."""
    repeated: int = 0
    """Dropped because they came a second time, after a worker died."""
    discarded: int = 0
    """Given by a source while nobody wanted them, or there was no room; taken by a sink that had no room on the disk
    to keep them."""
    undelivered: int = 0
    """Left in the ring when the run was aborted, or had nobody left to read them."""
    written: int = 0
    """Records that it wrote, in all its outputs."""
    device_losses: Mapping[str, int] = field(default_factory=dict)
    """What the device of a source says that it lost itself, by reason."""

    @property
    def accounted(self) -> int:
        """All that is known to have become of what was received."""
        return sum(getattr(self, name) for name in (*OUTCOMES, "undelivered"))

    @property
    def is_closed(self) -> bool:
        """Whether everything is accounted for, once and only once."""
        return self.accounted == self.received

    def __str__(self) -> str:
        parts = [
            f"{name} {count}"
            for name in (*OUTCOMES, "undelivered")
            if (count := getattr(self, name)) or name == "accepted"
        ]
        parts += [f"lost by the device ({reason}) {count}" for reason, count in self.device_losses.items() if count]
        return f"{self.name}: in {self.received} = {' + '.join(parts)}"


@dataclass(frozen=True)
class Ledger:
    """The balance of all nodes."""

    nodes: tuple[NodeBalance, ...]

    @property
    def is_closed(self) -> bool:
        """Whether every node's balance closes."""
        return all(node.is_closed for node in self.nodes)

    def __getitem__(self, name: str) -> NodeBalance:
        return next(node for node in self.nodes if node.name == name)

    def __str__(self) -> str:
        return "\n".join(map(str, self.nodes))

    @classmethod
    def of(cls, nodes: Iterable[NodeBalance]) -> "Ledger":
        """A ledger of these balances."""
        return cls(tuple(nodes))
