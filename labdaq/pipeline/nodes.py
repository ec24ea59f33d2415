"""The nodes of a pipeline, rings and workers, as they were declared; and what is wrong with how they are wired."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labdaq.errors import LayoutError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.ring.spaces import space_named

__all__ = ["Node", "check_wiring", "is_only_writer", "upstream_order"]


@dataclass
class Node:
    """Workers that do the same work."""

    role: str
    """source, filter, sink or task."""
    name: str
    work: Any
    reads: tuple[DeclaredRing, ...] = ()
    writes: tuple[DeclaredRing, ...] = ()
    observes: tuple[DeclaredRing, ...] = ()
    workers: int = 1
    run_in: str = "threads"
    max_errors: int = 10
    max_restarts: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_source(self) -> bool:
        """Whether events come into the pipeline here."""
        return bool(self.writes) and not self.reads

    @property
    def who(self) -> str:
        """For messages."""
        return f"{self.role} {self.name!r}"


def check_wiring(nodes: Iterable[Node], rings: Iterable[DeclaredRing]) -> None:
    """Find what can never work.

    Raises
    ------
    LayoutError
        There is no source; a ring that is read is written by nobody, or nobody reads what is written; or
        rings and workers form a circle.
    MissingExtraError, ResourceError
        A worker wants a GPU, and there is none.
    """
    nodes = list(nodes)
    for node in nodes:
        _ = space_named(node.options.get("space", "system")).device
    if not any(node.is_source for node in nodes):
        raise LayoutError("this pipeline has no source: say where data come from with daq.source(…)")
    for ring in rings:
        writers = [node for node in nodes if ring in node.writes]
        readers = [node for node in nodes if ring in node.reads]
        if readers and not writers:
            raise LayoutError(f"ring {ring.name!r} is read by {readers[0].who}, and nobody writes it")
        if writers and not readers:
            raise LayoutError(
                f"ring {ring.name!r} is written by {writers[0].who}, and nobody reads it: it would fill up and stop "
                f"everything. Give it a sink, or say daq.drain({ring.name})"
            )
    upstream_order(nodes)
    _check_order(nodes)


def _check_order(nodes: Iterable[Node]) -> None:
    nodes = list(nodes)
    ordered = [node for node in nodes if node.options.get("order") == "counter"]
    for ring in {ring for node in nodes if node.is_source for ring in node.writes}:
        sources = [node.name for node in nodes if node.is_source and ring in node.writes]
        if ordered and len(sources) > 1:
            raise LayoutError(
                f"{ordered[0].who} wants events in the order of their counters, and {' and '.join(sources)} number "
                f"theirs at the same time in ring {ring.name!r}: give each source a ring of its own"
            )


def upstream_order(nodes: Iterable[Node]) -> list[Node]:
    """Sources first, and each node after all that write what it reads.

    Raises
    ------
    LayoutError
        When there is a circle.
    """
    left, ordered = list(nodes), []
    while left:
        waiting = {ring for node in left for ring in node.writes}
        ready = [node for node in left if not waiting & set(node.reads)]
        if not ready:
            raise LayoutError(f"these feed each other in a circle: {', '.join(node.who for node in left)}")
        ordered += ready
        left = [node for node in left if node not in ready]
    return ordered


def is_only_writer(node: Node, nodes: Iterable[Node]) -> bool:
    """Whether nobody else writes what a node writes."""
    return not any(set(other.writes) & set(node.writes) for other in nodes if other is not node)
