"""The pipeline: rings and workers, wired in a few lines, and run."""

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from labdaq.errors import BusyError, LayoutError, StateError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.nodes import check_wiring
from labdaq.pipeline.recording.record import Record, new_record
from labdaq.pipeline.running.attached import AttachedRun, attach
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.detached import start_detached, write_attach_file
from labdaq.pipeline.running.limits import Limits
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.run import Run
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.running.waiting import wait_for
from labdaq.pipeline.views import view
from labdaq.pipeline.wiring import Wiring
from labdaq.roles import Parameter, parameters_of

__all__ = ["Pipeline"]

logger = logging.getLogger("labdaq.pipeline")


class Pipeline(Wiring, RunControls):
    """Rings and workers: sources -> rings -> filters -> rings -> sinks.

    A context manager; leaving it ends a run and gives all memory back.

    Parameters
    ----------
    name
        Of the experiment. Its runs are numbered under this name.
    store
        Where runs are kept: a folder, or the URL of a :class:`labdaq.DataStore`. None: nothing is kept.

    Examples
    --------
    >>> import numpy as np
    >>> daq = Pipeline("heights", store=None)
    >>> raw = daq.ring("raw", dtype="f8", shape=(100,), capacity=16)
    >>> high = daq.ring("high", dtype="f8", shape=(100,), capacity=16)
    >>> def pulses():
    ...     for height in range(10):
    ...         yield np.full(100, float(height))
    >>> seen = []
    >>> source = daq.source(pulses, raw)
    >>> find = daq.filter(lambda event: event.data.max() > 6, raw, high, name="find")
    >>> sink = daq.sink(lambda event: seen.append((event.counter, event.data[0].item())), high, name="look")
    >>> print(daq.run().ledger)
    pulses: in 10 = accepted 10
    find: in 10 = accepted 3 + rejected 7
    look: in 3 = accepted 3
    >>> seen
    [(7, 7.0), (8, 8.0), (9, 9.0)]
    >>> daq.close()
    """

    def __init__(self, name: str = "run", *, store: Any = "runs") -> None:
        super().__init__(name)
        self.last: RunResult | None = None
        self._store = store
        self._run: Run | None = None
        self._away: AttachedRun | None = None
        self.is_shared = False
        """Whether other processes look at its rings."""
        self._nrun = 0

    @classmethod
    def from_yaml(cls, path: "str | os.PathLike[str]") -> "Pipeline":
        """The pipeline that a YAML file describes; see :mod:`labdaq.pipeline.suite`.

        Raises
        ------
        LayoutError, NotFoundError, DataError
            What is wrong in the file: with its line, its key, and the nearest known one.
        """
        from labdaq.pipeline.suite import build, load_suite

        return build(load_suite(Path(path)))

    @property
    def state(self) -> RunState:
        """What it is doing."""
        on = self._on() or self._run
        if on is not None:
            return on.state
        return RunState.IDLE if self.last is None else self.last.state

    @property
    def current(self) -> Run | None:
        """The run that is on; None between two."""
        return None if self._run is None or self._run.is_over else self._run

    def _check_idle(self, what: str) -> None:
        if self._on() is not None:
            raise StateError(f"{what} between two runs only: stop this one first")

    def start(
        self,
        events: int | None = None,
        seconds: float | None = None,
        *,
        drain_timeout_s: float = 10.0,
        min_free_nbytes: int = 100 << 20,
        comment: str = "",
        detached: bool = False,
    ) -> Run | AttachedRun:
        """Begin a run and return at once.

        Parameters
        ----------
        events, seconds
            When it ends by itself; otherwise with the source, or by :meth:`stop`.
        drain_timeout_s
            How long the end may take, before what was not processed is given up and counted.
        min_free_nbytes
            The run ends cleanly when less is free on the disk.
        comment
            Kept with the run.
        detached
            In a process of its own, which outlives this one: see :func:`labdaq.attach`.

        Returns
        -------
        Run or AttachedRun
            What it is doing.

        Raises
        ------
        BusyError
            A run is on.
        LayoutError
            What is wired cannot work.
        ResourceError
            Not enough memory, disk or processes.
        """
        if (on := self._on()) is not None:
            raise BusyError(f"run {on.number} of {self.name!r} is on, or about to end: stop it, and wait for its end")
        check_wiring(self.nodes.values(), self.rings.values())
        if detached:
            return self._start_detached(locals())
        limits = Limits(events, seconds, drain_timeout_s, min_free_nbytes)
        nodes = list(self.nodes.values())
        wired = {ring for node in nodes for ring in (*node.reads, *node.writes, *node.observes)}
        used = [ring for ring in self.rings.values() if ring in wired]
        self._nrun += 1
        record = new_record(self.name, self._nrun, self._store, nodes, comment)
        try:
            run = Run(self.name, nodes, used, limits, record, is_shared=self.is_shared)
            self._connect_parameters(run)
            run.on_over.append(self._disconnect_parameters)
            self._run = run
            run.start()
            if self.is_shared:
                write_attach_file(run)
        except BaseException as error:
            self._give_up_start(error, record)
            raise
        return run

    def _give_up_start(self, error: BaseException, record: Record) -> None:
        """The run did not begin, or was interrupted when it just had: then it is ended."""
        run = self._run
        if run is not None and run.has_started:
            run.command(Command.ABORT, "interrupted")
            run.wait()
            return
        self._run = None
        self._disconnect_parameters()
        record.fail(error)

    def _start_detached(self, settings: Mapping[str, Any]) -> AttachedRun:
        if self._store is None:
            raise LayoutError("a detached run is found by its folder: give the pipeline a store")
        wanted = ("events", "seconds", "drain_timeout_s", "min_free_nbytes", "comment")
        self._away = away = attach(start_detached(self, {name: settings[name] for name in wanted}))
        for name, one in self.parameters.items():
            one.on_change = partial(_change_there, away, name, one)
        return away

    def _on(self) -> Run | AttachedRun | None:
        """The run that goes on, here or in a process of its own."""
        if self._run is not None and not self._run.is_over:
            return self._run
        if self._away is not None and self._away.is_over:
            self._away.close()
            self._away = None
            self._disconnect_parameters()
        return self._away

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: what is wired, and no run."""
        return {**self.__dict__, "_run": None, "_away": None}

    def _connect_parameters(self, run: Run) -> None:
        for node in self.nodes.values():
            for name, one in parameters_of(node.work).items():
                one.on_change = partial(run.set_parameter, node.name, name)

    def _disconnect_parameters(self) -> None:
        for one in self.parameters.values():
            one.on_change = None

    def command(self, command: Command) -> None:
        """See :class:`labdaq.pipeline.running.controls.RunControls`."""
        on = self._on() or self._run
        if on is None:
            raise StateError(f"{command.value} is not possible: nothing runs; start a run first")
        on.command(command)

    def note(self, text: str) -> None:
        """Keep what somebody wants to remember of this moment with the run that is on.

        Raises
        ------
        LayoutError
            There is nothing in it.
        StateError
            No run is on.
        """
        on = self._on()
        if on is None:
            raise StateError("there is no run to note it with: start one first")
        on.note(text)

    def drain(self, reads: DeclaredRing | None = None, *, name: str | None = None) -> None:
        """With a ring: read it and keep nothing, only count. Without: the same as `stop`."""
        if reads is None:
            self.stop()
        else:
            super().drain(reads, name=name)

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait for the end of the run; Ctrl-C stops it, and a second one aborts it.

        Raises
        ------
        StateError
            Nothing was started.
        WaitTimeoutError
            It goes on after ``timeout`` seconds.
        """
        if isinstance(on := self._on(), AttachedRun):
            raise StateError(f"run {on.number} has a process of its own: wait with what start() gave")
        if self._run is None:
            raise StateError("nothing was started: call start() or run()")
        self.last = wait_for(self._run, timeout)
        return self.last

    def run(self, events: int | None = None, seconds: float | None = None, **settings: Any) -> RunResult:
        """Do a whole run and wait for its end; Ctrl-C drains, a second one aborts. See :meth:`start`."""
        if settings.get("detached"):
            raise LayoutError(
                "a detached run is not waited for here: start(detached=True), and wait() of what it gives"
            )
        self.start(events, seconds, **settings)
        return self.wait()

    async def finished(self) -> RunResult:
        """Wait for the end of the run, while the event loop goes on."""
        run = self._run
        if run is None:
            return self.wait(0)
        while not run.is_over:
            await asyncio.sleep(0.05)
        return self.wait(0)

    async def run_async(self, events: int | None = None, seconds: float | None = None, **settings: Any) -> RunResult:
        """As `run`, while the event loop goes on: ``await daq.run_async(events=1000)`` in a notebook cell."""
        self.start(events, seconds, **settings)
        try:
            return await self.finished()
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.stop()
            raise

    def panel(self) -> Any:
        """The control panel, for a notebook.

        Raises
        ------
        MissingExtraError
            Nothing that is installed can show one.
        """
        return view("panel")(self)

    def close(self) -> None:
        """Abort a run that is on, and give all memory back."""
        if self._run is not None and not self._run.is_over:
            self._run.command(Command.ABORT)
            self._run.wait()
        for ring in self.rings.values():
            ring.close()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pipeline {self.name!r}, {self.state.name.lower()}: {', '.join(self.nodes) or 'nothing wired yet'}>"


def _change_there(run: AttachedRun, name: str, parameter: Parameter, value: Any) -> None:
    """Change a parameter of a run in another process, and what stands for it here."""
    run.set_parameter(name, value)
    parameter.apply(value)
