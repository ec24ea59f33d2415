"""A suite as rings and nodes, in which labdaq's records, panels and accounts are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labdaq.compat.mimocorb.suite import Function, Suite
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import Node, upstream_order

__all__ = ["Team", "rings_of", "teams_of"]

_LONGEST = 60
_MOST_CODE = 20_000


@dataclass(frozen=True)
class Team:
    """Functions that read the same events: in v1 always one, in mimoCoRB2 all who read a buffer."""

    node: Node
    """What they are together."""
    functions: tuple[Function, ...]


class _Work:
    """What a function is called, for the description of a run; it is imported in its processes only."""

    def __init__(self, name: str) -> None:
        self.__qualname__ = name


def rings_of(suite: Suite) -> dict[str, DeclaredRing]:
    """The buffers of a suite by name, as rings without memory yet."""
    return {
        one.name: DeclaredRing(one.name, one.dtype(), (one.values,), one.slots, label=f"{suite.name}.{one.name}")
        for one in suite.buffers
    }


def teams_of(suite: Suite, rings: Mapping[str, DeclaredRing]) -> list[Team]:
    """Who works together in a suite, sources first; functions without a process are left out.

    Raises
    ------
    LayoutError
        They feed each other in a circle.
    """
    teams: list[list[Function]] = []
    for function in (one for one in suite.functions if one.processes):
        reads = set(function.buffers("read")) if suite.shares_events else set()
        mates = [team for team in teams if any(reads & set(other.buffers("read")) for other in team)]
        teams = [team for team in teams if team not in mates]
        teams.append([*(one for team in mates for one in team), function])
    found = {id(team[0]): Team(_node(suite, team, rings), tuple(team)) for team in teams}
    order = upstream_order([team.node for team in found.values()])
    return sorted(found.values(), key=lambda team: next(n for n, node in enumerate(order) if node is team.node))


def _node(suite: Suite, functions: Sequence[Function], rings: Mapping[str, DeclaredRing]) -> Node:
    name = ", ".join(suite.label(one) for one in functions)
    if len(name.encode()) > _LONGEST:
        more = f" and {len(functions) - 1} more" if functions[1:] else ""
        name = f"{suite.label(functions[0])[:20]}…{more}"
    reads, writes, observes = (_used(functions, role, rings) for role in ("read", "write", "observe"))
    role = ("filter" if writes else "sink") if reads else "source" if writes else "task"
    return Node(
        role=role,
        name=name,
        work=_Work(", ".join(one.function for one in functions)),
        reads=reads,
        writes=writes,
        observes=observes,
        workers=sum(one.processes for one in functions),
        run_in="processes",
        options={suite.label(one): _described(one) for one in functions},
    )


def _used(functions: Sequence[Function], role: str, rings: Mapping[str, DeclaredRing]) -> tuple[DeclaredRing, ...]:
    names = dict.fromkeys(name for one in functions for name in one.buffers(role))
    return tuple(rings[name] for name in names)


def _described(function: Function) -> dict[str, object]:
    """Settings of a function, and the module that it is in."""
    about: dict[str, object] = {"processes": function.processes, "config": dict(function.config)}
    if function.file is not None:
        about |= {"file": str(function.file), "code": _code(function.file)}
    return about


def _code(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")[:_MOST_CODE]
    except OSError:  # its process will tell
        return ""
