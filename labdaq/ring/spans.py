"""Spans: stretches of frames in the memory of a ring, while they are being written or read.

A span is a window, not a copy. Arrays taken from it show ring memory: after a span was committed or
released, what they show may change (they stay safe to touch), and the span itself refuses to give more.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labdaq.errors import ClosedError, LayoutError, NotFoundError, SpanError
from labdaq.native.cuda import is_on_device
from labdaq.ring.layout import DATA, checked_dtype, is_users

if TYPE_CHECKING:
    from labdaq.ring.memory import Memory, Plane

__all__ = ["Form", "PlaneViews", "Span"]

Array = NDArray[Any]


class Form:
    """How frames of a sequence, or of a whole ring, look: their dtype, shape and place in the planes.

    Attributes
    ----------
    begin
        First frame of the ring that has this form.
    frame
        Ring frames per frame: more than 1 only in rings of bytes.
    dtype, shape
        Of one frame in views; None for the ring's own.
    row
        Row of the planes that belongs to ``begin``.
    """

    __slots__ = ("begin", "dtype", "frame", "is_native", "row", "shape")

    def __init__(
        self,
        begin: int = 0,
        frame: int = 1,
        dtype: np.dtype[Any] | None = None,
        shape: tuple[int, ...] = (),
        row: int = 0,
    ) -> None:
        self.begin, self.frame, self.row = begin, frame, row
        self.is_native = dtype is None
        self.dtype = dtype if dtype is not None else np.dtype("u1")
        self.shape = shape

    def view(self, raw: Array) -> Array:
        """Frames of the ring as frames of this form. Ringlets stay in front."""
        if self.is_native:
            return raw
        if (
            self.dtype.names and self.dtype.fields and is_on_device(raw)
        ):  # arrays of GPUs have no records: their parts are a last axis
            number, parts = self.dtype.fields[self.dtype.names[0]][0], len(self.dtype.names)
            return raw.view(number).reshape(*raw.shape[:-1], -1, *self.shape, parts)
        typed = raw.view(self.dtype)
        return typed.reshape(*raw.shape[:-1], -1, *self.shape)


NATIVE = Form()
"""The ring's own frames, from its first on."""


class PlaneViews(Mapping[str, Array]):
    """The planes of a span by name: one value, or one row, per frame."""

    def __init__(self, span: "Span", names: tuple[str, ...]) -> None:
        self._span = span
        self._names = names

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise NotFoundError(f"no plane {name!r}; there are: {', '.join(self._names) or 'none'}")
        return self._span._plane_view(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Span:
    """A stretch of frames: what the spans of readers, writers and observers share."""

    # Spans are made for every hand-over of data: they keep little, and ask their makers for the rest.
    __slots__ = ("_end", "_is_open", "_staged", "_start")

    _start: int
    _end: int
    _is_open: bool
    _memory: "Memory"
    _form: Form
    _writable: bool
    _staged: "dict[str, tuple[Plane, int, Array]] | None"

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError("this span is over: its frames belong to the ring again; copy what you want to keep")

    @property
    def _plane_names(self) -> Iterable[str]:
        return self._memory.planes

    # -------------------------------------------------------------------------------- where it is

    @property
    def nframe(self) -> int:
        """Number of frames."""
        return (self._end - self._start) // self._form.frame

    def __len__(self) -> int:
        return self.nframe

    @property
    def size(self) -> int:
        """Bytes (of each ringlet)."""
        return (self._end - self._start) * self._memory.data.frame_nbytes

    @property
    def frame_offset(self) -> int:
        """Number of the first frame, counted from the beginning of its sequence."""
        return (self._start - self._form.begin) // self._form.frame

    @property
    def index(self) -> int:
        """The ring's own number of the first frame."""
        return self._start

    # -------------------------------------------------------------------------------- what is in it

    @property
    def parts(self) -> list[Array]:
        """The one or two arrays of the ring's own frames that make up the span, without any copy."""
        self._check_open()
        return self._memory.data.parts(self._start, self._end - self._start, writable=self._writable)

    def _raw(self) -> Array:
        """The ring's own frames in one array."""
        if not self._is_open:
            self._check_open()
        plane = self._memory.data
        slot = self._start % plane.slots
        end = slot + self._end - self._start
        if plane.is_mirrored or end <= plane.slots:
            array = plane.array if self._writable else plane.frozen
            return array[slot:end] if self._memory.nringlet == 1 else array[:, slot:end]
        return self._stage(DATA, plane, self._start, self._end - self._start)

    def _stage(self, name: str, plane: "Plane", start: int, count: int) -> Array:
        """A copy of a stretch that wraps, where memory cannot be mirrored; writers copy it back."""
        staged = self._staged
        if staged is None:
            staged = self._staged = {}
        if name not in staged:
            parts = plane.parts(start, count, writable=False)
            staged[name] = (plane, start, np.concatenate(parts, axis=1 if plane.layout.lanes > 1 else 0))
            if isinstance(staged[name][2], np.ndarray):
                staged[name][2].flags.writeable = self._writable
        elif self._memory.uses is not None:
            self._memory.uses.join()  # it may have been made on another stream,
            plane.parts(start, count, writable=False)  # and is copied back after this one, too
        array: Array = staged[name][2]
        return array

    def _write_back(self) -> None:
        if self._staged and self._memory.uses is not None:
            self._memory.uses.join()
        for plane, start, array in (self._staged or {}).values():
            first, second = plane.parts(start, array.shape[1 if plane.layout.lanes > 1 else 0], writable=True)
            axis = 1 if plane.layout.lanes > 1 else 0
            first[...], second[...] = np.split(array, [first.shape[axis]], axis=axis)

    @property
    def data(self) -> Array:
        """The frames, ``(nframe, *shape)`` of the dtype of the sequence or ring; ringlets come first."""
        form = self._form
        return self._raw() if form.is_native else form.view(self._raw())

    def data_view(self, dtype: DTypeLike = np.uint8, shape: Any = None) -> Array:
        """The bytes of the span as another dtype.

        Parameters
        ----------
        dtype
            Its size must divide the bytes of the span.
        shape
            Of the result (of each ringlet), where -1 stands for what is left; one-dimensional by default.

        Returns
        -------
        numpy.ndarray
            1-D, or ``(nringlet, n)``; read-only when reading.

        Raises
        ------
        LayoutError
            When the size does not fit.
        """
        if shape is None and type(dtype) is type:  # the common case: one look-up, one slice
            whole = self._memory.data.flat(dtype, writable=self._writable)
            if whole is not None and self._is_open:
                plane = self._memory.data
                begin = self._start % plane.slots * plane.frame_nbytes
                end = begin + (self._end - self._start) * plane.frame_nbytes
                size = whole.itemsize
                if end <= plane.flat_nbytes and begin % size == 0 and end % size == 0:
                    return whole[begin // size : end // size]
        return self._view_as(dtype, shape)

    def _view_as(self, dtype: DTypeLike, shape: Any) -> Array:
        raw = self._raw()
        wanted = checked_dtype(dtype)
        if self._memory.nringlet == 1:
            raw = raw.reshape(-1)
        elif raw.ndim > 2:
            raw = raw.reshape(raw.shape[0], -1)
        try:
            typed = raw.view(wanted)
            return typed if shape is None else typed.reshape(*typed.shape[:-1], *np.atleast_1d(shape))
        except (ValueError, TypeError) as error:
            raise LayoutError(f"{self.size} bytes are no whole number of {wanted} in shape {shape}: {error}") from error

    @property
    def planes(self) -> PlaneViews:
        """The planes: arrays with one row per frame, by name."""
        self._check_open()
        return PlaneViews(self, tuple(name for name in self._plane_names if is_users(name)))

    def _plane_view(self, name: str) -> Array:
        self._check_open()
        plane = self._memory.planes[name]
        form = self._form
        start = form.row + (self._start - form.begin) // form.frame
        parts = plane.parts(start, self.nframe, writable=self._writable)
        return parts[0] if len(parts) == 1 else self._stage(name, plane, start, self.nframe)


def whole_frames(count: Any, frame: int, capacity: int, what: str, ring: str) -> int:
    """A number of frames, in frames of the ring.

    Raises
    ------
    SpanError
        When it is no positive whole number, or can never fit into the ring.
    """
    if isinstance(count, bool) or int(count) != count or count < 1:
        raise SpanError(f"{what}: {count!r} frames; ask for a whole number of at least 1")
    wanted = int(count) * frame
    if wanted > capacity:
        raise SpanError(
            f"{what}: {count} frames can never fit into ring {ring!r}, which holds {capacity // frame}: ask for "
            "fewer, or resize the ring"
        )
    return wanted
