"""`labdaq warm`, `stat` and `doctor`: this machine, its rings, and what labdaq needs of it."""

import contextlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from labdaq.cli.common import plain_errors, size

if TYPE_CHECKING:
    from labdaq.ring import RingStatistics

__all__ = ["app"]

app = typer.Typer()


@app.command()
@plain_errors()
def warm() -> None:
    """Compile everything now, so that nothing has to be compiled during a run."""
    from labdaq import kernels, packet, ring
    from labdaq.native import cache_folder
    from labdaq.pipeline.workers import compiled_steps, repeats
    from labdaq.store import warming

    start = time.perf_counter()
    ring.warm()
    kernels.warm()
    warming.warm()
    compiled_steps.warm()
    repeats.warm()
    packet.warm()
    typer.echo(f"compiled in {time.perf_counter() - start:.1f} s, kept in {cache_folder()}")


@app.command()
@plain_errors()
def stat(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list instead of a table.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=0.05, help="Show again every so many seconds, until Ctrl-C.")
    ] = None,
) -> None:
    """Show every ring of this machine, its readers and what was lost, without stopping anyone."""
    from labdaq.ring import statistics_of_all

    with contextlib.suppress(KeyboardInterrupt):
        while True:
            rings = statistics_of_all()
            typer.echo(json.dumps([asdict(ring) for ring in rings], default=str) if as_json else _table(rings))
            if watch is None:
                return
            time.sleep(watch)


def _table(rings: Sequence["RingStatistics"]) -> str:
    return "\n".join(line for ring in rings for line in _lines(ring)) or "no rings in shared memory"


def _lines(record: Any, indent: str = "") -> Iterator[str]:
    """A line with the name of a record and all that is not zero; below it, indented, those of its parts."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    parts = [part for value in values.values() if isinstance(value, tuple) for part in value]
    parts = [part for part in parts if is_dataclass(part)]
    title = indent + str(values.pop("name", type(record).__name__))
    shown = [f"{name} {_number(v)}" for name, v in values.items() if v and not isinstance(v, tuple)]
    yield f"{title:20} {'  '.join(shown)}".rstrip()
    for part in parts:
        yield from _lines(part, indent + "  ")


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Finding(NamedTuple):
    """One thing that was looked at: what it is, how it stands, and what to do when it is not well."""

    name: str
    state: str
    remedy: str = ""


@app.command()
@plain_errors()
def doctor(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove shared memory and folders of runs that no living process owns.")
    ] = False,
) -> None:
    """Look at what labdaq needs of this machine, and say what to do; exit code 1 when something is amiss."""
    if clean:
        from labdaq import ring
        from labdaq.pipeline.recording.scratch import remove_leftovers

        removed = [*ring.clean(), *(str(path) for path in remove_leftovers())]
        typer.echo("\n".join(f"removed {name}" for name in removed) or "nothing to remove")
        return
    findings = [_python(), _numba(), _processors(), *_shared_memory(), _leftovers(), _cache()]
    for name, state, remedy in findings:
        typer.echo(f"{'!!' if remedy else 'ok'}  {name:16} {state}")
        if remedy:
            typer.echo(f"    {'':16} -> {remedy}")
    raise typer.Exit(int(any(finding.remedy for finding in findings)))


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _numba() -> Finding:
    import numba
    import numpy as np

    return Finding("numba", f"{numba.__version__} with NumPy {np.__version__}")


def _processors() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    remedy = "" if count > 1 else "a writer and its readers share one processor: give this machine two"
    return Finding("processors", str(count), remedy)


def _shared_memory() -> Iterator[Finding]:
    from labdaq.native import mapping

    place = mapping.folder()
    space = shutil.disk_usage(place)
    remedy = ""
    if space.free < 256 * 2**20:
        remedy = "rings may not fit: start the container with --shm-size=1g, or remount it larger"
    yield Finding("shared memory", f"{place}: {size(space.free)} free of {size(space.total)}", remedy)


def _leftovers() -> Finding:
    from labdaq import ring
    from labdaq.pipeline.recording.scratch import scratch_leftovers

    names = [*ring.leftovers(), *(str(path) for path in scratch_leftovers())]
    remedy = "labdaq doctor --clean removes it" if names else ""
    return Finding("left over", ", ".join(names) or "nothing", remedy)


def _cache() -> Finding:
    from labdaq.native import cache_folder

    folder = cache_folder()
    compiled = len(list(folder.glob("*/*.nbi")))
    if not compiled:
        return Finding("compiled code", f"none yet in {folder}", "labdaq warm compiles it now")
    return Finding("compiled code", f"{compiled} functions in {folder}")
