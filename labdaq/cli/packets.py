"""`labdaq capture`, `packets`, `send` and `bench capture`: packets from and to networks, and files of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labdaq.cli.common import plain_errors
from labdaq.errors import LayoutError

if TYPE_CHECKING:
    from labdaq.packet import Address
    from labdaq.packet.limits import CriticalRate

__all__ = ["app", "bench"]

app = typer.Typer()
bench = typer.Typer(help="What this machine can do.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="Such as udp://0.0.0.0:10000; [::1] for IPv6.")]
FormatName = Annotated[str | None, typer.Option("--format", help="Such as chips_132; guessed without it.")]
Port = Annotated[int | None, typer.Option(help="Of a recording of a network: only what went to this port.")]


@bench.callback()
def _bench() -> None:
    pass


@app.command()
@plain_errors()
def capture(  # noqa: PLR0917 - options of a command
    packet_format: Annotated[str, typer.Argument(metavar="FORMAT", help="Such as chips, tbn, chips_132.")],
    url: Url,
    out: Annotated[Path, typer.Option(help="Folder for the frames.")],
    seconds: Annotated[float | None, typer.Option(min=0, help="How long; until Ctrl-C without it.")] = None,
    nsrc: Annotated[int, typer.Option(min=1, help="Sources that make up a frame.")] = 1,
    src0: Annotated[int, typer.Option(help="The number of the first.")] = 0,
    gulp: Annotated[int, typer.Option(min=1, help="Frames of a gulp.")] = 256,
    max_size: Annotated[int, typer.Option(min=1, help="Bytes of the largest packet.")] = 9000,
    rate: Annotated[int | None, typer.Option(help="Decimation of tbn, frames/s of vdif; learnt without it.")] = None,
    core: Annotated[int | None, typer.Option(help="The core to capture on.")] = None,
    interface: Annotated[str | None, typer.Option(help="Sniff on it, such as eth0, with a raw socket.")] = None,
    merge: Annotated[bool, typer.Option("--gro", help="Have packets of one length handed out together.")] = False,
) -> None:
    """Capture packets from a network, and keep the frames."""
    from labdaq.packet import UDPCapture, UDPSocket
    from labdaq.packet.keeping import keep
    from labdaq.ring import Ring

    with UDPSocket() as socket, Ring("capture") as ring:
        address = address_of(url)
        if interface is None:
            socket.bind(address, merge=merge)
        else:
            socket.sniff(address, interface=interface)
        socket.timeout = 1.0
        typer.echo(f"receive buffer {socket.receive_buffer / 2**20:.1f} MiB granted", err=True)
        if socket.advice:
            typer.echo(socket.advice, err=True)
        capturing = UDPCapture(packet_format, socket, ring, nsrc, src0, max_size, gulp, core=core, rate=rate)
        typer.echo(keep(capturing, ring, out, seconds))


@app.command()
@plain_errors()
def packets(
    file: Annotated[Path, typer.Argument(help="Packets, or a recording of a network (pcap, pcapng).")],
    packet_format: FormatName = None,
    nsrc: Annotated[int | None, typer.Option(min=1, help="Sources that make up a frame.")] = None,
    src0: Annotated[int | None, typer.Option(help="The number of the first.")] = None,
    port: Port = None,
) -> None:
    """Say what is in a file of packets: format, counts, gaps, times."""
    from labdaq.packet.surveying import survey

    typer.echo(survey(file, packet_format, nsrc=nsrc, src0=src0, port=port))


@app.command()
@plain_errors()
def send(  # noqa: PLR0917 - options of a command
    file: Annotated[Path, typer.Argument(help="Packets, or a recording of a network (pcap, pcapng).")],
    url: Url,
    packet_format: FormatName = None,
    speed: Annotated[float, typer.Option(help="2 is twice as fast as it was.")] = 1.0,
    rate: Annotated[float, typer.Option(min=0, help="Packets per second, instead of their own times.")] = 0.0,
    port: Port = None,
) -> None:
    """Send the packets of a file, at the times at which they came."""
    from labdaq.packet.guessing import guess_format
    from labdaq.packet.pcap import is_pcap
    from labdaq.packet.reading import opened
    from labdaq.packet.replaying import replay

    found: Any = packet_format
    with opened(file) as content:
        if found is None and not is_pcap(content):
            guesses = guess_format(content)
            if not guesses:
                raise LayoutError(f"{file}: not of a format that is known; give it with --format")
            found = guesses[0].format
    sent = replay(file, address_of(url), packet_format=found, speed=speed, rate=rate, port=port)
    typer.echo(f"{sent} packets sent")


@bench.command("capture")
@plain_errors()
def bench_capture(
    nbytes: Annotated[int, typer.Option("--size", min=1, max=60_000, help="Bytes of a payload.")] = 1408,
    seconds: Annotated[float, typer.Option(min=0.01, help="Of each trial.")] = 1.0,
    trials: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    out: Annotated[Path | None, typer.Option(help="A picture of it: PNG, PDF or SVG.")] = None,
) -> None:
    """Find how many packets per second this machine takes without losing any, over the loopback."""
    from labdaq.packet.limits import critical_rate, loopback_trial

    found = critical_rate(loopback_trial(nbytes, seconds), trials=trials)
    typer.echo(found)
    typer.echo(drawn(found))
    if out is not None:
        _draw(found, nbytes, out)


def drawn(found: "CriticalRate", width: int = 40) -> str:
    """How likely each rate is the critical one, as a picture of letters.

    Examples
    --------
    >>> from labdaq.packet.limits import Trial, critical_rate
    >>> found = critical_rate(lambda rate: Trial(rate, rate, 1, int(rate > 3e4)), trials=8)
    >>> "#" in drawn(found)
    True
    """
    rows = [(chunk.mean(), part.sum()) for chunk, part in zip(_tenths(found.rates), _tenths(found.belief), strict=True)]
    most = max(part for _, part in rows)
    return "\n".join(f"{rate:10.0f} /s {'#' * round(width * part / most)}" for rate, part in rows)


def _tenths(values: Any) -> list[Any]:
    import numpy as np

    return np.array_split(values, 20)


def _draw(found: "CriticalRate", nbytes: int, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for passed, mark, label in ((True, "o", "none lost"), (False, "x", "some lost")):
        chosen = [trial for trial in found.trials if trial.passed == passed]
        axes.plot([t.rate for t in chosen], [max(t.lost / t.sent, 1e-6) for t in chosen], mark, label=label)
    axes.axvspan(found.low, found.high, alpha=0.2)
    axes.axvline(found.rate)
    axes.set(xscale="log", yscale="log", xlabel="rate / packets/s", ylabel="part that was lost")
    axes.set_title(f"critical rate {found.rate:.0f} packets/s of {nbytes} bytes")
    axes.legend()
    figure.savefig(path)


def address_of(url: str) -> "Address":
    """Host and port of ``udp://host:port``.

    Raises
    ------
    LayoutError
        For anything else.

    Examples
    --------
    >>> str(address_of("udp://[::1]:4015")), str(address_of("127.0.0.1:4015"))
    ('[::1]:4015', '127.0.0.1:4015')
    """
    from labdaq.packet import Address

    scheme, _, rest = url.rpartition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in {"", "udp"} or not port.isdigit():
        raise LayoutError(f"{url!r}: write udp://host:port")
    return Address(host.strip("[]"), int(port))
