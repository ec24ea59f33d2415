"""`labdaq run`, `replay`, `new` and `devices`: pipelines from files, from the command line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labdaq.cli.common import plain_errors
from labdaq.cli.live import follow
from labdaq.errors import DataError, LayoutError, NotFoundError

if TYPE_CHECKING:
    from labdaq.pipeline.suite import SuitePipeline

__all__ = ["app"]

app = typer.Typer()

_FAILED, _WRONG, _INTERRUPTED = 1, 2, 130


@contextlib.contextmanager
def _wrong_suites() -> Iterator[None]:
    """Exit code 2 for what is wrong in the suite, before anything ran."""
    try:
        yield
    except (LayoutError, NotFoundError, DataError) as error:
        typer.echo(f"labdaq: {error}", err=True)
        raise typer.Exit(_WRONG) from None


Events = Annotated[int | None, typer.Option(min=1, help="End after so many events.")]
Seconds = Annotated[float | None, typer.Option(min=0, help="End after so many seconds of taking data.")]
Store = Annotated[str | None, typer.Option(help="Keep the new run in this folder, or store by its URL.")]
Comment = Annotated[str, typer.Option(help="Kept with the run.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", help="A parameter, as worker.name=value; may be repeated.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show the result only.")]


@app.command()
@plain_errors()
def run(
    suite: Annotated[Path, typer.Argument(help="The YAML file.")],
    *,
    events: Events = None,
    seconds: Seconds = None,
    store: Store = None,
    comment: Comment = "",
    parameters: Parameters = None,
    quiet: Quiet = False,
) -> None:
    """Take data with a suite.

    Keys, in a terminal: p pause, r resume, s stop, a abort. Ctrl-C stops the run and keeps what was taken; a second
    one aborts it. SIGTERM stops it, too.

    Exit codes: 0 the run ended, 1 it failed, 2 the suite or an option is wrong, 130 interrupted by Ctrl-C.

    A suite is a program: it imports and calls what it names. Run those of people whom you trust.
    """
    from labdaq.pipeline.suite import SuitePipeline, open_suite

    with _wrong_suites():
        pipeline = open_suite(suite, store=_place(store))
    if isinstance(pipeline, SuitePipeline):
        _take(pipeline, parameters, quiet=quiet, events=events, seconds=seconds, comment=comment)
        return
    if store or comment or parameters:
        raise typer.BadParameter(f"{suite} is no suite of labdaq: --store, --comment and --set are not for it")
    result = pipeline.run(events, seconds)
    if result is not None:
        typer.echo(result)
        if getattr(result, "is_interrupted", False):
            raise typer.Exit(_INTERRUPTED)
        if getattr(getattr(result, "state", None), "name", "") == "FAILED":
            raise typer.Exit(_FAILED)


@app.command()
@plain_errors()
def replay(
    recorded: Annotated[str, typer.Argument(help="Number of a run of the suite, folder or key of any, or a file.")],
    suite: Annotated[Path, typer.Argument(help="The YAML file.")],
    *,
    source: Annotated[str | None, typer.Option(help="The source that is replaced, if there are several.")] = None,
    ring: Annotated[str | None, typer.Option(help="The ring whose events are taken.")] = None,
    timing: Annotated[str, typer.Option(help="fast, original, or events per second.")] = "fast",
    loop: Annotated[bool, typer.Option(help="Begin again at the end.")] = False,
    recorded_in: Annotated[
        str | None, typer.Option("--from", help="Look for the recorded run there, not where the suite keeps its runs.")
    ] = None,
    events: Events = None,
    seconds: Seconds = None,
    store: Store = None,
    comment: Comment = "",
    parameters: Parameters = None,
    quiet: Quiet = False,
) -> None:
    """Run a suite over recorded events, in place of its source. Keys and exit codes are those of `labdaq run`."""
    from labdaq.pipeline.suite import build_replay, load_suite
    from labdaq.pipeline.suite.tree import scalar

    with _wrong_suites():
        settings = {"ring": ring, "timing": scalar(timing), "loop": loop}
        places = {"store": _place(store), "recorded_in": _place(recorded_in)}
        pipeline = build_replay(load_suite(suite), recorded, source=source, **places, **settings)
    comment = comment or f"replay of {recorded}"
    _take(pipeline, parameters, quiet=quiet, events=events, seconds=seconds, comment=comment)


def _place(store: str | None) -> str | None:
    """A store as it is given here: a folder starts from the current one, not from that of the suite."""
    return store if store is None or "://" in store else str(Path(store).absolute())


def _take(pipeline: "SuitePipeline", parameters: list[str] | None, *, quiet: bool, **settings: Any) -> None:
    """Do a run, print its result, and leave with its exit code."""
    from labdaq.ring import warm

    def start() -> Any:
        with _wrong_suites():
            return pipeline.start(**settings)

    pipeline.is_shared = True  # whoever wants to look or to stop it from elsewhere can: labdaq.attach
    with pipeline:
        with _wrong_suites():
            for text in parameters or ():
                _set(pipeline, text)
        warm()  # may take half a minute after an update, which Ctrl-C can end
        is_interrupted = follow(pipeline, start, quiet=quiet)
        result = pipeline.wait(0)
    typer.echo(result)
    if is_interrupted:
        raise typer.Exit(_INTERRUPTED)
    if result.state.name != "ENDED":
        raise typer.Exit(_FAILED)


def _set(pipeline: "SuitePipeline", text: str) -> None:
    from labdaq.pipeline.suite.tree import scalar

    name, sign, value = text.partition("=")
    if not sign:
        raise LayoutError(f"--set {text!r}: write worker.name=value")
    with _naming(f"--set {text}"):
        pipeline.set_parameter(name.strip(), scalar(value.strip()))


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except (LayoutError, NotFoundError) as error:
        raise type(error)(f"{what}: {error}") from error


@app.command()
@plain_errors()
def new(
    name: Annotated[Path, typer.Argument(help="The folder to make.")],
    kind: Annotated[str, typer.Option(help="muon, or mimocorb for a suite of mimoCoRB.")] = "muon",
) -> None:
    """Make a workspace to begin with: a suite, its modules and configuration."""
    from labdaq.cli.workspaces import new_workspace

    suite = new_workspace(name, kind)
    typer.echo(f"made {name}; try: labdaq run {suite}")


@app.command()
@plain_errors()
def devices() -> None:
    """List the devices that can be found, and why others cannot be looked for."""
    from labdaq.devices import list_devices

    found = [(one.kind, one.name or "-", one.address or "-", one.state) for one in list_devices()]
    widths = [max(map(len, column)) for column in zip(*found, strict=True)][:-1]
    for *cells, state in found:
        typer.echo("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), state]))
    if not found:
        typer.echo("no devices")
