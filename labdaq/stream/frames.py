"""Chunks in the frames of a ring: the writer and the reader of rings, without what a stream has no use for.

The plane ``head`` of a frame says what is in it. It is packed and unpacked as bytes, and no object is made for an
event: at a hundred thousand chunks per second that is half of the work.
"""

import struct
from threading import get_ident
from typing import Any

from numpy.typing import NDArray

from labdaq.errors import ClosedError, LabdaqError
from labdaq.ring import Ring
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import reserve
from labdaq.ring.event_reading import EventReader
from labdaq.ring.event_writing import EventWriter
from labdaq.ring.participants import SLICE_NS
from labdaq.stream.chunk_steps import HEAD_NBYTES, publish_chunk

__all__ = ["HEAD_WORDS", "ChunkReader", "ChunkWriter", "Place"]

HEAD_WORDS = HEAD_NBYTES // 8
"""Sequence, index, time stamp, rows of the chunk, rows before this frame; the others are not used."""

_START = w.START >> 3
_HEAD = struct.Struct("=5q")
_TAKEN = "the memory of this stream was taken away: its process was thought dead"

Place = tuple[int, int, int, int, int]


class ChunkWriter(EventWriter):
    """Writes chunks into a ring, a frame for each."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(ring._core, "stream")
        data, heads = self._memory.data, self._memory.planes["head"]
        self._frames, self._slots = data.array, data.slots
        self._heads, self._head_slots = heads.array.data.cast("B"), heads.slots
        self._heads_address = heads.address

    def put_chunk(self, data: NDArray[Any], sequence: int, end: int, timestamp_ns: int, timeout: float | None) -> None:
        """Write a frame that is full: ``data`` has its dtype and shape.

        Raises
        ------
        WaitTimeoutError
            There was no room in time.
        """
        self._handle[_START] = -1
        try:
            frame = reserve(self._address, 1, SLICE_NS if timeout is None else 0)
            if frame < 0:
                frame = self._claim(1, timeout)
            self._frames[frame % self._slots] = data
            head = self._heads_address + frame % self._head_slots * HEAD_NBYTES
            done = publish_chunk(self._address, frame, head, sequence, end, timestamp_ns, len(data), 0)
        except LabdaqError:
            raise
        except BaseException:
            self._give_up()
            raise
        if done < 0:
            raise ClosedError(_TAKEN)

    def set_head(self, frame: int, place: Place) -> None:
        """Say what is in a frame that was reserved."""
        _HEAD.pack_into(self._heads, frame % self._head_slots * HEAD_NBYTES, *place)


class ChunkReader(EventReader):
    """Reads chunks from a ring, each frame once; the one before is released then."""

    def __init__(self, ring: Ring, ahead: int) -> None:
        super().__init__(ring._core, None, "stream")
        self.ahead = ahead
        data, heads = self._memory.data, self._memory.planes["head"]
        self._frames, self._slots = data.frozen, data.slots
        self._heads, self._head_slots = heads.frozen.data.cast("B"), heads.slots

    def next_frame(self, timeout: float) -> tuple[Place, NDArray[Any]] | None:
        """What is in the next frame, and the frame: a view that is valid until the next call.

        None at the end of the ring.

        Raises
        ------
        WaitTimeoutError
            None came in time.
        """
        if get_ident() != self._thread:
            self._check_thread()
        while True:
            while self._next < self._claim_end:
                frame = self._next
                self._next = frame + 1
                if not self._flags[frame % self._flag_slots]:
                    place = _HEAD.unpack_from(self._heads, frame % self._head_slots * HEAD_NBYTES)
                    return place, self._frames[frame % self._slots]
            if self._is_claimed:
                self._finish()
            if not self._claim(1, self.ahead, timeout):
                return None
