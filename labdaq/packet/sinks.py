"""Where gulps come from and go to: the spans of a ring, or plain arrays."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import WaitTimeoutError
from labdaq.packet.describing import Description
from labdaq.ring import Ring, RingWriter, WriteSequence

__all__ = ["Block", "BlockSink", "Gulp", "RingSink", "Sink"]

_SLICE_S = 0.1


@dataclass
class Gulp:
    """Frames to be filled: memory for data and for the mask, and what to do with them afterwards."""

    data: NDArray[np.uint8]
    """All bytes of the frames."""
    present: NDArray[np.uint8]
    """(frame, source): 1 where a packet came; what is in it before does not matter."""
    commit: Callable[[int], None]
    """Hand out the first frames; none with 0."""


class Sink(Protocol):
    """What a capture writes to."""

    def begin(self, sequence: Description, frames: int, gulps: int) -> None:
        """Begin a sequence: frames of a gulp, and how many gulps are open at a time."""

    def reserve(self) -> Gulp | None:
        """The next gulp, or None when there is no room."""

    def end(self) -> None:
        """End the sequence, if there is one."""

    def close(self) -> None:
        """End writing."""


class RingSink:
    """Spans of sequences of a ring of bytes.

    Parameters
    ----------
    ring
        It is given the room that gulps need of the frames that really come.
    is_live
        A live source cannot wait for readers: without room, :meth:`reserve` returns None at once.
    gulps
        For how many there is room, those that are open included: how long readers may be busy.
    """

    def __init__(self, ring: Ring, *, is_live: bool, gulps: int = 4) -> None:
        self._ring, self._room = ring, gulps
        self._is_live = is_live
        self._writer: RingWriter | None = ring.begin_writing()
        self._sequence: WriteSequence | None = None
        self._frames = 0
        self.is_stopped: Callable[[], bool] = lambda: False

    def begin(self, sequence: Description, frames: int, gulps: int) -> None:
        """Begin a sequence with a ``present`` plane."""
        self.end()
        tensor, nsrc = sequence.layout.tensor, sequence.setup.nsrc
        span = frames * tensor.frame_nbytes
        self._ring.resize(span, max(self._room, gulps + 2) * span)
        if self._writer is None:
            self._writer = self._ring.begin_writing()
        self._sequence = self._writer.begin_sequence(
            sequence.name, sequence.time_tag, sequence.header, tensor=tensor, planes={"present": (np.uint8, (nsrc,))}
        )
        self._frames = frames

    def reserve(self) -> Gulp | None:
        """A span; for recorded packets waits until readers have made room for it."""
        if self._sequence is None:
            return None
        while True:
            try:
                span = self._sequence.reserve(self._frames, timeout=0 if self._is_live else _SLICE_S)
            except WaitTimeoutError:
                if self._is_live or self.is_stopped():
                    return None
                continue
            return Gulp(span.data_view(np.uint8), span.planes["present"], span.commit)

    def end(self) -> None:
        """End the sequence."""
        if self._sequence is not None:
            self._sequence.end()
            self._sequence = None

    def close(self) -> None:
        """End the sequence and writing."""
        self.end()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass(frozen=True)
class Block:
    """Frames that were read from a file, without a ring."""

    header: dict[str, Any]
    """What the sequence is: ``nsrc``, ``seq0``, and the fields of its format."""
    time_tag: int
    """Of the first frame of this block."""
    seq: int
    """Its number."""
    data: NDArray[Any] = field(repr=False)
    """(frame, …) as the format lays frames out; zeros where nothing came."""
    present: NDArray[np.bool_] = field(repr=False)
    """(frame, source): where a packet came."""


class BlockSink:
    """Arrays, collected in :attr:`blocks`."""

    def __init__(self) -> None:
        self.blocks: deque[Block] = deque()
        self._sequence: Description | None = None
        self._frames = self._done = 0

    def begin(self, sequence: Description, frames: int, gulps: int) -> None:  # noqa: ARG002 - as many as are wanted
        """Begin with a sequence."""
        self._sequence, self._frames, self._done = sequence, frames, 0

    def reserve(self) -> Gulp | None:
        """New memory; there is always room."""
        sequence = self._sequence
        if sequence is None:
            return None
        data = np.empty(self._frames * sequence.layout.tensor.frame_nbytes, np.uint8)
        present = np.empty((self._frames, sequence.setup.nsrc), np.uint8)
        return Gulp(data, present, lambda frames: self._keep(sequence, data, present, frames))

    def _keep(self, sequence: Description, data: NDArray[np.uint8], present: NDArray[np.uint8], frames: int) -> None:
        if frames == 0:
            return
        tensor = sequence.layout.tensor
        shaped = data[: frames * tensor.frame_nbytes].view(tensor.stored_dtype).reshape(frames, *tensor.stored_shape)
        tag = sequence.time_tag + self._done * sequence.setup.ticks
        seq = sequence.setup.seq0 + self._done
        self.blocks.append(Block(sequence.header, tag, seq, shaped, present[:frames].view(np.bool_)))
        self._done += frames

    def end(self) -> None:
        """End the sequence."""
        self._sequence = None

    def close(self) -> None:
        """Nothing to be done."""
