"""The states of a run, and the commands that lead from one to the next: the whole of run control in one table."""

from enum import Enum, IntEnum

from labdaq.errors import StateError

__all__ = ["TRANSITIONS", "Command", "RunState", "next_state", "state_diagram"]


class RunState(IntEnum):
    """What a pipeline is doing."""

    IDLE = 0
    """Nothing runs yet."""
    RUNNING = 1
    """Sources are asked, data flow."""
    PAUSED = 2
    """Sources are not asked, or their events are counted and discarded; what is in the rings flows on."""
    DRAINING = 3
    """No more intake: what is in the rings is processed and kept."""
    ENDED = 4
    """Everything that came in is accounted for."""
    FAILED = 5
    """It ended otherwise than it should; the result says why, and the balance still closes."""

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self >= RunState.ENDED


class Command(Enum):
    """What changes the state of a run."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    ABORT = "abort"
    EMPTY = "empty"
    """Everything in the rings has been processed: said by the run itself."""
    FAIL = "fail"
    """Something went wrong that the run cannot go on with: said by the run itself."""


TRANSITIONS: dict[tuple[RunState, Command], RunState] = {
    (RunState.IDLE, Command.START): RunState.RUNNING,
    (RunState.RUNNING, Command.PAUSE): RunState.PAUSED,
    (RunState.PAUSED, Command.RESUME): RunState.RUNNING,
    (RunState.RUNNING, Command.STOP): RunState.DRAINING,
    (RunState.PAUSED, Command.STOP): RunState.DRAINING,
    (RunState.RUNNING, Command.ABORT): RunState.FAILED,
    (RunState.PAUSED, Command.ABORT): RunState.FAILED,
    (RunState.DRAINING, Command.ABORT): RunState.FAILED,
    (RunState.DRAINING, Command.EMPTY): RunState.ENDED,
    (RunState.RUNNING, Command.FAIL): RunState.FAILED,
    (RunState.PAUSED, Command.FAIL): RunState.FAILED,
    (RunState.DRAINING, Command.FAIL): RunState.FAILED,
}
"""Every transition there is. What is not in the table is refused."""

_HARMLESS = {
    (RunState.RUNNING, Command.RESUME),
    (RunState.PAUSED, Command.PAUSE),
    (RunState.DRAINING, Command.STOP),
    *((state, command) for state in (RunState.ENDED, RunState.FAILED) for command in (Command.STOP, Command.ABORT)),
}


def next_state(state: RunState, command: Command) -> RunState:
    """The state after a command. Asking for what is so already changes nothing.

    Raises
    ------
    StateError
        When this cannot be done now; says what can.

    Examples
    --------
    >>> next_state(RunState.RUNNING, Command.PAUSE).name
    'PAUSED'
    >>> next_state(RunState.DRAINING, Command.PAUSE)
    Traceback (most recent call last):
    labdaq.errors.StateError: pause is not possible while draining; possible are: stop, abort
    """
    if (state, command) in TRANSITIONS:
        return TRANSITIONS[state, command]
    if (state, command) in _HARMLESS:
        return state
    own = {Command.EMPTY, Command.FAIL}
    can = [c.value for c in Command if c not in own and ((state, c) in TRANSITIONS or (state, c) in _HARMLESS)]
    raise StateError(
        f"{command.value} is not possible while {state.name.lower()}; possible are: {', '.join(can) or 'a new run'}"
    )


def state_diagram() -> str:
    """The transition table as a diagram in the language of Mermaid, for documentation.

    Examples
    --------
    >>> print(state_diagram().splitlines()[1].strip())
    IDLE --> RUNNING : start
    """
    arrows = [f"    {old.name} --> {new.name} : {command.value}" for (old, command), new in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", *arrows])
