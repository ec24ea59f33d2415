"""Who reads a buffer together: in v1 the processes of one function, in mimoCoRB2 all who read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb.suite import Function, Suite

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
    """The setup dictionary of its readers."""


def reader_groups(suite: Suite, buffers: Mapping[str, NewBuffer]) -> list[Group]:
    """Make the reader groups of a suite."""
    readers: dict[tuple[str, ...], list[Function]] = {}
    for function in suite.functions:
        for buffer in function.buffers("read"):
            key = (buffer,) if suite.shares_events else (buffer, function.name)
            readers.setdefault(key, []).append(function)
    groups = []
    for (buffer, *_), functions in readers.items():
        name = ", ".join(suite.label(function) for function in functions)
        groups.append(Group(buffer, tuple(functions), name, buffers[buffer].new_reader_group()))
    return groups
