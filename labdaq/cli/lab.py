"""`labdaq lab`: the course, and JupyterLab on it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from labdaq.cli.common import plain_errors
from labdaq.cli.course import copy_course
from labdaq.errors import MissingExtraError

__all__ = ["app"]

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@plain_errors()
def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where your work is; made if it is not there.")] = Path(
        "labdaq-course"
    ),
    copy_only: Annotated[bool, typer.Option("--copy-only", help="Do not open JupyterLab.")] = False,
) -> None:
    """Copy the course next to your work and open JupyterLab; what you changed is never overwritten.

    Further options go to JupyterLab: labdaq lab here --no-browser --port 9000
    """
    if not copy_only and importlib.util.find_spec("jupyterlab") is None:
        raise MissingExtraError("this needs jupyterlab: pip install 'labdaq[notebook]'")
    course = copy_course(folder)
    typer.echo(str(course))
    if not copy_only:
        raise typer.Exit(_jupyterlab([str(course.first), *context.args]))


def _jupyterlab(arguments: list[str]) -> int:
    """Run it until its end; Ctrl-C is its own affair: it asks whether that was meant."""
    command = [sys.executable, "-m", "jupyterlab", *arguments]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
