"""`labdaq store …`: scans that are kept, from the command line."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labdaq.cli.common import plain_errors, size
from labdaq.errors import LayoutError

if TYPE_CHECKING:
    from labdaq.store import DataStore, Scan

__all__ = ["app"]

app = typer.Typer(help="Scans that are kept: list, show, export, trim, verify, repair, serve.", no_args_is_help=True)

Where = Annotated[
    str | None,
    typer.Option("--store", "-s", help="A folder or URL; LABDAQ_STORE, or labdaq-data here, without it."),
]
Which = Annotated[str, typer.Argument(help="last, the key of a scan, or a name of which the newest is taken.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@contextlib.contextmanager
def _opened(where: str | None) -> Iterator["DataStore"]:
    """The store, which must be there: nobody wants an empty one made by looking."""
    from labdaq.store import DataStore, default_url

    with DataStore(where or default_url(), must_exist=True) as store:
        yield store


def _scan(store: "DataStore", which: str) -> "Scan":
    from labdaq.store.store import find_scan

    return find_scan(store, which)


@app.command("ls")
@plain_errors()
def list_scans(
    name: Annotated[str | None, typer.Argument(help="A name, or the beginning of one with a *.")] = None,
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List scans, the newest first."""
    with _opened(where) as store:
        terms: dict[str, Any] = {} if name is None else {"name": name}
        _tag, keys = store.search_existing_scans(order="newest", limit=limit, **terms)
        scans = [store.load_scan(key) for key in keys]
        if as_json:
            typer.echo(json.dumps([{"key": s.key, "state": s.state.name, **s.identity} for s in scans]))
            return
        for scan in scans:
            began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(scan.created_ns / 1e9))
            typer.echo(
                f"{began}  {scan.state.name:8}  {scan.name} {scan.number}  {len(scan.streams)} streams  {scan.key}"
            )
        if not scans:
            typer.echo("no scans")


@app.command()
@plain_errors()
def show(which: Which = "last", where: Where = None, as_json: AsJson = False) -> None:
    """Show one scan: who it is, what was said about it, its streams."""
    with _opened(where) as store:
        scan = _scan(store, which)
        streams = [
            {
                "name": stream.name,
                "points": len(stream),
                "sealed": stream.is_sealed(),
                "dtype": str(stream.dtype or "json"),
                "shape": list(stream.shape or ()),
                "info": dict(stream.info),
            }
            for stream in scan.streams.values()
        ]
        if as_json:
            about = {"key": scan.key, "state": scan.state.name, **scan.identity, "info": scan.info}
            typer.echo(json.dumps({**about, "streams": streams}))
            return
        typer.echo(f"{scan!r}\n{scan.key}")
        for field, value in scan.identity.items():
            if value is not None:
                typer.echo(f"  {field:12} {value}")
        for stream in streams:
            typer.echo(_line(stream))
        if scan.info:
            typer.echo(json.dumps(scan.info, indent=2))


def _line(stream: dict[str, Any]) -> str:
    kind = f"{stream['dtype']}{stream['shape'] or ''}"
    unit = stream["info"].get("unit") or stream["info"].get("units") or ""
    end = "sealed" if stream["sealed"] else "open"
    return f"  {stream['name']:24} {stream['points']:>10} x {kind} {unit}  {end}"


@app.command()
@plain_errors()
def export(
    path: Annotated[Path, typer.Argument(help="The file: .h5, .nxs, .zarr, .parquet, .csv, .npz.")],
    which: Annotated[str, typer.Option("--scan", help="last, a key, or a name.")] = "last",
    where: Where = None,
    stream: Annotated[list[str] | None, typer.Option(help="Only this stream; may be repeated.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write a scan to a file; the name says in which format."""
    from labdaq.store.exchange.export import export as write

    with _opened(where) as store:
        write(_scan(store, which), path, streams=stream or None, overwrite=overwrite)
    typer.echo(f"wrote {path}")


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def _nbytes(text: str) -> int:
    """A size as people write it: 10GB, 500 MiB, 1e9."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[0-9]{1,2})?)\s*([KMGT]I?)?B?\s*", text.upper().replace("E", "e"))
    if not found:
        raise LayoutError(f"{text!r} is no size: write 10GB, 500MiB or a number of bytes")
    return int(float(found[1]) * _UNITS[found[2] or ""])


@app.command()
@plain_errors()
def trim(
    limit: Annotated[str, typer.Option(help="What all points may take: 10GB, 500MiB.")],
    where: Where = None,
    protect: Annotated[float, typer.Option(min=0, help="Keep points younger than so many seconds.")] = 180.0,
) -> None:
    """Remove the oldest points, of closed scans first, until the others take no more than a limit."""
    with _opened(where) as store:
        report = store.trim(_nbytes(limit), protect_s=protect)
    typer.echo(f"freed {size(report.nbytes_freed)} of {size(report.nbytes_before)} in {report.nstream} streams")
    if not report.is_enough:
        typer.echo(f"the rest is protected, or still written: {size(report.nbytes_before - report.nbytes_freed)}")


@app.command()
@plain_errors()
def verify(where: Where = None, as_json: AsJson = False) -> None:
    """Compare every point with its check sum; exit code 1 when anything is damaged."""
    from labdaq.store import upkeep

    reports = []
    with _opened(where) as store:
        for report in upkeep.verify(store):
            reports.append(report)
            if not as_json:
                mark = "!!" if report.problems else "ok"
                typer.echo(f"{mark}  {report.name:24} {report.npoint:>10} points  {report.key}")
                for problem in report.problems:
                    typer.echo(f"      {problem}")
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports]))
    raise typer.Exit(int(any(report.problems for report in reports)))


@app.command()
@plain_errors()
def repair(where: Where = None) -> None:
    """Put a store right after a crash: end damaged streams, close scans that nobody drives, find lost streams."""
    from labdaq.store import default_url, upkeep

    folder = (where or default_url()).removeprefix("labdaq://")
    if not (Path(folder) / "catalogue.db").is_file():
        raise LayoutError(f"there is no store in {folder}: give its folder with --store, or set LABDAQ_STORE")
    store, aside = upkeep.open_damaged(folder)
    with store:
        actions = upkeep.repair(store).actions
    if aside is not None:
        typer.echo(f"the catalogue could not be read: made a new one, the old one is {aside}")
    for action in actions:
        typer.echo(action)
    if not actions:
        typer.echo("nothing to repair")


@app.command()
@plain_errors()
def serve(
    port: Annotated[int | None, typer.Option(help="6379; any that is free, when 0.", min=0, max=65535)] = 6379,
    folder: Annotated[Path | None, typer.Option(help="Keep points on disk here; else in memory only.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine it needs a password.")
    ] = "127.0.0.1",
    password: Annotated[str | None, typer.Option(envvar="LABDAQ_STORE_PASSWORD", help="What users must give.")] = None,
) -> None:
    """Start a Redis server for a class, until Ctrl-C."""
    from labdaq.store.redis.serve import serve_redis

    serve_redis(folder, host=host, port=port or None, password=password, keep=folder is not None, report=typer.echo)
