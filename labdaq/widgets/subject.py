"""What a panel needs of a run, whoever owns it, and the words that it uses."""

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from labdaq.errors import StateError
from labdaq.pipeline import Command, RunState
from labdaq.pipeline.running.snapshots import NodeSnapshot, Snapshot
from labdaq.pipeline.running.states import next_state
from labdaq.roles import Parameter

__all__ = ["LastLines", "Seen", "Subject", "allowed_in", "balance_line", "grouped", "rate_text"]

LOG_LINES = 200
_COMMANDS = (Command.PAUSE, Command.RESUME, Command.STOP, Command.ABORT)


@dataclass(frozen=True)
class Seen:
    """What a panel shows at one moment."""

    title: str
    state: str
    snapshot: Snapshot | None = None
    """None before the first run."""
    balance: tuple[str, ...] = ()
    """A line of the ledger for each node."""
    events_limit: int | None = None
    seconds_limit: float | None = None
    reason: str = ""
    """Why the run ended."""


class Subject(Protocol):
    """A run, or a pipeline with its runs, as a panel needs it."""

    title: str
    log: deque[str]
    can_start: bool
    """Whether runs can be started from here."""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Settings that can be changed from here, by node and name."""

    @property
    def ring_names(self) -> list[str]:
        """Of all its rings."""

    def see(self) -> Seen:
        """The numbers of now; what has happened since goes into the log."""

    def allowed(self) -> set[str]:
        """Which of start, pause, resume, stop and abort are possible now."""

    def do(self, command: str, *, events: int | None = None, seconds: float | None = None) -> None:
        """Start, pause, resume, stop or abort."""

    def say(self, text: str) -> None:
        """Add a line to the log, with the time."""

    def note(self, text: str) -> str:
        """Keep a note with the run; what became of it, in words, unless the log will tell."""

    def close(self) -> None:
        """Look no more."""


def allowed_in(state: RunState) -> set[str]:
    """Commands that change something in a state.

    Examples
    --------
    >>> sorted(allowed_in(RunState.RUNNING)), sorted(allowed_in(RunState.DRAINING))
    (['abort', 'pause', 'stop'], ['abort'])
    """
    found = set()
    for command in _COMMANDS:
        try:
            if next_state(state, command) != state:
                found.add(command.value)
        except StateError:
            continue
    return found


def balance_line(node: NodeSnapshot) -> str:
    """What became of the events of a node so far.

    Examples
    --------
    >>> counts = {"accepted": 812, "rejected": 9188, "quarantined": 0}
    >>> balance_line(NodeSnapshot("find", "filter", (), counts, 812, 0, 0.0))
    'in 10\u202f000 = accepted 812 + rejected 9\u202f188'
    """
    counts = dict(node.counts)
    if node.role == "source":
        counts["accepted"] = node.written
    parts = " + ".join(f"{name} {grouped(count)}" for name, count in counts.items() if count or name == "accepted")
    return f"in {grouped(sum(counts.values()))} = {parts}"


def grouped(count: int) -> str:
    """A count, with a narrow space after each three digits."""
    return f"{count:,}".replace(",", "\u202f")


def rate_text(per_s: float) -> str:
    """A rate with three digits, or all that there are before the point.

    Examples
    --------
    >>> rate_text(0.12345), rate_text(99.96), rate_text(12345.6) == "12\u202f346 /s"
    ('0.123 /s', '100 /s', True)
    """
    return f"{per_s:.3g} /s" if abs(per_s) < 999.5 or not math.isfinite(per_s) else f"{grouped(round(per_s))} /s"


class LastLines:
    """The last lines of what happened."""

    def __init__(self) -> None:
        self.log: deque[str] = deque(maxlen=LOG_LINES)

    def say(self, text: str) -> None:
        """Add a line, with the time."""
        self.log.append(f"{time.strftime('%H:%M:%S')} {text}")
