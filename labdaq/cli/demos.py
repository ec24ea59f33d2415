"""`labdaq demo …`: whole experiments, from the data to the result."""

from pathlib import Path
from typing import Annotated

import typer

from labdaq.cli.common import plain_errors

__all__ = ["app"]

app = typer.Typer(help="Whole experiments, from the data to the result.", no_args_is_help=True)


@app.callback()
def _demos() -> None:
    pass


@app.command()
@plain_errors()
def muon(
    data: Annotated[Path | None, typer.Option(help="Folder of recorded waveforms; simulated ones without it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for decay times, figure and summary.")] = Path("out/muon"),
    events: Annotated[int | None, typer.Option(min=1, help="How many waveforms to take.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
) -> None:
    """Measure the lifetime of the muon from double pulses of a detector."""
    from labdaq.demos import muon as experiment

    result = experiment.run(data=data, out=out, events=events, seed=seed)
    typer.echo(result.summary())
