"""What all commands share: errors in one line, sizes for people."""

import contextlib
from collections.abc import Iterator

import typer

from labdaq.errors import LabdaqError

__all__ = ["plain_errors", "size"]


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what labdaq refuses into one line and exit code 1; anything else is a bug with a traceback."""
    try:
        yield
    except LabdaqError as error:
        typer.echo(f"labdaq: {error}", err=True)
        raise typer.Exit(1) from None


def size(nbytes: float) -> str:
    """A number of bytes, for people.

    Examples
    --------
    >>> size(3 * 2**20)
    '3 MiB'
    """
    if nbytes < 2**20:
        return f"{nbytes / 2**10:.0f} KiB" if nbytes >= 2**10 else f"{nbytes:.0f} B"
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{nbytes / 2**20:.0f} MiB"
