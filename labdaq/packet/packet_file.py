"""Recorded packets: one after the other in a file, without anything between them."""

import io
import os
import stat
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, ResourceError
from labdaq.packet import file_reading as r
from labdaq.packet import words as w
from labdaq.packet.batch import Batch, address_of
from labdaq.packet.decoding import compiled
from labdaq.packet.format import PacketFormat

__all__ = ["PacketFile"]

_MEMORY = 4 << 20
_PIECE = 512 << 10
_MOST_PACKETS = 1 << 15


class _Pieces(Batch):
    """The packets of one piece of a file after the other, in the same memory."""

    def __init__(self, file: Any, nsrc: int, src0: int, packet_nbytes: int) -> None:
        self._places = np.zeros(_MOST_PACKETS, np.int64), np.zeros(_MOST_PACKETS, np.int64)
        super().__init__(np.zeros(_MEMORY, np.uint8), self._places[0][:0], self._places[1][:0])
        self._file = file
        self.is_on_disk = r.CAN_READ and _is_on_disk(file)
        self._known = np.array([nsrc, src0, 0, 0], np.int64)
        self._record = np.zeros(w.RECORD, np.int64)
        self._result = np.zeros(3, np.int64)
        self.control = np.zeros(r.WORDS, np.int64)
        words = {
            r.FILE: -1, r.AT: _tell(file), r.ROOM: _MEMORY, r.FIXED: packet_nbytes,
            r.KNOWN: address_of(self._known), r.RECORD: address_of(self._record),
        }  # fmt: skip
        for word, value in words.items():
            self.control[word] = value

    def next(self, decoder: Any) -> int:
        """Find the packets of the next piece; how many there are. 0: more has to be read; -1: there are no more."""
        count = r.next_piece(*self._arguments(), decoder)
        self.position = 0
        self._note()
        return int(count)

    def place(self, decoder: Any, words: int) -> None:
        """Place packets, those of the following pieces, too, if compiled code can read them."""
        if not self.is_on_disk:
            super().place(decoder, words)
            return
        self.position = r.read_and_place(*self._arguments(), self.position, decoder, words)
        self._note()

    def _arguments(self) -> tuple[int, int, Any, Any, Any]:
        if self.is_on_disk:
            self.control[r.FILE] = self._file.fileno()  # which refuses files that were closed
        return address_of(self.control), self.address, *self._places, self._result

    def _note(self) -> None:
        """What compiled code found, and what it met with."""
        self.begin, count = int(self.control[r.AT]), int(self.control[r.COUNT])
        self.offsets, self.lengths = self._places[0][:count], self._places[1][:count]
        failure, self.control[r.ERROR] = int(self.control[r.ERROR]), 0
        if failure:
            raise ResourceError.of(OSError(failure, os.strerror(failure)), "reading packets")

    def go_on_at(self, at: int) -> None:
        """Forget what was read, and go on elsewhere in the file."""
        self.control[r.AT] = at
        self.control[[r.BEGIN, r.END, r.OVER, r.COUNT]] = 0
        self.position = 0
        self._note()


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
        self._batch = _Pieces(file, nsrc, src0, packet_format.nbytes or 0)

    def next_batch(self) -> Batch | None:
        """The packets of the next part of the file; None at its end."""
        count = 0
        while count == 0:
            if not self._batch.is_on_disk:
                self._read()
            count = self._batch.next(self._decoder)
        return self._batch if count > 0 else None

    def _read(self) -> None:
        """More of a file that only Python can read, behind what is left of the memory."""
        control, memory = self._batch.control, self._batch.memory
        begin, end = int(control[r.BEGIN]), int(control[r.END])
        left = end - begin
        memory[:left] = memory[begin:end].copy()
        control[r.AT] += begin
        control[r.BEGIN], control[r.END] = 0, left
        room = memory[left : left + _PIECE]
        if control[r.OVER] or not len(room):
            return
        try:
            count = (self._file.readinto(room) if self._can_fill else self._copy_into(room)) or 0
        except OSError as error:
            raise ResourceError.of(error, "reading packets") from error
        control[r.OVER] = not count
        control[r.END] += count

    def _copy_into(self, room: NDArray[np.uint8]) -> int:
        part = self._file.read(len(room))
        room[: len(part)] = np.frombuffer(part, np.uint8)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on elsewhere in the file; the new position."""
        if whence == os.SEEK_CUR:
            offset, whence = offset + self.tell(None), os.SEEK_SET
        at = int(self._file.seek(offset, whence))
        self._batch.go_on_at(at)
        return at

    def tell(self, batch: Batch | None) -> int:
        """Where in the file the next packet of a batch begins, or that of the next batch."""
        if batch is not None and not batch.is_used_up:
            return batch.begin + int(batch.offsets[batch.position])
        return int(self._batch.control[r.AT] + self._batch.control[r.BEGIN])

    def counters(self) -> dict[str, int | None]:
        """What was no packet."""
        control = self._batch.control
        trailing = int(control[r.END] - control[r.BEGIN]) if control[r.OVER] else 0
        return {"kernel_drops": 0, "trailing_nbytes": trailing, "skipped_nbytes": int(control[r.SKIPPED])}

    def close(self) -> None:
        """The file belongs to who opened it."""


def _tell(file: Any) -> int:
    try:
        return int(file.tell())
    except (OSError, io.UnsupportedOperation):  # a pipe
        return 0


def _is_on_disk(file: Any) -> bool:
    """Whether this is a file of the disk as it is, and not one that Python decompresses or makes up."""
    raw = file.raw if type(file) is io.BufferedReader else file
    return type(raw) is io.FileIO and raw.readable() and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
