"""Who reads a buffer together: in v1 the processes of one function, in mimoCoRB2 all who read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb.suite import Function
from labdaq.compat.mimocorb.wiring import Team

__all__ = ["Group", "reader_groups"]


@dataclass(frozen=True)
class Group:
    """A reader group of a buffer."""

    buffer: str
    functions: tuple[Function, ...]
    """Those whose processes share its events."""
    name: str
    """Theirs, for messages."""
    setup: dict[str, Any]
    """The setup dictionary of its readers, with the place of the buffer among those that they read."""


def reader_groups(teams: Sequence[Team], buffers: Mapping[str, NewBuffer]) -> list[Group]:
    """Make the reader groups of a suite, called as those who read."""
    return [
        Group(
            ring.name,
            team.functions,
            team.node.name,
            buffers[ring.name].new_reader_group(team.node.name) | {"place": (number, len(team.node.reads))},
        )
        for team in teams
        for number, ring in enumerate(team.node.reads)
    ]
