"""A pipeline of this process as its panel shows it, from run to run."""

import contextlib
from collections.abc import Callable
from typing import Any

from labdaq.errors import LabdaqError, StateError
from labdaq.pipeline import Pipeline, RunResult
from labdaq.pipeline.running.run import Run
from labdaq.pipeline.running.snapshots import Observation, Snapshot
from labdaq.roles import Parameter
from labdaq.widgets.subject import LastLines, Seen, allowed_in, balance_line

__all__ = ["PipelineSubject"]


class PipelineSubject(LastLines):
    """A pipeline of this process, from run to run."""

    can_start = True

    def __init__(self, daq: Pipeline) -> None:
        super().__init__()
        self._daq = daq
        self.title = daq.name
        self._run: Run | None = None
        self._observation: Observation | None = None
        self._last: Snapshot | None = None
        self._told: dict[str, int] = {}
        self._told_state = ""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """By node and name; one that several nodes share is here once."""
        found: dict[int, tuple[str, Parameter]] = {}
        for name, one in self._daq.parameters.items():
            found.setdefault(id(one), (name, one))
        return dict(found.values())

    @property
    def ring_names(self) -> list[str]:
        """Of all its rings."""
        return list(self._daq.rings)

    def see(self) -> Seen:
        """The numbers of now."""
        run, last = self._daq.current or self._run, self._daq.last
        if run is None or (last is not None and last.number > run.number):
            return Seen(self.title, self._daq.state.name) if last is None else _seen_last(last)
        self._watch(run)
        self._follow(run)
        with contextlib.suppress(LabdaqError, KeyError):  # its rings are closed: the last numbers remain
            self._last = self._observation.now() if self._observation is not None else None
        result = run.result
        nodes = self._last.nodes if self._last is not None else ()
        balance = tuple(f"{node.name}: {balance_line(node)}" for node in nodes)
        if result is not None:
            balance = tuple(map(str, result.ledger.nodes))
        return Seen(
            title=f"{self.title} · run {run.number}",
            state=run.state.name,
            snapshot=self._last,
            balance=balance,
            events_limit=run.limits.events,
            seconds_limit=run.limits.seconds,
            reason=run.reason,
        )

    def _watch(self, run: Run) -> None:
        if run is not self._run:
            self._run, self._observation, self._told, self._told_state = run, Observation(run), {}, ""

    def _follow(self, run: Run) -> None:
        if run.state.name != self._told_state:
            self._told_state = run.state.name
            self.say(f"{run.state.name.lower()}{f': {run.reason}' if run.reason else ''}")
        self._tell_new("errors", run.errors, str)
        self._tell_new("parameters", run.parameters, lambda one: "{}: {} = {} from event {} on".format(*one))

    def _tell_new(self, what: str, lines: list[Any], words: Callable[[Any], str]) -> None:
        known = self._told.get(what, 0)
        for one in lines[known:]:
            self.say(words(one))
        self._told[what] = len(lines)

    def allowed(self) -> set[str]:
        """Which commands are possible now."""
        run = self._daq.current
        if run is None or run.is_over:
            return {"start"}
        return allowed_in(run.state)

    def do(self, command: str, *, events: int | None = None, seconds: float | None = None) -> None:
        """Start, pause, resume, stop or abort."""
        if command != "start":
            getattr(self._daq, command)()
            return
        run = self._daq.start(events, seconds)
        if isinstance(run, Run):
            self._watch(run)

    def note(self, text: str) -> str:
        """Keep a note with the run."""
        run = self._daq.current
        if run is None:
            raise StateError("no run to keep a note with: start one first")
        run.note(text)
        return f"note: {text}" if run.record.key else f"note, not kept because this pipeline has no store: {text}"

    def close(self) -> None:
        """Look no more."""


def _seen_last(result: RunResult) -> Seen:
    """A run that was over before anybody looked."""
    state = result.state.name
    snapshot = Snapshot(result.seconds, state, result.events, (), (), result.deadtime)
    balance = tuple(map(str, result.ledger.nodes))
    return Seen(f"{result.name} · run {result.number}", state, snapshot, balance, reason=result.reason)
