"""Spans of a sequence that is read: guarded by a claim, or observed and looked at again afterwards."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import ClosedError
from labdaq.ring import sequence_table
from labdaq.ring import words as w
from labdaq.ring.layout import DATA, FLAGS_PLANE
from labdaq.ring.observing_steps import count_torn, note_seen
from labdaq.ring.reading_steps import release
from labdaq.ring.spans import Array, Form, Span

if TYPE_CHECKING:
    from labdaq.ring.memory import Memory
    from labdaq.ring.sequence_reading import ReadSequence

__all__ = ["ObservedSpan", "ReadSpan"]


class ReadSpan(Span):
    """Frames being read. Its arrays are read-only."""

    __slots__ = ("_sequence", "_skipped")
    _writable = False

    def __init__(self, sequence: "ReadSequence", start: int, end: int, skipped: int) -> None:
        self._sequence = sequence
        self._start = start
        self._end = end
        self._skipped = skipped
        self._is_open = True
        self._staged = None

    @property
    def _memory(self) -> "Memory":  # type: ignore[override]
        return self._sequence._reader._memory

    @property
    def _form(self) -> Form:  # type: ignore[override]
        return self._sequence._form

    @property
    def _plane_names(self) -> Iterable[str]:
        is_typed = self._sequence._reader._core.is_typed
        return self._memory.planes if is_typed else self._sequence._setup.planes

    @property
    def nframe_skipped(self) -> int:
        """Frames before this span that were gone before they could be read."""
        return self._skipped // self._form.frame

    @property
    def nframe_overwritten(self) -> int:
        """Frames of this span that were lost while it was read: never any with a guarantee."""
        return 0

    @property
    def nframe_voided(self) -> int:
        """Frames of this span that hold zeros because their writer claimed and never filled them."""
        flags = self._memory.planes.get(FLAGS_PLANE)
        if flags is not None:
            parts = flags.parts(self._start, self._end - self._start, writable=False)
            return sum(int((part != 0).sum()) for part in parts)
        holes = sequence_table.logged_holes(self._sequence._reader._core.control, self._start, self._end)
        frame, begin = self._form.frame, self._form.begin
        hit = {n for a, b in holes for n in range((a - begin) // frame, -(-(b - begin) // frame))}
        return len(hit)

    def release(self) -> None:
        """Let writers have the frames again. Twice is allowed."""
        if self._is_open:
            self._is_open = False
            if self._memory.uses is not None:
                self._memory.uses.end(self._start, self._end)
            if release(self._sequence._reader._address, self._start) < 0:
                raise ClosedError("this span was taken away: its reader was closed, or its process thought dead")

    def __enter__(self) -> "ReadSpan":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()


class ObservedSpan(ReadSpan):
    """Frames that nobody keeps for this reader: a checked copy, or a view to be checked after use."""

    __slots__ = ("_copies", "_held", "_torn")

    def __init__(self, sequence: "ReadSequence", start: int, end: int, skipped: int) -> None:
        super().__init__(sequence, start, end, skipped)
        self._copies: tuple[int, dict[str, Array]] | None = None
        self._held = sequence._reader._memory
        self._torn = 0

    @property
    def _memory(self) -> "Memory":  # type: ignore[override]
        return self._held

    @property
    def nframe_overwritten(self) -> int:
        """Frames of this span that were lost while it was read.

        Of a copy (the default) they were taken off its beginning. In a view (``copy=False``) so many of
        its first frames are no longer what they were; of a ring of a GPU, this waits for the thread's stream.
        """
        if self._copies is not None:
            return self._torn
        self._held.finish_reading()  # a stream may read later what is looked at now
        reader = self._sequence._reader
        if reader._core.control[w.GENERATION] != self._held.generation:
            return self.nframe
        return -(-count_torn(reader._address, self._start, self._end) // self._form.frame)

    def keep(self) -> "ObservedSpan":
        """Copy the frames, then take those off its beginning that were written over meanwhile."""
        if self._copies is None:
            copies = {name: np.array(self._plane_view(name)) for name in self.planes}
            uses = self._held.uses
            copies[DATA] = np.array(super()._raw()) if uses is None else uses.fences.device.to_host(super()._raw())
            self._torn = self.nframe_overwritten
            self._copies = (self._start, copies)
            self._start += self._torn * self._form.frame
        return self

    def data_view(self, dtype: DTypeLike = np.uint8, shape: Any = None) -> Array:
        """See :meth:`Span.data_view`; of the copy, where there is one."""
        return super().data_view(dtype, shape) if self._copies is None else self._view_as(dtype, shape)

    def _raw(self) -> Array:
        if self._copies is None:
            return super()._raw()
        start, copies = self._copies
        raw = copies[DATA]
        return raw[:, self._start - start :] if self._held.nringlet > 1 else raw[self._start - start :]

    def _plane_view(self, name: str) -> Array:
        if self._copies is None:
            return super()._plane_view(name)
        start, copies = self._copies
        return copies[name][(self._start - start) // self._form.frame :]

    def _check_open(self) -> None:
        if self._copies is None:
            super()._check_open()

    def release(self) -> None:
        """Note what was seen. A copy stays good."""
        if self._is_open:
            lost = self.nframe_overwritten
            self._is_open = False
            note_seen(self._sequence._reader._address, self._end, self.nframe, 0, lost)
