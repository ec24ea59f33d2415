"""Packets in memory: what every transport hands to the capture."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdaq.packet.placing import place

if TYPE_CHECKING:
    from labdaq.packet.format import PacketFormat

__all__ = ["Batch", "address_of", "headers_of"]


@dataclass
class Batch:
    """Packets one after the other in a row of bytes, each with its place and length.

    Examples
    --------
    >>> batch = Batch.of([b"abc", b"de"])
    >>> len(batch), batch.packet(1).tobytes()
    (2, b'de')
    """

    memory: NDArray[np.uint8]
    """Where the packets are."""
    offsets: NDArray[np.int64]
    """Where in it each begins."""
    lengths: NDArray[np.int64]
    """Bytes of each."""
    position: int = 0
    """How many were dealt with."""
    begin: int = 0
    """Where in its file the memory begins."""
    times_ns: NDArray[np.int64] | None = None
    """When each was recorded, since 1970, where that is known."""
    address: int = field(init=False, default=0)
    """Of the memory."""

    def __post_init__(self) -> None:
        self.address = address_of(self.memory)

    @classmethod
    def of(cls, packets: "ArrayLike | list[bytes]") -> "Batch":
        """From separate packets."""
        parts = [np.frombuffer(bytes(p), np.uint8) for p in packets]  # type: ignore[union-attr,arg-type]
        lengths = np.array([len(p) for p in parts], np.int64)
        memory = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        return cls(memory, np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def is_used_up(self) -> bool:
        """Whether all packets were dealt with."""
        return self.position >= len(self)

    def place(self, decoder: Any, words: int) -> None:
        """Place packets as :func:`labdaq.packet.placing.place` does, and keep the position."""
        self.position = place(self.address, self.offsets, self.lengths, self.position, len(self), decoder, words)

    def packet(self, index: int) -> NDArray[np.uint8]:
        """The bytes of one packet."""
        begin = int(self.offsets[index])
        return self.memory[begin : begin + int(self.lengths[index])]


def address_of(array: NDArray[Any]) -> int:
    """Where the memory of an array is, for compiled code."""
    return int(array.__array_interface__["data"][0])


def headers_of(packet_format: "PacketFormat", batch: Batch) -> NDArray[Any]:
    """The headers of all packets, zeros behind the end of those that are too short."""
    size = packet_format.header.itemsize
    parts = [batch.packet(i)[:size].tobytes().ljust(size, b"\0") for i in range(len(batch))]
    return np.frombuffer(b"".join(parts), packet_format.header)
