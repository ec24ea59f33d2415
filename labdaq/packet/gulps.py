"""The open gulps: spans into which packets are placed, in order of their numbers, until they are handed out."""

import numpy as np
from numpy.typing import NDArray

from labdaq.packet import words as w
from labdaq.packet.batch import address_of
from labdaq.packet.describing import Description
from labdaq.packet.placing import close_gulp, move_on, open_gulp
from labdaq.packet.sinks import Gulp, Sink

__all__ = ["OpenGulps"]


class OpenGulps:
    """A window of gulps that moves on over the numbers of a sequence.

    Parameters
    ----------
    words
        Shared with the compiled loop: see :mod:`labdaq.packet.words`.
    sink
        Where gulps come from and go to.
    """

    def __init__(self, words: NDArray[np.int64], sink: Sink) -> None:
        self._words, self._sink = words, sink
        count, nsrc, self._frames = int(words[w.OPEN]), int(words[w.NSRC]), int(words[w.GULP])
        self.slots = np.zeros((count, 2), np.int64)
        """Addresses of data and ``present`` of each gulp, for the compiled loop."""
        words[w.SLOTS] = address_of(self.slots)
        self.missing = np.zeros(nsrc, np.int64)
        self._address = address_of(words)
        self.expected = 0
        """Frames that were closed."""
        self._gulps: list[Gulp | None] = [None] * count
        self._sequence: Description | None = None
        self._has_gap = False

    def begin(self, sequence: Description) -> None:
        """Begin with the first frame of a sequence."""
        words, first = self._words, sequence.setup.seq0
        words[w.FRAME_NBYTES : w.FRAME_NBYTES + 7] = sequence.layout.words()
        words[w.BEGIN] = words[w.NEXT] = first
        words[w.RUN] = words[w.HEAD] = 0
        self._sequence = sequence
        self._begin_in_sink(first)
        self._reserve_all()

    def _begin_in_sink(self, seq: int) -> None:
        if self._sequence is not None:
            self._sink.begin(self._sequence.at(seq), int(self._words[w.GULP]), len(self._gulps))
        self._has_gap = False

    def advance(self) -> None:
        """Hand out the oldest gulp, and open a new one behind the others."""
        self._close(self._slot(0), self._frames)
        slot = move_on(self._address)
        self._reserve(slot, (len(self._gulps) - 1) * self._frames)

    def hand_out(self, *, goes_on: bool) -> None:
        """All frames up to the last number that was seen. What lies behind it is given back first."""
        words, gulp = self._words, int(self._words[w.GULP])
        seen = int(words[w.NEXT] - words[w.BEGIN])
        frames = [min(max(seen - i * gulp, 0), gulp) for i in range(len(self._gulps))]
        for index in [i for i in reversed(range(len(frames))) if frames[i] == 0]:
            self._close(self._slot(index), 0)
        for index in [i for i in range(len(frames)) if frames[i]]:
            self._close(self._slot(index), frames[index])
        if goes_on:
            words[w.BEGIN] = words[w.NEXT]
            self._reserve_all()
        else:
            self._sink.end()

    def present(self) -> NDArray[np.int64]:
        """How many packets of each source are in open gulps."""
        count = np.zeros(len(self.missing), np.int64)
        for gulp in self._gulps:
            if gulp is not None:
                count += gulp.present.sum(axis=0, dtype=np.int64)
        return count

    def _slot(self, index: int) -> int:
        return int(self._words[w.HEAD] + index) % len(self._gulps)

    def _reserve_all(self) -> None:
        for index in range(len(self._gulps)):
            self._reserve(self._slot(index), index * self._frames)

    def _reserve(self, slot: int, ahead: int) -> None:
        """Room for a gulp that begins so many frames behind the oldest.

        After one without room, the frames of the ring would no longer follow the numbers: as soon as there is
        room again, they go on in another sequence of the ring, with its own time tag.
        """
        gulp = None if self._has_gap and any(self._gulps) else self._sink.reserve()
        if gulp is not None and self._has_gap:
            gulp.commit(0)
            self._sink.end()
            self._begin_in_sink(int(self._words[w.BEGIN]) + ahead)
            gulp = self._sink.reserve()
        self._gulps[slot] = gulp
        if gulp is None:
            self._has_gap = True
        else:
            open_gulp(self._address, slot, gulp.data, gulp.present)

    def _close(self, slot: int, frames: int) -> None:
        """Hand out the first frames of a gulp."""
        gulp, self._gulps[slot] = self._gulps[slot], None
        close_gulp(self._address, slot, frames, self.missing)
        self.expected += frames
        if gulp is not None:
            gulp.commit(frames)
