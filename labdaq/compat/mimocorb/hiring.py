"""Who works in a run of a suite: its workers, and others in the place of those that were killed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from labdaq.compat.mimocorb.accounts import Account
from labdaq.compat.mimocorb.crew import Worker
from labdaq.compat.mimocorb.grouping import Group
from labdaq.compat.mimocorb.mimo_buffer import NewBuffer
from labdaq.compat.mimocorb.suite import Function, Suite
from labdaq.compat.mimocorb.wiring import Team
from labdaq.compat.mimocorb.worker import Task
from labdaq.pipeline.workers.board import Board

__all__ = ["Hiring", "is_replaceable", "rows_of"]

_MOST_RESTARTS = 2
"""So many processes of a function are replaced when they are killed."""


def is_replaceable(function: Function) -> bool:
    """Whether another process can go on with its work; files and devices of others cannot be taken over."""
    return bool(function.buffers("read") and function.buffers("write"))


def rows_of(suite: Suite) -> int:
    """How many workers there may be in a run of a suite, with those that take the place of others."""
    used = [one for one in suite.functions if one.processes]
    return sum(one.processes + (_MOST_RESTARTS if is_replaceable(one) else 0) for one in used)


class Hiring:
    """Makes the workers of a suite.

    Parameters
    ----------
    suite, teams
        What there is to do, and who does it together.
    buffers, groups
        Theirs.
    run_folder
        For their files.
    board
        Where each is accounted for, in a row of its own; None: nowhere.
    """

    def __init__(  # noqa: PLR0917
        self,
        suite: Suite,
        teams: Sequence[Team],
        buffers: Mapping[str, NewBuffer],
        groups: Sequence[Group],
        run_folder: Path,
        board: Board | None,
    ) -> None:
        self._suite, self._teams, self._buffers, self._groups = suite, teams, buffers, tuple(groups)
        self._run_folder, self._board = run_folder, board
        self._next_row = 0

    def everyone(self) -> list[Worker]:
        """Those with whom a run begins, in the order of the suite."""
        functions = self._suite.functions
        return [self._hired(one, number) for one in functions for number in range(1, one.processes + 1)]

    def another(self, dead: Worker, workers: Sequence[Worker]) -> Worker | None:
        """One in the place of one who was killed; None when there were enough."""
        number = sum(one.function is dead.function for one in workers)
        if number >= dead.function.processes + _MOST_RESTARTS:
            return None
        return self._hired(dead.function, dead.plan.number)

    def _hired(self, function: Function, number: int) -> Worker:
        path = None if self._board is None else self._board.path
        account = Account(path, self._next_row, passes_on=bool(function.buffers("write")))
        origin, team = next((n, one) for n, one in enumerate(self._teams, 1) if function in one.functions)
        row = None if self._board is None else self._board.row(self._next_row)
        self._next_row += 1
        task, name = self._task(function, number, account), self._suite.label(function)
        return Worker(function, task, name, node=team.node, origin=origin, row=row)

    def _task(self, function: Function, number: int, account: Account) -> Task:
        buffers, own = self._buffers, {"account": account}
        groups = {group.buffer: group for group in self._groups if function in group.functions}
        return Task(
            package=self._suite.package,
            name=function.name,
            function=function.function,
            file=function.file,
            folder=self._suite.folder,
            run_folder=self._run_folder,
            sources=[groups[name].setup | own for name in function.buffers("read")],
            sinks=[buffers[name].new_writer() | own for name in function.buffers("write")],
            observed=[buffers[name].new_observer() for name in function.buffers("observe")],
            config=function.config,
            assign=function.assign,
            number=number,
        )
