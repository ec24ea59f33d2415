"""The pipeline: rings and workers, wired in a few lines, and run."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import DTypeLike

from labdaq.errors import BusyError, LayoutError, NotFoundError, StateError
from labdaq.pipeline.declared import DeclaredRing, Tap
from labdaq.pipeline.nodes import Node, check_wiring
from labdaq.pipeline.recording.record import Record, new_record
from labdaq.pipeline.running.attached import AttachedRun, attach
from labdaq.pipeline.running.controls import RunControls
from labdaq.pipeline.running.detached import start_detached, write_attach_file
from labdaq.pipeline.running.limits import Limits
from labdaq.pipeline.running.result import RunResult
from labdaq.pipeline.running.run import Run
from labdaq.pipeline.running.states import Command, RunState
from labdaq.pipeline.running.waiting import wait_for
from labdaq.pipeline.sinks.files import as_sink
from labdaq.pipeline.views import view
from labdaq.pipeline.workers.calls import name_of
from labdaq.pipeline.workers.intake import source_worker
from labdaq.ring.layout import checked_dtype
from labdaq.roles import Parameter, parameters_of

__all__ = ["Pipeline"]

_PLACES = ("threads", "processes", "compiled")
Rings = DeclaredRing | Sequence[DeclaredRing]
logger = logging.getLogger("labdaq.pipeline")


class Pipeline(RunControls):
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
        if not name or not str(name).isprintable() or set(name) & set("/\\:"):
            raise LayoutError(f"name={name!r}: a name is a word that can be part of the name of a folder")
        self.name = name
        self.rings: dict[str, DeclaredRing] = {}
        self.nodes: dict[str, Node] = {}
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

    # --------------------------------------------------------------------------------- its parts

    def ring(
        self,
        name: str,
        dtype: DTypeLike,
        shape: Any = (),
        capacity: int = 128,
        *,
        planes: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> DeclaredRing:
        """Declare a ring of events.

        Its memory is made at the first start and kept until :meth:`close`.

        Parameters
        ----------
        name
            Unique in the pipeline.
        dtype, shape
            Of one event.
        capacity
            Events that it holds.
        planes
            Side arrays beside counter, time stamp, dead time and trace, as for :class:`labdaq.Ring`.
        header
            What is known of the data: unit, names of channels, ``sample_interval_ns``. That of the source otherwise.

        Raises
        ------
        LayoutError
            The name is taken, or dtype and shape are not possible.
        """
        self._check_idle("a ring can be declared")
        if name in self.rings:
            raise LayoutError(f"there is a ring {name!r} already: take daq.rings[{name!r}], or another name")
        ring = DeclaredRing(name, dtype, shape, capacity, planes=planes, header=header, label=f"{self.name}.{name}")
        self.rings[name] = ring
        return ring

    def source(
        self,
        source: Any,
        ring: DeclaredRing,
        *,
        name: str | None = None,
        run_in: str = "threads",
        when_paused: str | None = None,
        when_full: str = "discard",
        max_errors: int = 10,
    ) -> Any:
        """Let a source write into a ring.

        Parameters
        ----------
        source
            An object with ``acquire(event)``, ``acquire_batch(events)``, or ``start(put)`` and ``stop()``; a
            generator function, a generator or an iterable. See :mod:`labdaq.roles`.
        ring
            Where to.
        run_in
            ``"threads"``, or ``"processes"``.
        when_paused
            ``"hold"``: it is not asked during a pause. ``"discard"``: it goes on, and its events are counted.
            By default ``"discard"`` for those that push, ``"hold"`` for all others.
        when_full
            Of a source that pushes, when there is no room: ``"discard"`` and count the event, or ``"wait"``.
        max_errors
            After so many errors it is given up.

        Returns
        -------
        object
            The source.
        """
        source_worker(source)  # raises when it is none
        if when_paused not in {None, "hold", "discard"} or when_full not in {"discard", "wait"}:
            raise LayoutError(
                f"{when_paused=}, {when_full=}: when paused 'hold' or 'discard', when full 'discard' or 'wait'"
            )
        dtype, shape = checked_dtype(getattr(source, "dtype", ring.dtype)), tuple(getattr(source, "shape", ring.shape))
        if (dtype, shape) != (ring.dtype, ring.shape):
            raise LayoutError(
                f"source {name or name_of(source)!r} gives {dtype} of shape {shape}, and ring {ring.name!r} takes "
                f"{ring.dtype} of shape {ring.shape}: declare it so"
            )
        ring.header = {**dict(getattr(source, "header", None) or {}), **ring.header}
        options = {"when_full": when_full, **({"when_paused": when_paused} if when_paused else {})}
        self._add("source", name, source, (), ring, run_in=run_in, max_errors=max_errors, options=options)
        return source

    def filter(
        self,
        function: Any,
        reads: DeclaredRing,
        writes: Rings,
        *,
        name: str | None = None,
        workers: int = 1,
        run_in: str = "threads",
        most: int = 1,
        max_errors: int = 10,
        max_restarts: int = 5,
    ) -> Any:
        """Let a function look at each event of a ring, and write others.

        Parameters
        ----------
        function
            ``f(event) -> result``: None or False drops the event, True passes it on; arrays are new records, a
            tuple has an entry for each output, a list is several records. Or ``f(data, out) -> n``, which writes n
            records into ``out`` and can be compiled: the last output gets them, those before get the input when n > 0.
        reads, writes
            Rings.
        workers
            So many share the work.
        run_in
            ``"threads"``, ``"processes"``: Python runs in parallel; ``"compiled"``: Python is not entered.
        most
            Of ``f(data, out)``: the most records of one event.
        max_errors
            After so many errors a worker gives up. Each event that raised is kept in the folder of the run.
        max_restarts
            So often each worker that was killed is replaced.

        Returns
        -------
        callable
            The function.
        """
        if not callable(function):
            raise LayoutError(f"{function!r:.60} is no filter: it must be a function of an event, or f(data, out)")
        self._add(
            "filter",
            name,
            function,
            (reads,),
            writes,
            workers=workers,
            run_in=run_in,
            max_errors=max_errors,
            max_restarts=max_restarts,
            options={"most": most},
        )
        return function

    def sink(
        self,
        sink: Any,
        reads: DeclaredRing,
        *,
        name: str | None = None,
        workers: int = 1,
        run_in: str = "threads",
        order: str = "any",
        max_errors: int = 10,
    ) -> Any:
        """Keep the events of a ring.

        Parameters
        ----------
        sink
            A file of :mod:`labdaq.files`, or its name with an ending (``"pulses.csv"``); an object with
            ``write(events)``; or a function of an event.
        reads
            The ring.
        workers, run_in
            As for filters; files are written by one thread.
        order
            ``"any"``: events are kept as they come; workers that share a filter do not keep their order.
            ``"counter"``: in the order of their counters, which holds some of them in memory for a moment.

        Returns
        -------
        object
            What keeps the events: the result of a sink such as a histogram is here.
        """
        kept = as_sink(sink, reads)
        if hasattr(kept, "write") and (workers != 1 or run_in != "threads"):
            raise LayoutError(f"sink {name_of(sink)!r} keeps events in one place: it has one worker, in a thread")
        if order not in {"any", "counter"} or (order == "counter" and not hasattr(kept, "write")):
            raise LayoutError(f"order={order!r}: 'any', or 'counter' for sinks that have write(events)")
        self._add(
            "sink",
            name or getattr(kept, "name", None),
            kept,
            (reads,),
            (),
            workers=workers,
            run_in=run_in,
            max_errors=max_errors,
            options={"order": order},
        )
        return kept

    def drain(self, reads: DeclaredRing | None = None, *, name: str | None = None) -> None:
        """With a ring: read it and keep nothing, only count. Without: the same as `stop`."""
        if reads is None:
            self.stop()
            return
        self._add("sink", name or f"drain {reads.name}", _Drain(), (reads,), ())

    def task(
        self,
        function: Any,
        *,
        reads: Rings = (),
        writes: Rings = (),
        observes: Rings = (),
        name: str | None = None,
        workers: int = 1,
        run_in: str = "threads",
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        """Let a function read and write rings by itself; see :class:`labdaq.pipeline.TaskContext`."""
        self._add(
            "task",
            name,
            function,
            _several(reads),
            writes,
            observes=_several(observes),
            workers=workers,
            run_in=run_in,
            options={"settings": dict(settings or {})},
        )
        return function

    def observe(self, ring: DeclaredRing, *, latest: bool = False) -> Tap:
        """See the events of a ring without disturbing anyone, from run to run."""
        return Tap(ring, latest=latest)

    def _add(
        self, role: str, name: str | None, work: Any, reads: Sequence[DeclaredRing], writes: Rings, **settings: Any
    ) -> None:
        self._check_idle(f"a {role} can be added")
        wanted = name or name_of(work)
        label = wanted
        if name is None:
            number = 2
            while label in self.nodes:
                label, number = f"{wanted}_{number}", number + 1
        elif label in self.nodes:
            raise LayoutError(f"there is a {self.nodes[label].who} already: choose another name")
        node = Node(role, label, work, tuple(reads), _several(writes), **settings)
        for ring in (*node.reads, *node.writes, *node.observes):
            if self.rings.get(getattr(ring, "name", "")) is not ring:
                known = ", ".join(self.rings) or "none"
                raise NotFoundError(f"{node.who}: {ring!r:.60} is no ring of this pipeline; its rings are {known}")
        if node.run_in not in _PLACES or (node.run_in == "compiled" and role != "filter"):
            possible = _PLACES if role == "filter" else _PLACES[:2]
            raise LayoutError(f"{node.who}: run_in={node.run_in!r}: it can run in {', '.join(possible)}")
        if node.workers < 1 or node.max_errors < 1:
            raise LayoutError(f"{node.who}: workers and max_errors are at least 1")
        self.nodes[label] = node

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters of the workers, by ``node.name``."""
        return {
            f"{node.name}.{name}": one for node in self.nodes.values() for name, one in parameters_of(node.work).items()
        }

    # --------------------------------------------------------------------------------- run control

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

    # ----------------------------------------------------------------------------------------- end

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


class _Drain:
    """A sink that keeps nothing."""

    def write(self, events: Any) -> None:
        """Do nothing."""


def _several(rings: Rings) -> tuple[DeclaredRing, ...]:
    return (rings,) if isinstance(rings, DeclaredRing) else tuple(rings)
