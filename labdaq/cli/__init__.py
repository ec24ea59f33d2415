"""The command `labdaq`: prepare, try out, watch, keep and repair.

`machine`  warm, stat    `doctor`       `demos`  whole experiments        `store`  scans that are kept
`running`  run, replay, new, devices    `live`, `keys`  a run in a terminal  `workspaces`  to begin with
`packets`  capture, packets, send, bench capture
`lab`, `course`  the notebooks, and JupyterLab on them
`work`     share the work of a filter that runs on another machine

Each command is a few lines over a function that a notebook can call as well. Heavy packages are imported
inside the commands, so that `labdaq --help` is quick.
"""

from typing import Annotated

import typer

from labdaq import __version__
from labdaq.cli import demos, doctor, lab, machine, packets, running, store, work

__all__ = ["app", "main"]

app = typer.Typer(
    name="labdaq",
    help="A data-acquisition laboratory in a notebook.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(running.app)
app.add_typer(lab.app)
app.command()(work.work)
app.add_typer(machine.app)
app.add_typer(doctor.app)
app.add_typer(packets.app)
app.add_typer(packets.bench, name="bench")
app.add_typer(demos.app, name="demo")
app.add_typer(store.app, name="store")


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labdaq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
