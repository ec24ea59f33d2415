"""From ring to ring: what comes into one is copied into another, whose memory may be elsewhere."""

import contextlib
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

from labdaq.errors import LayoutError
from labdaq.native.cuda import Device
from labdaq.ring import sequence_table
from labdaq.ring import words as w
from labdaq.ring.memory import Memory
from labdaq.ring.ring import Ring
from labdaq.ring.sequence_reading import ReadSequence
from labdaq.ring.sequence_writing import RingWriter
from labdaq.ring.spans import Span

__all__ = ["copy", "copy_frames"]


def copy(source: Ring, target: Ring, *, gulp: int | None = None, group: str | None = None) -> int:
    """Copy what comes into a ring into another one, until the first has ended and all of it was copied.

    Where one of them is in memory of a GPU (or pinned for one), the copies are made on a stream of their own, while
    others work: this thread puts them there and hands the frames over with their events. Only where the other memory
    is ordinary it waits for each copy; take ``cuda_host`` for speed.

    Parameters
    ----------
    source, target
        Both of bytes, which are copied sequence by sequence; or both of frames of the same dtype and shape, which are
        copied as events.
    gulp
        Frames (bytes, without a dtype) that are copied at once; by default a quarter of the smaller ring, or the
        largest span where that is less.
    group
        Of rings with a dtype: the reader group.

    Returns
    -------
    int
        How many frames, or bytes, were copied.

    Raises
    ------
    LayoutError
        Their frames differ; or frames of a ring with a dtype are in a sequence, which events would lose.
    BusyError
        The target is being written.
    SpanError
        The source has no memory yet, and ``gulp`` or the memory of the target is missing, too.

    Examples
    --------
    >>> import labdaq
    >>> with labdaq.Ring(dtype="i4", capacity=8) as one, labdaq.Ring(dtype="i4", capacity=4) as other:
    ...     reader = other.reader()
    ...     with one.writer() as writer:
    ...         for number in range(3):
    ...             writer.put(number)
    ...     one.end()
    ...     print(labdaq.copy(one, other), [int(event.data) for event in reader])
    3 [0, 1, 2]
    """
    if source.is_typed != target.is_typed or (source.dtype, source.shape) != (target.dtype, target.shape):
        raise LayoutError(
            f"ring {source.name!r} holds {_frames(source)}, and ring {target.name!r} {_frames(target)}: only rings of "
            "the same frames can be copied"
        )
    if not target.capacity:
        target.resize(source.contiguous, source.capacity, source.nringlet)
    most = gulp or max(1, min(source.capacity // 4, target.capacity // 4, source.contiguous, target.contiguous))
    device = source.device or target.device
    with contextlib.nullcontext() if device is None else device.new_stream():
        return (_copy_events if source.is_typed else _copy_sequences)(source, target, most, group, device)


def _frames(ring: Ring) -> str:
    return f"{ring.dtype} of shape {ring.shape}" if ring.is_typed else "bytes"


def _copy_events(source: Ring, target: Ring, most: int, group: str | None, device: Device | None) -> int:
    done = 0
    shared = [name for name in source.planes if name in target.planes]
    with source.reader(group, "copy") as reader, target.writer("copy") as writer:
        for span in reader.spans(most):
            _check_events(source, span)
            with writer.reserve(span.nframe) as out:
                _copy_span(span, out, shared, device)
            done += span.nframe
    target.end()
    return done


def _check_events(ring: Ring, span: Span) -> None:
    """Frames that were written in a sequence have a header and a name, which events cannot take along."""
    control = ring._core.control
    newest = sequence_table.find(control, control[w.SEQUENCE_COUNT] - 1)
    if newest is not None:
        end = sequence_table.end_of(control, newest)
        if end is None or span._start < end:
            raise LayoutError(
                f"ring {ring.name!r} was written in sequences, such as {newest.name!r}, and rings with a dtype are "
                "copied as events: make both without one (begin_sequence(tensor=…) tells the dtype), or write what "
                "read() gives into sequences of the other ring"
            )


def _copy_sequences(source: Ring, target: Ring, most: int, _group: str | None, device: Device | None) -> int:
    done = 0
    with source.read() as reader, target.begin_writing() as writer:
        for sequence in reader:
            done += _copy_sequence(sequence, writer, most, device)
    return done


def _copy_sequence(sequence: ReadSequence, writer: RingWriter, most: int, device: Device | None) -> int:
    rows = sequence._reader._memory.planes
    planes = {name: (rows[name].layout_dtype, rows[name].layout_shape) for name in sequence._setup.planes}
    done = 0
    told: Any = sequence.header
    with writer.begin_sequence(
        sequence.name, sequence.time_tag, told, tensor=sequence.tensor, planes=planes
    ) as writing:
        for span in sequence.read(max(1, most // sequence._form.frame)):
            with writing.reserve(span.nframe) as out:
                _copy_span(span, out, list(planes), device)
            done += span.size
    return done


def _copy_span(span: Span, out: Span, planes: list[str], device: Device | None) -> None:
    for name in planes:
        out.planes[name][...] = span.planes[name]
    copy_frames(span._memory, span._start, out._memory, out._start, span._end - span._start, device)


def copy_frames(source: Memory, start: int, target: Memory, begin: int, count: int, device: Device | None) -> None:
    """Copy frames that were acquired to where room was reserved; by a device, on this thread's stream."""
    sources = source.data.streamed_parts(start, count, writable=False)
    targets = target.data.streamed_parts(begin, count, writable=True)
    for one, other in _matched(sources, targets, int(source.nringlet > 1)):
        if device is None:
            other[...] = one
        else:
            device.copy(other, one)
    if device is not None and (source.uses is None or target.uses is None):
        device.stream().synchronize()  # nobody waits for events there


def _matched(sources: list[Any], targets: list[Any], axis: int) -> Iterator[tuple[Any, Any]]:
    """Pieces of the same length: a span that wraps has two parts, and each ring wraps at a frame of its own."""
    bounds = sorted({0, *(end for parts in (sources, targets) for end in accumulate(p.shape[axis] for p in parts))})
    for begin, end in pairwise(bounds):
        yield _piece(sources, begin, end, axis), _piece(targets, begin, end, axis)


def _piece(parts: list[Any], begin: int, end: int, axis: int) -> Any:
    """Frames from ``begin`` on, which lie in one of the parts."""
    first = parts[0].shape[axis]
    part, offset = (parts[0], 0) if begin < first else (parts[1], first)
    frames = slice(begin - offset, end - offset)
    return part[:, frames] if axis else part[frames]
