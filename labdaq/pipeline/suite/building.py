"""Pipelines from suites."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import yaml

from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.pipeline import Pipeline
from labdaq.pipeline.running.attached import AttachedRun
from labdaq.pipeline.running.run import Run
from labdaq.pipeline.shared_work.shared import shared
from labdaq.pipeline.suite.made import sink_for, worker_for
from labdaq.pipeline.suite.names import modules_from
from labdaq.pipeline.suite.problems import located
from labdaq.pipeline.suite.schema import (
    ROLES,
    DrainPart,
    FilterPart,
    RingPart,
    SinkPart,
    SourcePart,
    Suite,
    TaskPart,
    WorkerPart,
)
from labdaq.pipeline.suite.tree import nearest

__all__ = ["SuitePipeline", "build", "place_of_work", "work_of_part"]

logger = logging.getLogger("labdaq.pipeline")


class SuitePipeline(Pipeline):
    """A pipeline from a file: its runs end by the limits of the suite, and keep a copy of it as ``suite.yaml``.

    Parameters
    ----------
    suite
        Its description.
    store
        Where runs are kept, instead of where the suite says.
    """

    def __init__(self, suite: Suite, store: str | Path | None = None) -> None:
        super().__init__(suite.name, store=suite.store_place() if store is None else str(store))
        self.suite = suite

    def start(self, events: int | None = None, seconds: float | None = None, **settings: Any) -> Run | AttachedRun:
        """Begin a run; what is not said here is as the suite says. See :meth:`labdaq.pipeline.Pipeline.start`."""
        limits = self.suite.limits.model_dump()
        given = {"events": events, "seconds": seconds}
        limits |= {name: value for name, value in given.items() if value is not None}
        run = super().start(**{**limits, **settings})
        if self._store is not None:
            self._keep(run.folder)
        return run

    def _keep(self, folder: Path) -> None:
        text = yaml.safe_dump(self.suite.tree.plain(), sort_keys=False, allow_unicode=True)
        try:
            (folder / "suite.yaml").write_text(f"# {self.suite.path.absolute()}\n{text}", encoding="utf-8")
        except OSError as error:  # data are worth more than the copy; a full disk ends the run elsewhere
            logger.warning("%s was not kept in %s: %s", self.suite.path, folder, error)

    def set_parameter(self, name: str, value: Any) -> None:
        """Set a parameter by ``worker.name``.

        Raises
        ------
        NotFoundError
            There is none of this name.
        LayoutError
            It cannot have this value.
        """
        known = self.parameters
        if name not in known:
            raise NotFoundError(f"there is no parameter {name!r}{nearest(name, known) or '; no worker has any'}")
        known[name].set(value)


def build(suite: Suite, *, store: str | Path | None = None, instead: Mapping[str, Any] | None = None) -> SuitePipeline:
    """Make the pipeline that a suite describes.

    The modules of its folder and the packages that it names are imported, and classes are called with their
    settings: a suite is a program, and as trustworthy as who wrote it.

    Parameters
    ----------
    suite
        From :func:`load_suite`.
    store
        Where runs are kept, instead of where the suite says: a folder or the URL of a store.
    instead
        Objects that do the work of these workers, in place of what the suite names: for replays and tests.

    Raises
    ------
    NotFoundError
        A module, name, folder or parameter is not there.
    LayoutError
        Something does not fit, or the user's code raised. Both name the file, line and key.
    """
    pipeline = SuitePipeline(suite, store)
    with ExitStack() as stack:
        with located(suite.tree, "modules"):
            stack.enter_context(modules_from(None if suite.modules is None else suite.place_of("modules")))
        own = {name: part for name, part in suite.workers.items() if name not in (instead or {})}
        work = {**(instead or {}), **{name: _work(suite, name, part) for name, part in own.items()}}
    rings = {name: _ring(pipeline, name, part, work) for name, part in suite.rings.items()}
    for name, part in suite.workers.items():
        with located(suite.tree, "workers", name):
            _add(pipeline, name, part, work[name], rings)
    for name, value in suite.parameters.items():
        with located(suite.tree, "parameters", name):
            pipeline.set_parameter(name, value)
    return pipeline


def _work(suite: Suite, name: str, part: WorkerPart) -> Any:
    if isinstance(part, DrainPart):
        return None
    role = next(role for role in ROLES if hasattr(part, role))

    def at(key: str, *below: str) -> AbstractContextManager[None]:
        return located(suite.tree, "workers", name, role if key == "name" else key, *below)

    if isinstance(part, SinkPart):
        return sink_for(part.sink, part.settings, at)
    settings = {} if isinstance(part, TaskPart) else part.settings
    work = worker_for(getattr(part, role), settings, at, is_compiled=part.run_in == "compiled")
    if isinstance(part, FilterPart) and part.shared is not None:
        with at("shared"):
            return shared(work, part.shared, place_of_work(suite, name))
    return work


def place_of_work(suite: Suite, worker: str) -> str:
    """The name under which the work of a worker is shared."""
    return f"{suite.name}.{worker}".replace(" ", "_")


def work_of_part(suite: Suite, worker: str) -> Any:
    """What does the work of one worker of a suite; the others are not imported.

    Raises
    ------
    NotFoundError
        There is no such worker, or what it names is not there.
    LayoutError
        It is no filter, or does not fit.
    """
    part = suite.workers.get(worker)
    if part is None:
        raise NotFoundError(f"{suite.path} has no worker {worker!r}{nearest(worker, suite.workers)}")
    if not isinstance(part, FilterPart):
        raise LayoutError(f"worker {worker!r} of {suite.path} is no filter: only the work of filters is shared")
    with located(suite.tree, "modules"), modules_from(None if suite.modules is None else suite.place_of("modules")):
        return _work(suite, worker, part)


def _ring(pipeline: SuitePipeline, name: str, part: RingPart, work: dict[str, Any]) -> DeclaredRing:
    """A ring; what is not said of its events is as its source has it."""
    suite = pipeline.suite
    sources = [work[key] for key, one in suite.workers.items() if isinstance(one, SourcePart) and one.writes == name]
    source = sources[0] if sources else None
    dtype, shape = part.numpy_dtype(), part.shape
    if dtype is None:
        dtype = getattr(source, "dtype", None)
        shape = getattr(source, "shape", None) if shape is None else shape
    with located(suite.tree, "rings", name):
        if dtype is None:
            raise LayoutError("dtype is missing: no source that writes this ring says what its events are")
        return pipeline.ring(name, dtype, shape or (), part.capacity, planes=part.planes, header=part.header)


def _add(pipeline: Pipeline, name: str, part: WorkerPart, work: Any, rings: dict[str, DeclaredRing]) -> None:
    if isinstance(part, DrainPart):
        pipeline.drain(rings[part.drain], name=name)
        return
    left_out = {"source", "filter", "sink", "task", "settings", "reads", "writes", "observes", "shared"}
    options = part.model_dump(exclude=left_out)
    if isinstance(part, SourcePart):
        pipeline.source(work, rings[part.writes], name=name, **options)
    elif isinstance(part, FilterPart):
        pipeline.filter(work, rings[part.reads], [rings[ring] for ring in part.writes], name=name, **options)
    elif isinstance(part, SinkPart):
        pipeline.sink(work, rings[part.reads], name=name, **options)
    else:
        reads, writes, observes = ([rings[ring] for ring in used] for used in (part.reads, part.writes, part.observes))
        pipeline.task(work, reads=reads, writes=writes, observes=observes, name=name, settings=part.settings, **options)
