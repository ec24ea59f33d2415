"""Rings of bytes: sequences and spans with the names and counts of Bifrost, on labdaq's engine.

Sizes and offsets are bytes; views of spans are ``(ringlet, element)``. As in Bifrost, the capacity is a power of two.
"""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np

from labdaq.compat.bifrost.DataType import DataType
from labdaq.compat.bifrost.ndarray import asarray, ndarray
from labdaq.errors import EndOfDataError, LayoutError, SpanError
from labdaq.ring import Ring as Engine
from labdaq.ring import RingWriter as EngineWriter
from labdaq.ring import SequenceReader

__all__ = ["EndOfDataStop", "ReadSequence", "ReadSpan", "Ring", "RingWriter", "WriteSequence", "WriteSpan", "engine_of"]

EndOfDataStop = EndOfDataError
_UNSET = (1 << 64) - 1
_LEAST = 4096


class Ring:
    """A ring in the memory of this process.

    Parameters
    ----------
    space
        ``"system"``, or ``"shared"``.
    name
        A label.
    core
        Noted, and used for nothing: memory is where its first user is.

    Examples
    --------
    >>> ring = Ring(name="a_ring", space="system")
    >>> ring.name, ring.space
    (b'a_ring', 'system')
    >>> ring.resize(4096)
    >>> with ring.begin_writing() as writer, writer.begin_sequence(header='{"gain": 2}') as sequence:
    ...     with sequence.reserve(4096) as span:
    ...         span.data[...] = 7
    >>> [(s.header.tobytes(), span.data[0, 0]) for s in ring.read() for span in s.read(4096)]
    [(b'{"gain": 2}', np.uint8(7))]
    """

    def __init__(self, space: str = "system", name: str | None = None, core: int | None = None) -> None:
        self._name = name if name is not None else str(uuid4())
        self.engine = Engine(space=space)
        self._end = weakref.finalize(self, self.engine.close)  # programs for Bifrost do not close their rings
        self.core = -1 if core is None else core

    @property
    def name(self) -> bytes:
        """The label."""
        return self._name.encode()

    @property
    def space(self) -> str:
        """Where the memory is."""
        return self.engine.space

    def resize(
        self, contiguous_span: int, total_span: int | None = None, nringlet: int = 1, buffer_factor: int = 4
    ) -> None:
        """Give the ring memory for spans of so many bytes; four times as much in total, by default."""
        total = contiguous_span * buffer_factor if total_span is None else total_span
        self.engine.resize(contiguous_span, 1 << (max(total, _LEAST) - 1).bit_length(), nringlet)

    def begin_writing(self) -> "RingWriter":
        """Become the only writer; a context manager."""
        return RingWriter(self)

    def end_writing(self) -> None:
        """Nothing more will be written."""
        self.engine.end()

    def writing_ended(self) -> bool:
        """Whether nothing more will be written."""
        return self.engine.statistics().state == "ended"

    def read(self, whence: str = "earliest", guarantee: bool = True) -> Iterator["ReadSequence"]:
        """Sequence after sequence."""
        with contextlib.closing(self.engine.read(whence, guarantee)) as reader:
            for sequence in reader:
                yield ReadSequence(self, sequence, reader)

    def open_sequence(self, name: str | bytes, guarantee: bool = True) -> "ReadSequence":
        """The newest sequence of a name."""
        return ReadSequence(self, self.engine.open_sequence(name, guarantee))

    def open_sequence_at(self, time_tag: int, guarantee: bool = True) -> "ReadSequence":
        """The last one that does not begin after a time tag."""
        return ReadSequence(self, self.engine.open_sequence_at(time_tag, guarantee))

    def open_latest_sequence(self, guarantee: bool = True) -> "ReadSequence":
        """The newest one."""
        return ReadSequence(self, self.engine.open_latest_sequence(guarantee))

    def open_earliest_sequence(self, guarantee: bool = True) -> "ReadSequence":
        """The oldest one in the ring."""
        return ReadSequence(self, self.engine.open_earliest_sequence(guarantee))

    def close(self) -> None:
        """Give the memory back now, and not when nobody knows the ring any more."""
        self._end()


def engine_of(ring: Any) -> Engine:
    """The ring of labdaq behind one of ours, or itself."""
    return ring.engine if isinstance(ring, Ring) else ring


class RingWriter:
    """The only writer of a ring; a context manager that ends writing."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._writer: EngineWriter = ring.engine.begin_writing()

    def begin_sequence(
        self, name: str = "", time_tag: int = -1, header: Any = "", nringlet: int = 1
    ) -> "WriteSequence":
        """Begin a stretch of data with one setup; its header is JSON."""
        if self.ring.engine.capacity and nringlet > self.ring.engine.nringlet:
            raise LayoutError(f"{nringlet} ringlets: the ring has {self.ring.engine.nringlet}; resize(…, nringlet) it")
        raw = header.tobytes() if isinstance(header, np.ndarray) else header
        return WriteSequence(self.ring, self._writer.begin_sequence(name, time_tag, raw or None))

    def __enter__(self) -> "RingWriter":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._writer.close()


class _Sequence:
    """What both kinds have in common."""

    def __init__(self, ring: Ring, sequence: Any) -> None:
        self.ring = ring
        self._sequence = sequence

    @property
    def name(self) -> bytes:
        """By which it may be opened."""
        return str(self._sequence.name).encode()

    @property
    def time_tag(self) -> int:
        """Of its beginning; the largest of 64 bits when there is none."""
        tag = int(self._sequence.time_tag)
        return _UNSET if tag == -1 else tag

    @property
    def nringlet(self) -> int:
        """Parallel lanes."""
        return self.ring.engine.nringlet

    @property
    def header(self) -> Any:
        """Its bytes, as an array that is not for writing."""
        return np.frombuffer(self._sequence.header.tobytes(), np.uint8)

    @property
    def header_size(self) -> int:
        """Bytes of it."""
        return len(self.header)

    @property
    def _frame(self) -> int:
        """Bytes of what labdaq counts."""
        return int(self._sequence._form.frame)

    def _frames(self, nbytes: int, what: str) -> int:
        count, rest = divmod(nbytes, self._frame)
        if rest:
            raise SpanError(f"{what} of {nbytes} bytes: frames of this sequence have {self._frame}, ask for whole ones")
        return count


class WriteSequence(_Sequence):
    """A sequence while it is written; a context manager that ends it."""

    def reserve(self, size: int, nonblocking: bool = False) -> "WriteSpan":
        """Bytes to be written; a context manager that publishes them."""
        span = self._sequence.reserve(self._frames(size, "a span"), nonblocking=nonblocking)
        return WriteSpan(self, span)

    def end(self) -> None:
        """End it."""
        self._sequence.end()

    def __enter__(self) -> "WriteSequence":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()


class ReadSequence(_Sequence):
    """A sequence while it is read; a context manager."""

    def __init__(self, ring: Ring, sequence: Any, reader: SequenceReader | None = None) -> None:
        super().__init__(ring, sequence)
        self._reader = reader if reader is not None else sequence._reader

    def read(self, span_size: int, stride: int | None = None, begin: int = 0) -> Iterator["ReadSpan"]:
        """Span after span; the last one may be shorter."""
        step = None if stride is None else self._frames(stride, "a stride")
        gulp = self._frames(span_size, "a span")
        for span in self._sequence.read(gulp, step, self._frames(begin, "an offset")):
            yield ReadSpan(self, span)

    def acquire(self, offset: int, size: int) -> "ReadSpan":
        """One span; a context manager that releases it."""
        return ReadSpan(self, self._sequence.acquire(self._frames(offset, "an offset"), self._frames(size, "a span")))

    def increment(self) -> None:
        """Go on to the next sequence.

        Raises
        ------
        EndOfDataError
            When there is none, and none will come.
        """
        following = self._reader.next_sequence()
        if following is None:
            raise EndOfDataError("writing has ended: there is no further sequence")
        self._sequence = following

    def close(self) -> None:
        """End the reading."""
        self._sequence.close()

    def __enter__(self) -> "ReadSequence":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class _Span:
    """What both kinds have in common."""

    def __init__(self, sequence: Any, span: Any) -> None:
        self.sequence = sequence
        self.ring: Ring = sequence.ring
        self._span = span

    @property
    def size(self) -> int:
        """Bytes of each ringlet."""
        return int(self._span.size)

    @property
    def offset(self) -> int:
        """Bytes from the beginning of the sequence."""
        return int(self._span.frame_offset) * int(self.sequence._frame)

    @property
    def nringlet(self) -> int:
        """Parallel lanes."""
        return self.ring.engine.nringlet

    @property
    def data(self) -> ndarray:
        """Its bytes."""
        return self.data_view()

    def data_view(self, dtype: Any = np.uint8, shape: Any = -1) -> ndarray:
        """The memory itself as ``(ringlet, element)`` of a type, or in another shape."""
        view = self._span.data_view(DataType(dtype).as_numpy_dtype())
        typed: ndarray = view.reshape(self.nringlet, -1).view(ndarray)
        return typed if isinstance(shape, int) and shape == -1 else asarray(typed.reshape(shape))


class WriteSpan(_Span):
    """Bytes being written; left by an error, they are not published."""

    def __init__(self, sequence: WriteSequence, span: Any) -> None:
        super().__init__(sequence, span)
        self.commit_size = self.size

    def commit(self, size: int) -> None:
        """How many bytes will be published when it is closed."""
        self.commit_size = size

    def close(self) -> None:
        """Publish them."""
        self._span.commit(self.sequence._frames(self.commit_size, "a commit"))

    def __enter__(self) -> "WriteSpan":
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if kind is None:
            self.close()
        else:
            self._span.void()


class ReadSpan(_Span):
    """Bytes being read."""

    @property
    def size_overwritten(self) -> int:
        """Bytes that were written over while they were read; none with a guarantee."""
        return int(self._span.nframe_overwritten) * int(self.sequence._frame)

    def release(self) -> None:
        """Let writers have them again."""
        self._span.release()

    def __enter__(self) -> "ReadSpan":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()
