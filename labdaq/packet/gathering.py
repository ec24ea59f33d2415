"""The first packets of a sequence, held back until it is known how it begins. None of them is lost."""

import numpy as np
from numpy.typing import NDArray

from labdaq.packet import words as w
from labdaq.packet.batch import Batch, address_of
from labdaq.packet.decoding import compiled
from labdaq.packet.format import PacketFormat
from labdaq.packet.looking import decode_one

__all__ = ["Gathering"]

_MOST_NBYTES = 64 << 20


class Gathering:
    """Good packets at the beginning of a sequence.

    They may come in any order, so the first to come need not be the first in number; some formats
    need more than one to tell their rate; and values of each source are known once each has come.
    So twice as many as there are sources are awaited.

    Parameters
    ----------
    packet_format, nsrc, capturing
        The format, and the words that its decoder reads.
    must_learn
        Go on until the format can tell its rate, or 64 MiB are held.
    """

    def __init__(
        self, packet_format: PacketFormat, nsrc: int, capturing: NDArray[np.int64], *, must_learn: bool = False
    ) -> None:
        self._format, self._nsrc, self._capturing = packet_format, nsrc, capturing
        self._decoder = compiled(packet_format)
        self._must_learn = must_learn
        self._packets: list[bytes] = []
        self._sources: list[int] = []
        self._nbytes = 0
        self._next_try = 2 * nsrc + 2

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, packet: NDArray[np.uint8], source: int) -> bool:
        """Hold a packet. True when there are enough."""
        self._packets.append(packet.tobytes())
        self._sources.append(source)
        self._nbytes += len(packet)
        if len(self._packets) < self._next_try:
            return self._nbytes > _MOST_NBYTES
        self._next_try *= 2  # so that learning does not take longer than what is learnt from
        return not self._must_learn or self.rate() > 0 or self._nbytes > _MOST_NBYTES

    def rate(self) -> int:
        """What can be told from the packets; 0 if nothing."""
        if self._format.learn is None or not self._packets:
            return 0
        size = self._format.header.itemsize
        headers = np.frombuffer(b"".join(packet[:size] for packet in self._packets), self._format.header)
        return self._format.learn(headers, np.array(self._sources))

    def batch(self) -> Batch:
        """Everything that was held, in order."""
        return Batch.of(self._packets)

    def header(self, index: int) -> bytes:
        """The beginning of a packet."""
        return self._packets[index][: self._format.header.itemsize]

    def records(self) -> NDArray[np.int64]:
        """The packets as the decoder sees them now, a row each: see :mod:`labdaq.packet.words`."""
        records = np.zeros((len(self._packets), w.RECORD), np.int64)
        batch = self.batch()
        for index in range(len(batch)):
            packet = batch.packet(index)
            known, where = address_of(self._capturing), address_of(records) + index * records.strides[0]
            decode_one(self._decoder, address_of(packet), len(packet), known, where)
        return records

    def choose(self, records: NDArray[np.int64], window: int) -> tuple[int, NDArray[np.intp]]:
        """The packet that the sequence is made of, and all that agree with it: the first that is not alone."""
        key = [w.NBYTES, *range(w.VALUES, w.VALUES + len(self._format.setup))]
        for index, record in enumerate(records):
            near = np.abs(records[:, w.SEQ] - record[w.SEQ]) < window
            alike = np.flatnonzero(near & (records[:, key] == record[key]).all(axis=1))
            if len(alike) > 1:
                return index, alike
        return 0, np.zeros(1, np.intp)
