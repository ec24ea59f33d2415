"""What a run comes to."""

from dataclasses import dataclass
from pathlib import Path

from labdaq.pipeline.running.ledger import Ledger
from labdaq.pipeline.running.states import RunState

__all__ = ["RunResult"]


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and the balance of its events."""

    name: str
    """Of the pipeline."""
    number: int
    """Of the run."""
    state: RunState
    """ENDED, or FAILED."""
    reason: str
    """Why it ended."""
    events: int
    """Events that came into the rings of the sources."""
    seconds: float
    """From start to end of the intake."""
    live_time_s: float
    """The part of it in which an event could have been taken."""
    deadtime: float
    """The rest, as a fraction: waiting for room and copying, as the sources measured it."""
    ledger: Ledger
    """What became of everything."""
    errors: tuple[str, ...] = ()
    """What workers raised, with tracebacks; the first hundred."""
    nerror: int = 0
    """How many errors there were in all."""
    stuck: tuple[str, ...] = ()
    """Workers in threads that did not return: user's code that waits for something."""
    restarts: int = 0
    """Workers that died and were replaced."""
    folder: Path | None = None
    """Where the files of the run are."""
    key: str = ""
    """Of its scan in the store."""

    @property
    def rate_hz(self) -> float:
        """Events per second."""
        return self.events / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        lines = [
            f"run {self.number} of {self.name!r}: {self.state.name.lower()}, {self.reason}",
            f"{self.events} events in {self.seconds:.3g} s ({self.rate_hz:.4g}/s)",
            f"dead time {100 * self.deadtime:.2g} %, live time {self.live_time_s:.3g} s",
            str(self.ledger),
        ]
        if self.nerror:
            lines.append(f"{self.nerror} errors; the first: {self.errors[0].splitlines()[-1]}")
        if self.stuck:
            lines.append(f"did not return: {', '.join(self.stuck)}")
        if self.folder is not None:
            lines.append(f"files: {self.folder}")
        return "\n".join(lines)
