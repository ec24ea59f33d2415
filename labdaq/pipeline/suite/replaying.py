"""Suites over recorded events, in place of those of a source."""

from pathlib import Path
from typing import Any

from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline.kept.replay import Replay
from labdaq.pipeline.suite.building import SuitePipeline, build
from labdaq.pipeline.suite.schema import SourcePart, Suite
from labdaq.pipeline.suite.tree import nearest

__all__ = ["build_replay"]


def build_replay(
    suite: Suite,
    recorded: str | Path,
    *,
    source: str | None = None,
    ring: str | None = None,
    store: str | Path | None = None,
    recorded_in: str | Path | None = None,
    **settings: Any,
) -> SuitePipeline:
    """Make the pipeline that a suite describes, with recorded events in place of a source.

    The source itself is neither imported nor opened.

    Parameters
    ----------
    suite
        From :func:`load_suite`.
    recorded
        The number of a run of this suite, the folder or key of any run, or a file that a sink wrote.
    source
        Which source is replaced, when there are several.
    ring
        The ring whose events are taken; by default that of the source, or the only one that was kept.
    store
        Where the new run is kept, instead of where the suite says.
    recorded_in
        Where the recorded run is looked for: a folder or the URL of a store. By default where the suite keeps its
        runs; where ``store`` is, if it keeps none.
    **settings
        Of :class:`labdaq.pipeline.Replay`: timing, speed, loop and so on.

    Raises
    ------
    NotFoundError
        There is no such run, source or ring.
    LayoutError
        The events do not fit; and as for :func:`build`.
    """
    name = _source_of(suite, source)
    part = suite.workers[name]
    which = f"{suite.name}_{int(str(recorded)):04d}" if str(recorded).isdecimal() else str(recorded)
    settings["store"] = str(recorded_in or suite.store_place() or store or "runs")
    if ring is None and isinstance(part, SourcePart):
        replay = _replay_of_ring(which, part.writes, settings)
    else:
        replay = Replay(which, ring=ring, **settings)
    return build(suite, store=store, instead={name: replay})


def _replay_of_ring(which: str, ring: str, settings: dict[str, Any]) -> Replay:
    """Of this ring, or of the only one that was kept."""
    try:
        return Replay(which, ring=ring, **settings)
    except NotFoundError:
        return Replay(which, **settings)


def _source_of(suite: Suite, wanted: str | None) -> str:
    sources = [name for name, part in suite.workers.items() if isinstance(part, SourcePart)]
    if wanted is None and len(sources) == 1:
        return sources[0]
    if wanted is None:
        raise LayoutError(f"{suite.path}: {len(sources)} sources, {', '.join(sources)}: say which is replaced")
    if wanted not in sources:
        raise NotFoundError(f"{suite.path}: there is no source {wanted!r}{nearest(wanted, sources)}")
    return wanted
