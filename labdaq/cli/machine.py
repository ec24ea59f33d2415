"""`labdaq warm` and `stat`: compiled code and rings of this machine."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labdaq.cli.common import plain_errors

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
