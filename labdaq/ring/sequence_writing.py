"""Writing sequences: one writer at a time, one sequence after the other, span after span."""

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import BusyError, ClosedError, LayoutError, SpanError
from labdaq.ring import recovery, sequence_table
from labdaq.ring import words as w
from labdaq.ring.blocking_steps import reserve
from labdaq.ring.control import end_of_claims
from labdaq.ring.layout import checked_plane, checked_plane_name, is_users
from labdaq.ring.participants import SLICE_NS, Participant, places
from labdaq.ring.sequence_table import Header
from labdaq.ring.spans import Form, Span, whole_frames
from labdaq.ring.tensor import Tensor
from labdaq.ring.writing_steps import commit, commit_short, describe_events

if TYPE_CHECKING:
    from labdaq.ring.core import RingCore
    from labdaq.ring.memory import Memory

__all__ = ["RingWriter", "WriteSequence", "WriteSpan", "unset_time_tag"]

unset_time_tag = -1
_TAKEN = "this span was taken away: the sequence has ended, or its process was thought dead"
_PlaneTypes = Mapping[str, DTypeLike | tuple[DTypeLike, Any]]


class RingWriter(Participant):
    """The only writer of a ring, from ``ring.begin_writing()``; a context manager.

    When it ends, writing has ended, and readers end after the last frame. The ring can be written again.
    """

    _role = w.EXCLUSIVE_WRITER
    _needs_memory = False

    def __init__(self, core: "RingCore") -> None:
        self._sequence: WriteSequence | None = None
        self._closed = True
        with core.control.locked():
            recovery.recover(core)
            _check_free(core)
            super().__init__(core, sequencer=core.control.writers)
            core.end(ended=False)

    def begin_sequence(
        self,
        name: str = "",
        time_tag: int = unset_time_tag,
        header: "Mapping[str, Any] | str | bytes | None" = None,
        *,
        tensor: "Mapping[str, Any] | Tensor | None" = None,
        planes: _PlaneTypes | None = None,
        timeout: float | None = None,
    ) -> "WriteSequence":
        """Begin a stretch of frames with one setup; a context manager.

        Parameters
        ----------
        name
            By which readers may open it.
        time_tag
            64-bit integer, of the first frame, in units of your choice; -1: none.
        header
            A mapping of JSON values, or JSON text (UTF-8) of one. ``sample_interval_ns``, ``units`` and
            ``channels`` are what plots and files look for.
        tensor
            The frame of this sequence in a ring of bytes: ``dtype`` (NumPy's, or ``ci4``, ``ci8`` …),
            ``shape``, and optionally ``labels``, ``scales``, ``units`` of its axes. All counts are then
            in such frames. Without it a frame is a byte, or the frame of the ring.
        planes
            Arrays that go along, one row per frame: name to dtype, or to (dtype, shape).
        timeout
            Seconds to wait for room in the table of sequences.

        Raises
        ------
        BusyError
            When a sequence is open already.
        LayoutError
            When header, tensor or planes are not right; nothing has begun then.
        """
        self._check_usable()
        if self._sequence is not None:
            raise BusyError(f"sequence {self._sequence.name!r} of ring {self._core.name!r} is open: end it first")
        self._note_thread()
        self._remap()  # where there is no memory yet, nothing begins
        form, frame_of = self._form_of(tensor)
        plane_types = self._declare_planes(planes or {}, form.frame, timeout)
        setup = {"name": str(name), "tensor": frame_of.to_dict() if frame_of else None, "planes": plane_types}
        texts = (_json(setup), Header.encode(header).tobytes())
        number = self._begin(texts, _checked_time_tag(time_tag), form.frame, timeout)
        self._remap()
        self._sequence = WriteSequence(self, number, form)
        return self._sequence

    def _form_of(self, description: "Mapping[str, Any] | Tensor | None") -> tuple[Form, Tensor | None]:
        if description is None:
            return Form(), None
        if self._core.is_typed:
            raise LayoutError(f"the frames of ring {self._core.name!r} have a dtype already: begin without a tensor")
        tensor = Tensor.parse(description)
        return Form(0, tensor.frame_nbytes, tensor.stored_dtype, tensor.stored_shape), tensor

    def _declare_planes(self, planes: _PlaneTypes, frame: int, timeout: float | None) -> list[str]:
        if not planes:
            return []
        memory = self._core.current_memory()
        rows = memory.capacity if self._core.is_typed else memory.capacity // frame + 2
        # all sequences with planes share the rows, so every plane needs as many as the smallest frame makes
        wanted = {name: (p.layout.dtype, p.layout.shape, rows) for name, p in memory.planes.items() if is_users(name)}
        for name, kind in planes.items():
            wanted[checked_plane_name(name)] = checked_plane(kind, rows)
        is_there = all(
            name in memory.planes
            and (memory.planes[name].layout.dtype, memory.planes[name].layout.shape) == plane[:2]
            and memory.planes[name].slots >= rows
            for name, plane in wanted.items()
        )
        if not is_there:
            self._core.resize(memory.contiguous, memory.capacity, memory.nringlet, planes=wanted, timeout=timeout)
        return list(planes)

    def _begin(self, texts: tuple[bytes, bytes], time_tag: int, frame: int, timeout: float | None) -> int:
        core = self._core

        def room(_address: int, _wait_ns: int) -> int:
            with core.control.locked():
                if not sequence_table.has_room(core.control, sum(map(len, texts))):
                    return w.AGAIN
                return sequence_table.begin(
                    core.control, self._place.number, texts, time_tag, frame, is_typed=core.is_typed
                )

        return self._wait(room, (), timeout, "beginning a sequence")

    def _end_sequence(self, number: int) -> None:
        core = self._core
        with core.control.locked():
            recovery.give_back_all(core, self._place)
            sequence_table.end(core.control, number)
        self._sequence = None

    def _remap(self) -> None:
        super()._remap()
        if self._sequence is not None:
            self._sequence._memory = self._memory

    def _reason(self) -> str:
        return self._core.who_holds()

    def _rebind(self) -> None:
        raise BusyError(
            f"ring {self._core.name!r} is being written by process {self._pid}, from which this one was forked"
        )

    def close(self) -> None:
        """End writing; an open sequence ends too."""
        if self._closed or self._pid != os.getpid():  # a forked child does not end what its parent writes
            self._closed = True
            return
        if self._sequence is not None:
            self._sequence.end()
        core = self._core
        with core.control.locked():
            core.end()
            super().close()


def _json(value: dict[str, Any]) -> bytes:
    import json

    return json.dumps(value).encode()


def _checked_time_tag(time_tag: Any) -> int:
    if not isinstance(time_tag, int | np.integer) or not -(1 << 63) <= time_tag < 1 << 63:
        raise LayoutError(f"time tag {time_tag!r} is no 64-bit integer")
    return int(time_tag)


def _check_free(core: "RingCore") -> None:
    """Only one writer of sequences, and none beside it."""
    writers = (w.WRITER, w.EXCLUSIVE_WRITER)
    holders = [place for place in places(core.control) if place[w.P_ROLE] in writers]
    if holders:
        names = ", ".join(place.label for place in holders)
        raise BusyError(f"ring {core.name!r} is being written by {names}: one writer of sequences at a time")


class WriteSequence:
    """A sequence while it is written; a context manager that ends it."""

    def __init__(self, writer: RingWriter, number: int, form: Form) -> None:
        setup = sequence_table.find(writer._core.control, number)
        if setup is None:
            raise SpanError(f"sequence {number} is no longer in the ring")
        form.begin, form.row = setup.begin, setup.row
        self._writer = writer
        self._number = number
        self._form = form
        self._frame = form.frame
        self._address = writer._address
        self._handle = writer._handle
        self._memory = writer._memory
        self._is_open = True
        self._is_events = writer._core.is_events
        self.name = setup.name
        self.time_tag = setup.time_tag
        self.header = setup.header
        self._planes = writer._memory.planes if writer._core.is_typed else setup.planes

    def reserve(self, nframe: int, timeout: float | None = None, *, nonblocking: bool = False) -> "WriteSpan":
        """Claim the next frames to write; a context manager that commits them.

        Left by an exception, the span is voided: nobody will read it.

        Parameters
        ----------
        nframe
            How many, at most the ring's contiguous size.
        timeout
            Seconds to wait for room; None waits for ever, 0 (or ``nonblocking``) does not wait.

        Raises
        ------
        SpanError
            When so many can never fit.
        WaitTimeoutError
            When readers still hold the room; nothing was changed.
        """
        count = nframe * self._frame
        if type(nframe) is not int or not 0 < count <= self._memory.contiguous or not self._is_open:
            count = self._checked(nframe)
        start = reserve(self._address, count, SLICE_NS if timeout is None and not nonblocking else 0)
        if start < 0:
            start = self._writer._wait(reserve, (count,), 0 if nonblocking else timeout, f"reserving {nframe} frames")
            if start < 0:
                raise ClosedError(f"ring {self._writer._core.name!r} was ended: begin_writing() again")
        return WriteSpan(self, start, start + count)

    def _checked(self, nframe: int) -> int:
        if not self._is_open:
            raise ClosedError(f"sequence {self.name!r} has ended")
        self._writer._check_usable()
        self._writer._remap()
        limit = self._memory.contiguous
        return whole_frames(nframe, self._frame, limit, "reserve", self._writer._core.name)

    @property
    def nframe(self) -> int:
        """Frames claimed so far."""
        return (end_of_claims(self._writer._core.control.writers) - self._form.begin) // self._frame

    def end(self) -> None:
        """End the sequence. Spans that are still open are voided."""
        if self._is_open:
            self._is_open = False
            if self._writer._pid == os.getpid():
                self._writer._end_sequence(self._number)

    def __enter__(self) -> "WriteSequence":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()


class WriteSpan(Span):
    """Frames being written."""

    __slots__ = ("_sequence",)
    _writable = True

    def __init__(self, sequence: WriteSequence, start: int, end: int) -> None:
        self._sequence = sequence
        self._start = start
        self._end = end
        self._is_open = True
        self._staged = None

    @property
    def _memory(self) -> "Memory":  # type: ignore[override]
        return self._sequence._memory

    @property
    def _form(self) -> Form:  # type: ignore[override]
        return self._sequence._form

    @property
    def _plane_names(self) -> Iterable[str]:
        return self._sequence._planes

    def commit(self, nframe: int | None = None) -> None:
        """Publish the first ``nframe`` frames, or all.

        The rest is given back to the ring if nothing was reserved behind it; else it is voided: filled
        with zeros, counted, and readers are told.

        Raises
        ------
        SpanError
            When ``nframe`` is more than the span has, or the ring cannot remember another hole.
        ClosedError
            When the span is over already, or was taken away after this process was thought dead.
        """
        self._check_open()
        kept = self._end
        if nframe is not None:
            if int(nframe) != nframe or not 0 <= nframe <= self.nframe:
                raise SpanError(f"commit({nframe!r}): the span has {self.nframe} frames")
            kept = self._start + int(nframe) * self._form.frame
        self._finish(kept)

    def void(self) -> None:
        """Give the whole span back, or void it: nobody will read it."""
        self._check_open()
        self._finish(self._start)

    def _finish(self, kept: int) -> None:
        self._check_sequence()
        if self._staged is not None and kept > self._start:
            self._write_back()
        if self._memory.uses is not None:
            self._memory.uses.end(self._start, self._end)
        writer = self._sequence._writer
        if self._sequence._is_events and kept > self._start:
            describe_events(writer._address, self._start, kept, -1, time.time_ns(), 0.0)
        if kept == self._end:
            done = commit(writer._address, self._start, kept)
        else:
            done = commit_short(writer._address, self._start, kept)
            if done == 0:
                self._void_rest(kept)
        self._is_open = False
        if done < 0:
            raise ClosedError(_TAKEN)

    def _check_sequence(self) -> None:
        """What was open when the sequence ended was given back, and may belong to the next one."""
        if not self._sequence._is_open:
            self._is_open = False
            raise ClosedError(_TAKEN)

    def _void_rest(self, kept: int) -> None:
        writer = self._sequence._writer
        if not recovery.void_rest(writer._core, writer._address, self._start, kept, self._end):
            raise SpanError(
                f"ring {writer._core.name!r} remembers {w.HOLE_SLOTS} stretches that were reserved and not filled, "
                "and cannot remember another: commit the whole span"
            )

    def __enter__(self) -> "WriteSpan":
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if self._is_open:
            sequence = self._sequence
            if kind is None and self._staged is None and sequence._is_open and not sequence._is_events:  # nearly all
                self._is_open = False
                if sequence._memory.uses is not None:
                    sequence._memory.uses.end(self._start, self._end)
                if commit(self._sequence._address, self._start, self._end) < 0:
                    raise ClosedError(_TAKEN)
            elif kind is None or self._sequence._is_open:
                self._finish(self._end if kind is None else self._start)
            else:
                self._is_open = False
