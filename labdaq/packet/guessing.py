"""Which format packets are of, by what is in them."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.packet import words as w
from labdaq.packet.batch import Batch, address_of, headers_of
from labdaq.packet.decoding import compiled
from labdaq.packet.disk_reader import open_file
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats import find_format, format_names
from labdaq.packet.looking import decode_one
from labdaq.packet.pcap import PcapFile, is_pcap

__all__ = ["Guess", "guess_format"]

_LOOKED_AT = 1 << 20  # bytes
_MOST_PACKETS = 512
_ANY = 1 << 20  # sources, when it is not known how many there are
_NEAR = 64
_ENOUGH = 0.25


@dataclass(frozen=True)
class Guess:
    """A format that packets may be of."""

    format: PacketFormat
    nsrc: int
    src0: int
    rate: int | None
    """For formats that learn it."""
    score: float
    """0 to 1: the part of what was looked at that is packets of it, in an order that makes sense."""


def guess_format(file: BinaryIO, port: int | None = None) -> list[Guess]:
    """The formats that the beginning of a file fits, the likeliest first; leaves the file where it was.

    Parameters
    ----------
    file
        Open for reading bytes: of packets, or a recording of a network.
    port
        Of a recording: only what went to this port.

    Examples
    --------
    >>> import io
    >>> packets = b"".join(bytes([0, 0, 0, 0, 0, 0, 0, n]) + bytes(8192) for n in range(9))
    >>> guess_format(io.BytesIO(packets))[0].format.name
    'simple'
    """
    place = file.tell()
    is_recorded = is_pcap(file)
    start = b"" if is_recorded else file.read(_LOOKED_AT)
    guesses = []
    for name in [*format_names(), "ibeam2", "ibeam3", "ibeam4"]:
        candidate = find_format(name) if is_recorded else _with_length(find_format(name), start)
        if candidate is None:
            continue
        file.seek(place)
        guess = _look(candidate, file, port)
        if guess is not None and guess.score >= _ENOUGH:
            guesses.append(guess)
    file.seek(place)
    best = max((guess.score for guess in guesses), default=0.0)
    return sorted((guess for guess in guesses if guess.score > best / 2), key=lambda guess: -guess.score)


def _with_length(packet_format: PacketFormat, start: bytes) -> PacketFormat | None:
    """For packets that do not say how long they are: until the first four bytes come again, or eight."""
    if packet_format.payload is not None:
        return packet_format
    size = packet_format.header.itemsize
    again = start.find(start[:8] if start[:4] == bytes(4) else start[:4], size)
    number, rest = divmod(again - size, packet_format.unit or 1)
    return packet_format.sized(number) if 0 < number < 1 << 16 and rest == 0 else None


def _look(packet_format: PacketFormat, file: BinaryIO, port: int | None) -> Guess | None:
    transport = open_file(packet_format, file, _ANY, 0, port)
    batch = transport.next_batch()
    if batch is None:
        return None
    passed = 0 if isinstance(transport, PcapFile) else int(batch.offsets[0])
    batch = Batch(batch.memory, batch.offsets[:_MOST_PACKETS], batch.lengths[:_MOST_PACKETS])
    headers = headers_of(packet_format, batch)
    nsrc, src0 = packet_format.survey(headers) if packet_format.survey else (_ANY, 0)
    rate = 0
    good, records = _decoded(packet_format, batch, nsrc, src0, rate)
    if packet_format.learn is not None and good.any():
        rate = packet_format.learn(headers[good], records[good, w.SRC])
        good, records = _decoded(packet_format, batch, nsrc, src0, rate)
    good &= (records[:, w.SRC] >= 0) & (records[:, w.SRC] < min(nsrc, 1 << 12))
    if not good.any():
        return None
    nbytes = int(batch.lengths.sum()) + passed
    score = float(batch.lengths[good].sum()) / nbytes * _sense(records[good])
    if packet_format.survey is None:
        nsrc = 1 if packet_format.is_alone else int(records[good, w.SRC].max()) + 1
    return Guess(packet_format, nsrc, src0, rate or None, score)


def _decoded(
    packet_format: PacketFormat, batch: Batch, nsrc: int, src0: int, rate: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which packets are good, and what the decoder sees in each."""
    known = np.array([nsrc, src0, 0, rate], np.int64)
    records = np.zeros((len(batch), w.RECORD), np.int64)
    decoder, good = compiled(packet_format), np.zeros(len(batch), np.bool_)
    for i in range(len(batch)):
        address, where = batch.address + int(batch.offsets[i]), address_of(records) + i * records.strides[0]
        good[i] = decode_one(decoder, address, int(batch.lengths[i]), address_of(known), where) == 0
    return good, records


def _sense(records: NDArray[np.int64]) -> float:
    """The part of the packets whose numbers are near those before, and are not all the same.

    What reads the bytes of another format finds numbers that leap, or stand still.
    """
    if len(records) < 2:
        return _ENOUGH
    steps = np.diff(records[:, w.SEQ])
    near = float(np.mean(np.abs(steps) <= _NEAR))
    frames, sources = len(np.unique(records[:, w.SEQ])), len(np.unique(records[:, w.SRC]))
    return near * min(1.0, frames * sources / len(records))
