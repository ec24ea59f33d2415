"""`labdaq doctor`: what labdaq needs of this machine, how it stands, and what to do."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from labdaq.cli.common import plain_errors, size

__all__ = ["app"]

app = typer.Typer()
_SOCKET_BUFFER = Path("/proc/sys/net/core/rmem_max")
_WANTED_NBYTES = 64 << 20
_NOTEBOOK = ("jupyterlab", "ipywidgets", "anywidget", "bokeh", "ipykernel")


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
    findings = [
        _python(), _numba(), _processors(), *_shared_memory(), _socket_buffer(), _notebook(), _gpu(), _leftovers(),
        _cache(),
    ]  # fmt: skip
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


def _socket_buffer() -> Finding:
    """What waits here while a capture is not looking is not lost."""
    name = "socket buffer"
    if not _SOCKET_BUFFER.exists():
        return Finding(name, "this system does not say how much it grants; a capture does, when it binds")
    granted = int(_SOCKET_BUFFER.read_text())
    state = f"up to {size(granted)} for the packets of a socket"
    if granted >= _WANTED_NBYTES:
        return Finding(name, state)
    return Finding(name, f"{state}; for fast captures: sudo sysctl -w net.core.rmem_max={_WANTED_NBYTES}")


def _notebook() -> Finding:
    found = {package: _version(package) for package in _NOTEBOOK}
    missing = [package for package, version in found.items() if not version]
    if missing:
        return Finding("notebook", f"without {', '.join(missing)}; pip install 'labdaq[notebook]' brings them")
    state = ", ".join(f"{package} {version}" for package, version in found.items())
    if tuple(int(part) for part in found["ipykernel"].split(".")[:2]) < (7, 0):
        state += "; buttons are heard when a cell has ended: use await daq.run_async(), or ipykernel 7"
    return Finding("notebook", state)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _gpu() -> Finding:
    device = shutil.which("nvidia-smi")
    return Finding("GPU", f"NVIDIA driver ({device})" if device else "none: everything runs without one")


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
