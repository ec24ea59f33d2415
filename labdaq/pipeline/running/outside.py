"""Those outside the process of a run: what they ask for is done and answered, and what they look at is shown."""

import contextlib
from typing import Any

from labdaq.errors import LabdaqError, LayoutError, NotFoundError, StateError
from labdaq.pipeline.running.any_run import AnyRun
from labdaq.pipeline.running.closing import deadtime_of
from labdaq.pipeline.running.requests import requests_in
from labdaq.pipeline.running.states import Command
from labdaq.pipeline.workers import board as b
from labdaq.roles import parameters_of

__all__ = ["obey", "refuse_the_rest", "show"]

_COMMANDS = tuple(command.value for command in (Command.PAUSE, Command.RESUME, Command.STOP, Command.ABORT))


def obey(run: AnyRun) -> None:
    """Do what was asked for from other processes, in this order, and answer."""
    for request in requests_in(run.folder):
        refused: LabdaqError | None = None
        try:
            _do(run, request.wish)
        except LabdaqError as error:
            run.record.log("warning", f"asked to from outside: {error}")
            refused = error
        with contextlib.suppress(LabdaqError):  # a full disk ends the run elsewhere
            request.answer(refused)


def _do(run: AnyRun, wish: dict[str, Any]) -> None:
    if wish.get("command") in _COMMANDS:
        run.command(Command(wish["command"]), "asked to from outside")
    elif "note" in wish:
        run.note(str(wish["note"]))
    elif "parameter" in wish:
        node, _, name = str(wish["parameter"]).rpartition(".")
        found = [parameters_of(one.work).get(name) for one in run.nodes if one.name == node]
        if not found or found[0] is None:
            known = [f"{one.name}.{parameter}" for one in run.nodes for parameter in parameters_of(one.work)]
            raise NotFoundError(f"no parameter {wish['parameter']!r}; there are {', '.join(known) or 'none'}")
        run.set_parameter(node, name, found[0].checked(wish.get("value")))
    else:
        raise LayoutError(f"{wish!r:.100} is nothing that can be asked: {', '.join(_COMMANDS)}, parameter, note")


def refuse_the_rest(run: AnyRun) -> None:
    """What was asked too late: who asked is not to wait for an answer."""
    for request in requests_in(run.folder):
        with contextlib.suppress(LabdaqError):
            request.answer(StateError(f"run {run.number} of {run.name!r} is over"))


def show(run: AnyRun) -> None:
    """Write on the board what it alone does not tell."""
    words = run.board.words
    words[b.SECONDS_NS] = int(run.seconds * 1e9)
    words[b.DEADTIME_PPB] = int(deadtime_of(run) * 1e9)
