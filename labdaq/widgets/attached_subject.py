"""A run that another process owns, as its panel shows it."""

from functools import partial

from labdaq.errors import LabdaqError, StateError
from labdaq.pipeline import AttachedRun, open_run
from labdaq.pipeline.kept.remains import changes_in_log
from labdaq.pipeline.workers import board as b
from labdaq.roles import Parameter
from labdaq.widgets.subject import LastLines, Seen, allowed_in, balance_line

__all__ = ["AttachedSubject"]


class AttachedSubject(LastLines):
    """A run that another process owns."""

    can_start = False

    def __init__(self, run: AttachedRun) -> None:
        super().__init__()
        self._run = run
        self.title = f"{run.name} · run {run.number}"
        self.parameters = _parameters_of(run)
        self.ring_names = list(run.rings)
        self._read_nbytes = 0

    def see(self) -> Seen:
        """The numbers of now."""
        self._read_log()
        snapshot = self._run.snapshot()
        limit = self._run.board.words[b.LIMIT]
        return Seen(
            title=self.title,
            state=snapshot.state,
            snapshot=snapshot,
            balance=tuple(f"{node.name}: {balance_line(node)}" for node in snapshot.nodes),
            events_limit=limit if limit < b.NO_LIMIT else None,
            seconds_limit=self._run.seconds_limit,
            reason="" if self._run.is_alive else "its process has ended",
        )

    def _read_log(self) -> None:
        """What was written to the log of the run since."""
        try:
            with (self._run.folder / "log.txt").open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self._read_nbytes, size - 20_000))
                text = file.read()
        except OSError:
            return
        whole = text.rpartition(b"\n")[0]
        self._read_nbytes = max(self._read_nbytes, size - 20_000) + len(whole) + bool(whole)
        said = whole.decode("utf-8", "replace")
        self.log.extend(line for line in said.splitlines() if line)
        for worker, name, value, _from_counter in changes_in_log(said):
            if (parameter := self.parameters.get(f"{worker}.{name}")) is not None:
                parameter.apply(value)

    def allowed(self) -> set[str]:
        """Which commands are possible now."""
        return allowed_in(self._run.state) if self._run.is_alive else set()

    def do(self, command: str, *, events: int | None = None, seconds: float | None = None) -> None:  # noqa: ARG002
        """Pause, resume, stop or abort."""
        if command == "start":
            raise StateError("a run that is attached to cannot be started again: start the next one where it was made")
        getattr(self._run, command)()

    def note(self, text: str) -> str:
        """Keep a note with the run, whose log tells of it."""
        self._run.note(text)
        return ""

    def close(self) -> None:
        """Look no more; the view of the run stays open for its owner."""


def _parameters_of(run: AttachedRun) -> dict[str, Parameter]:
    """As its record tells of them, and set by asking the run; none where there is no record."""
    found: dict[str, Parameter] = {}
    try:
        with open_run(run.folder) as kept:
            for one in kept.parameters:  # the beginning, then all changes
                name = f"{one.worker}.{one.name}"
                found[name] = Parameter(one.value, one.unit)
                found[name].on_change = partial(run.set_parameter, name)
    except LabdaqError:
        return found
    return found
