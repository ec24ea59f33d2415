"""Recorded packets: one after the other in a file, without anything between them."""

import io
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet import words as w
from labdaq.packet.batch import Batch, address_of
from labdaq.packet.decoding import compiled
from labdaq.packet.format import PacketFormat
from labdaq.packet.looking import find_packets

__all__ = ["PacketFile"]

_CHUNK = 4 << 20
_PIECE = 512 << 10  # which stays in the cache of a core until it is placed
_MOST_PACKETS = 1 << 15


class PacketFile:
    """A file of packets of one format.

    Parameters
    ----------
    packet_format
        Says how long packets are, or their headers do.
    file
        Open for reading bytes, at the first packet.
    nsrc, src0
        As for the capture.

    Raises
    ------
    LayoutError
        When neither format nor headers say how long packets are.
    """

    is_live = False

    def __init__(self, packet_format: PacketFormat, file: BinaryIO, *, nsrc: int, src0: int = 0) -> None:
        if packet_format.payload is None:
            raise LayoutError(
                f"packets of {packet_format.name!r} do not say how long they are: give the number of channels, as "
                f"in {packet_format.name}_32"
            )
        self._file: Any = file
        self._can_fill = hasattr(file, "readinto")
        self._decoder = compiled(packet_format)
        self._fixed = packet_format.nbytes or 0
        self._memory = np.empty(_CHUNK, np.uint8)
        self._known = np.array([nsrc, src0, 0, 0], np.int64)
        self._record = np.zeros(w.RECORD, np.int64)
        self._offsets, self._lengths = np.empty(_MOST_PACKETS, np.int64), np.empty(_MOST_PACKETS, np.int64)
        self._result = np.zeros(3, np.int64)
        self._begin = self._end = 0  # what of the memory was not handed out
        self._at = _tell(file)  # where in the file the memory begins
        self._is_over = False
        self._skipped = 0

    def next_batch(self) -> Batch | None:
        """The packets of the next part of the file; None at its end."""
        while not (self._is_over and self._begin >= self._end):
            self._read()
            result = self._result
            count = find_packets(
                address_of(self._memory), self._begin, self._end, self._decoder, address_of(self._known),
                address_of(self._record), self._is_over, self._fixed,
                self._offsets, self._lengths, result,
            )  # fmt: skip
            was_stuck = result[0] == self._begin and count == 0
            self._begin = int(result[0])
            self._skipped += int(result[1])
            if count:
                return Batch(self._memory, self._offsets[:count], self._lengths[:count], begin=self._at)
            if self._is_over and was_stuck:
                return None
        return None

    def _read(self) -> None:
        """More of the file, behind what is left of the memory."""
        left = self._end - self._begin
        if self._begin:
            self._memory[:left] = self._memory[self._begin : self._end].copy()
            self._at += self._begin
            self._begin, self._end = 0, left
        room = self._memory[left : left + _PIECE]
        if self._is_over or not len(room):
            return
        try:
            count = self._file.readinto(room) if self._can_fill else self._copy_into(room)
        except OSError as error:
            raise ResourceError.of(error, "reading packets") from error
        self._is_over = not count
        self._end += count or 0

    def _copy_into(self, room: NDArray[np.uint8]) -> int:
        part = self._file.read(len(room))
        room[: len(part)] = np.frombuffer(part, np.uint8)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on elsewhere in the file; the new position."""
        if whence == os.SEEK_CUR:
            offset, whence = offset + self.tell(None), os.SEEK_SET
        self._at = self._file.seek(offset, whence)
        self._begin = self._end = 0
        self._is_over = False
        return self._at

    def tell(self, batch: Batch | None) -> int:
        """Where in the file the next packet of a batch begins, or that of the next batch."""
        if batch is not None and not batch.is_used_up:
            return batch.begin + int(batch.offsets[batch.position])
        return self._at + self._begin

    def counters(self) -> dict[str, int | None]:
        """What was no packet."""
        trailing = self._end - self._begin if self._is_over else 0
        return {"kernel_drops": 0, "trailing_nbytes": trailing, "skipped_nbytes": self._skipped}

    def close(self) -> None:
        """The file belongs to who opened it."""


def _tell(file: Any) -> int:
    try:
        return int(file.tell())
    except (OSError, io.UnsupportedOperation):  # a pipe
        return 0
