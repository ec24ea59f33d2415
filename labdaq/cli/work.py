"""`labdaq work`: do a share of a filter's work for a pipeline that runs on another machine."""

from pathlib import Path
from typing import Annotated

import typer

from labdaq.cli.common import plain_errors
from labdaq.cli.keys import signals_as_list
from labdaq.errors import DataError, LayoutError, NotFoundError

__all__ = ["work"]

_WRONG, _INTERRUPTED = 2, 130


@plain_errors()
def work(
    url: Annotated[str, typer.Argument(help="The Redis server: redis://host:6379, as the suite says at shared.")],
    suite: Annotated[Path, typer.Argument(help="The YAML file, with its modules; the same as there.")],
    *,
    worker: Annotated[str, typer.Option(help="The filter.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the run to begin.")] = 60.0,
) -> None:
    """Join a running pipeline from another machine, and share the work of one of its filters until the run ends.

    Results go back to the pipeline. If this process is killed, others do its work again, and nothing is lost. Ctrl-C
    and SIGTERM finish the events at hand, and leave.

    Exit codes: 0 the run ended, 1 the server cannot be reached, 2 the suite or worker is wrong or nobody runs it, 130
    interrupted.

    A suite is a program: it imports and calls what it names. Run those of people whom you trust.
    """
    from labdaq.pipeline.shared_work.joining import join_work

    try:
        member = join_work(url, suite, worker, timeout=wait)
    except (LayoutError, NotFoundError, DataError) as error:
        typer.echo(f"labdaq: {error}", err=True)
        raise typer.Exit(_WRONG) from None
    with member, signals_as_list("SIGINT", "SIGTERM") as received:
        typer.echo(f"joined the work of {worker!r}", err=True)
        done = member.run(lambda: bool(received))
    counts = f"accepted {done.accepted} + rejected {done.rejected} + quarantined {done.quarantined}"
    typer.echo(f"{worker}: received {done.received} = {counts} + repeated {done.repeated}")
    if received:
        raise typer.Exit(_INTERRUPTED)
