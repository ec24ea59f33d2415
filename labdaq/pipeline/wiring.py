"""Wiring: which rings there are, and who reads and writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline.declared import DeclaredRing, Tap
from labdaq.pipeline.nodes import Node
from labdaq.pipeline.shared_work.shared import SharedWork
from labdaq.pipeline.sinks.files import as_sink
from labdaq.pipeline.streams.sources import as_source
from labdaq.pipeline.workers.calls import name_of
from labdaq.pipeline.workers.compiled_parameters import check_compilable
from labdaq.pipeline.workers.device_work import Passing
from labdaq.pipeline.workers.intake import source_worker
from labdaq.ring.layout import checked_dtype
from labdaq.ring.spaces import space_named
from labdaq.roles import Parameter, parameters_of

__all__ = ["Wiring"]

_PLACES = ("threads", "processes", "compiled")
Rings = DeclaredRing | Sequence[DeclaredRing]


class Wiring:
    """Rings, and the workers between them: what a pipeline is made of.

    Parameters
    ----------
    name
        Of the whole.

    Attributes
    ----------
    rings, nodes : dict
        By name, in the order in which they were declared.
    """

    def __init__(self, name: str) -> None:
        if not name or not str(name).isprintable() or set(name) & set("/\\:"):
            raise LayoutError(f"name={name!r}: a name is a word that can be part of the name of a folder")
        self.name = name
        self.rings: dict[str, DeclaredRing] = {}
        self.nodes: dict[str, Node] = {}

    def _check_idle(self, what: str) -> None:
        """Raise when the wiring cannot be changed now."""

    def ring(
        self,
        name: str,
        dtype: DTypeLike,
        shape: Any = (),
        capacity: int = 128,
        *,
        planes: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        space: str = "system",
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
        space
            ``"system"``, which processes share where they need to; ``"cuda"``: in memory of the GPU, for workers in
            threads; ``"cuda_host"``: in memory from which a GPU copies quickly.

        Raises
        ------
        LayoutError
            The name is taken, or dtype and shape are not possible.
        """
        self._check_idle("a ring can be declared")
        if name in self.rings:
            raise LayoutError(f"there is a ring {name!r} already: take daq.rings[{name!r}], or another name")
        label = f"{self.name}.{name}"
        ring = DeclaredRing(name, dtype, shape, capacity, planes=planes, header=header, label=label, space=space)
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
            generator function, a generator or an iterable; a connected :class:`labdaq.InputStream`. See
            :mod:`labdaq.roles`.
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
        if not ring.is_seen_on_host:
            raise LayoutError(
                f"source {name or name_of(source)!r} writes with the processor, and ring {ring.name!r} is on the GPU: "
                "give it a ring of space='cuda_host', and daq.copy(ring, 'cuda')"
            )
        source = as_source(source, ring)
        source_worker(source)  # raises when it is none
        if when_paused not in {None, "hold", "discard"} or when_full not in {"discard", "wait"}:
            raise LayoutError(
                f"{when_paused=}, {when_full=}: when paused 'hold' or 'discard', when full 'discard' or 'wait'"
            )
        dtype, shape = checked_dtype(getattr(source, "dtype", ring.dtype)), tuple(getattr(source, "shape", ring.shape))
        if isinstance(source, np.ndarray):  # events along its first axis
            shape = shape[1:]
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
        space: str = "system",
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
        space
            ``"cuda"``: the function gets CuPy arrays and may give some back, whatever the memory of the rings; each
            worker has a stream of its own. Of a ring in GPU memory the data are CuPy arrays anyway.

        Returns
        -------
        callable
            The function.
        """
        if not callable(function):
            raise LayoutError(f"{function!r:.60} is no filter: it must be a function of an event, or f(data, out)")
        if run_in == "compiled":
            check_compilable(function, f"filter {name or name_of(function)!r}")
        if isinstance(function, SharedWork) and run_in != "threads":
            raise LayoutError(f"run_in={run_in!r}: work that is shared with other machines is handed out by a thread")
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
            options={"most": most} if space == "system" else {"most": most, "space": space_named(space).name},
        )
        return function

    def copy(
        self, reads: DeclaredRing, space: str, *, name: str | None = None, capacity: int | None = None
    ) -> DeclaredRing:
        """Let a worker copy what comes into a ring to another memory: to a GPU, or back.

        The copies are made on a stream of their own, while others work. From ``cuda_host`` they are as quick as the
        bus; from ``system`` the worker waits for each.

        Parameters
        ----------
        reads
            The ring.
        space
            Of the copy: ``"cuda"``, ``"cuda_host"`` or ``"system"``.
        name
            Of the copy; by default that of the ring and of the space: ``raw_cuda``.
        capacity
            Of the copy; that of the ring by default.

        Returns
        -------
        DeclaredRing
            The copy, with the same dtype, shape, planes and header.
        """
        ring = self.ring(
            name or f"{reads.name}_{space}",
            reads.dtype,
            reads.shape,
            capacity or reads.capacity,
            planes=reads.own_planes,
            header=reads.header,
            space=space,
        )
        self._add("filter", f"copy to {ring.name}", Passing(), (reads,), ring)
        return ring

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
        if hasattr(kept, "write") and not isinstance(kept, _Drain) and not reads.is_seen_on_host:
            raise LayoutError(
                f"sink {name_of(sink)!r} keeps what is in memory of the processor, and ring {reads.name!r} is on the "
                "GPU: keep daq.copy(ring, 'system')"
            )
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

    def drain(self, reads: DeclaredRing, *, name: str | None = None) -> None:
        """Read a ring and keep nothing, only count."""
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
        on_device = [ring.name for ring in (*node.reads, *node.writes, *node.observes) if ring.is_on_device]
        if (on_device or "space" in node.options) and node.run_in != "threads":
            raise LayoutError(f"{node.who}: run_in={node.run_in!r}: work with a GPU {on_device} runs in threads")
        if node.workers < 1 or node.max_errors < 1:
            raise LayoutError(f"{node.who}: workers and max_errors are at least 1")
        self.nodes[label] = node

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters of the workers, by ``node.name``."""
        return {
            f"{node.name}.{name}": one for node in self.nodes.values() for name, one in parameters_of(node.work).items()
        }


class _Drain:
    """A sink that keeps nothing."""

    def write(self, events: Any) -> None:
        """Do nothing."""


def _several(rings: Rings) -> tuple[DeclaredRing, ...]:
    return (rings,) if isinstance(rings, DeclaredRing) else tuple(rings)
