"""What all workers have in common, whichever thread or process they are in."""

import os
import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from labdaq.errors import ClosedError, LabdaqError
from labdaq.pipeline.workers import board as b
from labdaq.pipeline.workers.board import Board
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.pipeline.workers.quarantine import keep_event
from labdaq.ring.participants import Participant
from labdaq.roles import parameters_of

__all__ = ["Report", "TooManyErrorsError", "Worker"]

Report = Callable[[str, Any], None]
"""How a worker tells the run something: a kind, and what there is to say."""

AnyParticipant = TypeVar("AnyParticipant", bound=Participant)

CLAIM_S = 2e-3
"""Work that a worker claims at once takes about so long: little is done twice when it dies."""
MOST_AHEAD = 64
_LOOK_S = 2e-3
SPIN_S = 50e-6
"""Who waits looks so long before he sleeps: to be woken takes as long."""


class TooManyErrorsError(LabdaqError):
    """A worker gave up: its user's code raised as often as was allowed."""


class Worker(ABC):
    """One worker of one run: opens what it needs, works, and says how it ended.

    Parameters
    ----------
    plan
        What to do.
    board
        The numbers of the run.
    report
        Called with what happens.
    """

    def __init__(self, plan: WorkerPlan, board: Board, report: Report) -> None:
        self.plan = plan
        self.board = board
        self.row = board.row(plan.row)
        self.report = report
        self.changes: deque[tuple[str, Any]] = deque()
        """Values of parameters that are to be set at the border of the next event."""
        self.nerror = 0
        self._participants: list[Participant] = []
        self._since_ns = time.perf_counter_ns()

    # ---------------------------------------------------------------------------------- its life

    def run(self) -> None:
        """Work until there is nothing more to do. Nothing is raised: the board and the reports tell."""
        self.row.put(b.W_PID, os.getpid())
        state = b.BROKEN
        for parameter in parameters_of(self.plan.work).values():
            parameter.hold()
        try:
            self.body()
            state = b.DONE
        except TooManyErrorsError as error:
            self.report("gone", str(error))
        except ClosedError as error:
            if self.is_aborted:
                state = b.DONE
            else:
                self.report("gone", f"{self.plan.who}: {error}")
        except BaseException as error:  # noqa: BLE001 - the run is told, whatever it is
            self.report("error", self._told(error))
            self.report("gone", f"{self.plan.who}: {type(error).__name__}: {error}")
        finally:
            self.row.put(b.W_CPU_NS, time.thread_time_ns())
            self.row.put(b.W_STATE, state)
            self.report("ended", b.WORKER_STATES[state])

    @abstractmethod
    def body(self) -> None:
        """The work. It says `ready` when it has what it needs."""

    def ready(self) -> None:
        """Everything is open, compiled and loaded: from now on it only works."""
        self.row.put(b.W_STATE, b.WORKING)
        self.report("ready", None)

    def await_begin(self) -> None:
        """Of a source that is ready: wait for the others, so that no time counts in which it could not take data."""
        while not self.board.words[b.STARTED_NS] and not self.is_aborted:
            time.sleep(_LOOK_S)

    def opened(self, stack: ExitStack, participant: AnyParticipant) -> AnyParticipant:
        """Enter a reader, writer or observer, and keep it in sight."""
        self._participants.append(participant)
        participant.spin_s = SPIN_S
        return cast(AnyParticipant, stack.enter_context(participant))

    def abandon(self) -> None:
        """Take away what the worker holds, the event at hand too: it does not return. Called from another thread."""
        for participant in self._participants:
            participant.__exit__(InterruptedError)

    @property
    def is_taking(self) -> bool:
        """Whether sources are to give more."""
        return self.board.words[b.IS_TAKING] != 0

    @property
    def is_paused(self) -> bool:
        """Whether the intake is paused."""
        return self.board.words[b.IS_PAUSED] != 0

    @property
    def is_aborted(self) -> bool:
        """Whether everything is to end at once."""
        return self.board.words[b.IS_ABORTED] != 0

    # --------------------------------------------------------------------------- between two events

    def apply_changes(self, counter: int) -> None:
        """Set the parameters that were changed; from the event with this counter on they hold."""
        parameters = parameters_of(self.plan.work)
        while self.changes:
            name, value = self.changes.popleft()
            if name in parameters:
                parameters[name].apply(value)
                self.report("parameter", (name, value, counter))

    def note_claim(self, count: int) -> int:
        """Between two claims: keep the books, and say how many events to claim next."""
        now_ns = time.perf_counter_ns()
        spent_ns = max(now_ns - self._since_ns, 1)
        self._since_ns = now_ns
        self.row.put(b.W_CPU_NS, time.thread_time_ns())
        return max(1, min(MOST_AHEAD, int(CLAIM_S * 1e9 * count / spent_ns)))

    # ------------------------------------------------------------------------------- when it raises

    def note_error(self, error: BaseException, event: Any = None) -> None:
        """The user's code raised: tell it, and keep the event apart where there is one."""
        self.nerror += 1
        self.row.put(b.W_ERRORS, self.nerror)
        kept = ""
        if event is not None:
            try:
                kept = f"(the event is kept in {keep_event(self.plan, event, error)}) "
            except LabdaqError as refused:
                kept = f"(the event could not be kept: {refused}) "
        self.report("error", self._told(error, kept))

    def check_errors(self) -> None:
        """Give up when there were too many errors. Only between two claims, so that nothing is done twice."""
        if self.nerror >= self.plan.max_errors:
            raise TooManyErrorsError(f"{self.plan.who} gave up after {self.nerror} errors")

    def _told(self, error: BaseException, kept: str = "") -> str:
        return f"{self.plan.who}: {kept}" + "".join(traceback.format_exception(error)).rstrip()
