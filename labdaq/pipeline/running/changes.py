"""Parameters that are changed while a run is on: who uses them, and what is wanted of them last."""

import threading
from collections.abc import Sequence
from typing import Any

from labdaq.pipeline.nodes import Node
from labdaq.pipeline.running.crew import Crew, Member
from labdaq.roles import Parameter, parameters_of

__all__ = ["ParameterChanges"]


class ParameterChanges:
    """Hands new values to the workers, which set them at the border of their next event.

    Those who ask at the same moment are heard one after the other: all workers end with the same value.

    Parameters
    ----------
    nodes
        Of the run.
    crew
        Their workers.
    """

    def __init__(self, nodes: Sequence[Node], crew: Crew) -> None:
        self._nodes, self._crew = nodes, crew
        self._wanted: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def ask(self, node: str, name: str, value: Any) -> Parameter:
        """Change a parameter for all workers that use it, under whatever name; which one it is."""
        changed = next(parameters_of(one.work)[name] for one in self._nodes if one.name == node)
        users = [
            (one, known)
            for one in self._nodes
            for known, parameter in parameters_of(one.work).items()
            if parameter is changed
        ]
        with self._lock:
            for one, known in users:
                self._wanted[one.name, known] = value
                for member in self._crew.members[one.name]:
                    member.host.change(known, value)
        return changed

    def tell(self, member: Member) -> None:
        """What was asked before this worker came."""
        with self._lock:
            for (node, name), value in self._wanted.items():
                if node == member.node.name:
                    member.host.change(name, value)

    def show(self, member: Member, name: str, value: Any) -> None:
        """A worker set a parameter: if it did so in another process, show it here, too."""
        if member.host.is_killable:
            parameters_of(member.node.work)[name].apply(value)

    def settle(self) -> None:
        """At the end: set what found no event any more, or was set in a process."""
        for node in self._nodes:
            for name, parameter in parameters_of(node.work).items():
                if (node.name, name) in self._wanted:
                    parameter.apply(self._wanted[node.name, name])
