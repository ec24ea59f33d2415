"""What is in a file of packets: format, counts, gaps and times."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import DataError
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats import find_format
from labdaq.packet.guessing import Guess, guess_format
from labdaq.packet.ledger import Ledger
from labdaq.packet.pcap import PcapFile, is_pcap
from labdaq.packet.reading import opened, read
from labdaq.packet.sinks import Block

__all__ = ["SequenceSeen", "Survey", "survey"]

_MOST_GAPS = 10


@dataclass
class SequenceSeen:
    """One sequence of a file."""

    header: dict[str, Any]
    seq0: int
    time_tag: int
    frames: int = 0
    ticks: int = 0
    """From frame to frame."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Stretches of frames of which something is missing: first number and length."""

    def add(self, block: Block) -> None:
        """The next frames of it."""
        self.frames += len(block.data)
        for i in np.flatnonzero((~block.present).any(axis=1)):
            number = block.seq + int(i)
            if self.gaps and sum(self.gaps[-1]) == number:
                self.gaps[-1] = (self.gaps[-1][0], self.gaps[-1][1] + 1)
            else:
                self.gaps.append((number, 1))


@dataclass(frozen=True)
class Survey:
    """What :func:`survey` found; as text it says all of it."""

    path: Path
    kind: str
    nbytes: int
    format: PacketFormat
    nsrc: int
    src0: int
    others: tuple[str, ...]
    """Formats that fit, too."""
    sequences: tuple[SequenceSeen, ...]
    ledger: Ledger
    recorded_s: tuple[float, float] | None
    """When the first and last packet of a recording came, since 1970."""

    def __str__(self) -> str:
        also = f" (fits, too: {', '.join(self.others)})" if self.others else ""
        lines = [
            f"{self.path}: {self.kind}, {self.nbytes} bytes",
            f"format {self.format.full_name}{also}, nsrc={self.nsrc}, src0={self.src0}",
        ]
        if self.recorded_s is not None:
            first, last = self.recorded_s
            lines.append(f"recorded from {first:.6f} on for {last - first:.6f} s")
        lines += [self._of_sequence(sequence) for sequence in self.sequences]
        return "\n".join([*lines, str(self.ledger)])

    def _of_sequence(self, sequence: SequenceSeen) -> str:
        text = f"sequence from {sequence.seq0} on: {sequence.frames} frames, time tag {sequence.time_tag}"
        if self.format.ticks_per_second:
            text += f", {sequence.frames * sequence.ticks / self.format.ticks_per_second:.6f} s"
        shown = ", ".join(f"{first} (+{count})" for first, count in sequence.gaps[:_MOST_GAPS])
        more = f" and {len(sequence.gaps) - _MOST_GAPS} more" if len(sequence.gaps) > _MOST_GAPS else ""
        return text + (f"\n  incomplete frames: {shown}{more}" if sequence.gaps else "")


def survey(
    path: str | Path,
    packet_format: str | PacketFormat | None = None,
    *,
    nsrc: int | None = None,
    src0: int | None = None,
    port: int | None = None,
) -> Survey:
    """Read a file of packets or a recording of a network from end to end, and say what is in it.

    Parameters
    ----------
    path
        The file.
    packet_format, nsrc, src0
        Guessed from the first packets, if they are not given.
    port
        Of a recording: only what went to this port.

    Raises
    ------
    DataError
        When no format fits.
    ResourceError
        When the file cannot be read.
    """
    with opened(path) as file:
        kind = "recording of a network" if is_pcap(file) else "packets"
        guesses = guess_format(file, port)
        chosen = _choose(guesses, packet_format, nsrc, src0, str(path))
        options = {} if port is None else {"port": port}
        reading = read(file, chosen.format, nsrc=chosen.nsrc, src0=chosen.src0, rate=chosen.rate, **options)
        sequences: list[SequenceSeen] = []
        header: Any = None
        for block in reading:
            if block.header is not header:
                header = block.header
                ticks = int(header.get("ticks", 1))
                sequences.append(SequenceSeen(dict(header), block.seq, block.time_tag, ticks=ticks))
            sequences[-1].add(block)
    others = tuple(guess.format.full_name for guess in guesses if guess.format != chosen.format)
    recorded_s = _times(Path(path), port) if kind != "packets" else None
    nbytes = Path(path).stat().st_size
    return Survey(
        Path(path), kind, nbytes, chosen.format, chosen.nsrc, chosen.src0, others, tuple(sequences), reading.ledger,
        recorded_s,
    )  # fmt: skip


def _choose(
    guesses: list[Guess], packet_format: str | PacketFormat | None, nsrc: int | None, src0: int | None, path: str
) -> Guess:
    found = None if packet_format is None else find_format(packet_format)
    fitting = [guess for guess in guesses if found is None or guess.format.name == found.name]
    if not fitting and (found is None or nsrc is None):
        known = "" if found is None else f" {found.full_name!r}"
        raise DataError(f"{path}: not of a format{known} that is known; give format and nsrc, if you know them")
    base = fitting[0] if fitting else Guess(found, nsrc or 1, 0, None, 0.0)  # type: ignore[arg-type]
    return Guess(found or base.format, nsrc or base.nsrc, base.src0 if src0 is None else src0, base.rate, base.score)


def _times(path: Path, port: int | None) -> tuple[float, float] | None:
    """Of the datagrams of a recording."""
    first: int | None = None
    last = 0
    with opened(path) as file:
        source = PcapFile(file, port)
        while (batch := source.next_batch()) is not None:
            if batch.times_ns is not None and len(batch):
                first = int(batch.times_ns[0]) if first is None else first
                last = int(batch.times_ns[-1])
    return None if first is None else (first / 1e9, last / 1e9)
