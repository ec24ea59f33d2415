"""Files of frames: what recordings of telescopes have in common, whatever their headers look like.

A file is made of stretches, each with one setup, of frames of one shape that follow each other in time. It is read
frame by frame, block by block, or into a ring.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from labdaq.errors import ClosedError, DataError, LayoutError, ResourceError, SpanError
from labdaq.files.table import LARGEST, PathLike, check_size, reading

if TYPE_CHECKING:
    from labdaq.ring import Ring, Tensor

__all__ = ["FrameBlock", "FrameFile", "Stretch", "mjd_to_ns", "number_of", "tensor_of"]

_LARGEST_FRAME = 1 << 28
_MJD_OF_1970 = 40587
_NS_PER_DAY = 86400 * 10**9


@dataclass(frozen=True)
class FrameBlock:
    """Frames that were read together."""

    header: Mapping[str, Any]
    """What the file says of them."""
    time_tag: int
    """Of the first frame, in nanoseconds since 1970, UTC."""
    data: npt.NDArray[Any]
    """``(frame, …)``; numbers of less than 8 bits are packed along the last axis."""


@dataclass(frozen=True)
class Stretch:
    """Frames with one setup, without a gap."""

    header: Mapping[str, Any]
    tensor: "Tensor"
    """Element type, shape and axes of a frame."""
    time_tag: int
    """Of the first frame, in nanoseconds since 1970, UTC."""
    frame_ns: float
    """From frame to frame."""
    begin: int
    """Number of the first frame in the file."""
    nframe: int


class FrameFile(ABC):
    """A file that is open for reading; a context manager, and a source of frames for a pipeline.

    Attributes
    ----------
    stretches
        What it is made of.
    trailing
        Bytes at its end that are no whole frame.

    Raises
    ------
    DataError
        When it is no such file, or its header says what cannot be.
    ResourceError
        When it cannot be read.
    """

    kind = "a file of frames"

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.stretches: list[Stretch] = []
        self.trailing = 0
        with reading(self.path, self.kind, ValueError, TypeError, LookupError, OverflowError):
            self._file = self.path.open("rb", buffering=0)
            try:
                self._size = self.path.stat().st_size
                self._open()
                self._check_any()
            except BaseException as error:
                self._file.close()
                if isinstance(error, DataError | LayoutError) and str(self.path) not in str(error):
                    raise DataError(f"{self.path}: {error}") from error
                raise

    @abstractmethod
    def _open(self) -> None:
        """Read headers; fill `stretches` and `trailing`."""

    def _check_any(self) -> None:
        if not self.stretches:
            raise DataError(f"{self.path} is {self.kind} without a whole frame")

    @abstractmethod
    def _fill(self, begin: int, out: npt.NDArray[Any]) -> None:
        """Read frames from a number on into memory of ``(frame, …)``."""

    # -------------------------------------------------------------------------------- what it is

    @property
    def header(self) -> Mapping[str, Any]:
        """Of the first stretch."""
        return self.stretches[0].header

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements, as they are read."""
        return self.stretches[0].tensor.stored_dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame, as it is read."""
        return self.stretches[0].tensor.stored_shape

    def __len__(self) -> int:
        """How many frames there are."""
        return sum(stretch.nframe for stretch in self.stretches)

    def __repr__(self) -> str:
        tensor = self.stretches[0].tensor
        return f"<{self.kind}: {self.path.name}, {len(self)} frames of {tensor.dtype}{tensor.shape}>"

    # ---------------------------------------------------------------------------------- its data

    def __iter__(self) -> Iterator[tuple[npt.NDArray[Any], int]]:
        """Frame after frame, each with its time in nanoseconds since 1970, UTC, as sources have it."""
        for stretch, begin, count in self._parts(max(1, (1 << 20) // self.stretches[0].tensor.frame_nbytes)):
            data = self.read(stretch.begin + begin, count)
            for i, frame in enumerate(data):
                yield frame, stretch.time_tag + round((begin + i) * stretch.frame_ns)

    def blocks(self, gulp: int = 256) -> Iterator[FrameBlock]:
        """So many frames at a time; fewer at the end of a stretch.

        Raises
        ------
        SpanError
            When it is no positive number.
        DataError
            When they would take more memory than is read at once.
        """
        for stretch, begin, count in self._parts(gulp):
            tag = stretch.time_tag + round(begin * stretch.frame_ns)
            yield FrameBlock(stretch.header, tag, self.read(stretch.begin + begin, count))

    def read(self, begin: int = 0, count: int | None = None) -> npt.NDArray[Any]:
        """Frames of one stretch by number, ``(frame, …)``; by default all of the first.

        Raises
        ------
        SpanError
            When there are not so many, or they lie in two stretches.
        DataError
            When they would take more memory than is read at once.
        """
        for stretch in self.stretches:
            if stretch.begin <= begin < stretch.begin + stretch.nframe:
                break
        else:
            raise SpanError(f"frame {begin}: {self.path} has {len(self)} frames")
        left = stretch.begin + stretch.nframe - begin
        wanted = left if count is None else count
        if not 0 <= wanted <= left:
            raise SpanError(f"{wanted} frames from frame {begin} on: {left} are left in this stretch of {self.path}")
        check_size(wanted * stretch.tensor.frame_nbytes, LARGEST, f"{wanted} frames of {self.path}")
        out = np.empty((wanted, *stretch.tensor.stored_shape), stretch.tensor.stored_dtype)
        self._fill_checked(begin, out)
        return out

    def into(self, ring: "Ring", gulp: int = 256) -> int:
        """Write everything to a ring of bytes, each stretch as a sequence; how many frames.

        Readers of the ring hold it back: nothing is lost while one reads, and without a reader all goes by.

        Parameters
        ----------
        ring
            It is given the room it needs.
        gulp
            Frames that are handed out at a time.

        Raises
        ------
        BusyError
            When somebody else writes to the ring.
        """
        with ring.begin_writing() as writer:
            for number, stretch in enumerate(self.stretches):
                nbytes = min(_positive(gulp), stretch.nframe) * stretch.tensor.frame_nbytes
                ring.resize(nbytes, 4 * nbytes)
                name = f"{self.path.name}-{number}"
                with writer.begin_sequence(name, stretch.time_tag, stretch.header, tensor=stretch.tensor) as sequence:
                    for begin in range(0, stretch.nframe, gulp):
                        with sequence.reserve(min(gulp, stretch.nframe - begin)) as span:
                            self._fill_checked(stretch.begin + begin, span.data)
        return len(self)

    def _parts(self, gulp: int) -> Iterator[tuple[Stretch, int, int]]:
        for stretch in self.stretches:
            for begin in range(0, stretch.nframe, _positive(gulp)):
                yield stretch, begin, min(gulp, stretch.nframe - begin)

    def _fill_checked(self, begin: int, out: npt.NDArray[Any]) -> None:
        if self._file.closed:
            raise ClosedError(f"{self.path} was closed")
        with reading(self.path, self.kind, ValueError):
            self._fill(begin, out)

    # -------------------------------------------------------------------------- for those that fill

    def _add(self, header: Mapping[str, Any], tensor: "Tensor", time_tag: int, frame_ns: float, nframe: int) -> None:
        """One more stretch, behind the others."""
        begin = sum(stretch.nframe for stretch in self.stretches)
        if tensor.frame_nbytes > _LARGEST_FRAME or not 0 < frame_ns < math.inf:
            raise DataError(
                f"{self.path}: frames of {tensor.frame_nbytes} bytes, {frame_ns} ns each; at most {_LARGEST_FRAME} "
                "bytes, and more than 0 ns, make sense"
            )
        if nframe:
            self.stretches.append(Stretch(header, tensor, time_tag, frame_ns, begin, nframe))

    def _read_at(self, offset: int, nbytes: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        self._file.seek(offset)
        parts = []
        while nbytes > 0 and (part := self._file.read(min(nbytes, 1 << 20))):
            parts.append(part)
            nbytes -= len(part)
        return b"".join(parts)

    def _read_into(self, offset: int, out: npt.NDArray[Any]) -> None:
        """Fill an array from an offset on.

        Raises
        ------
        ResourceError
            When the file has become shorter since it was opened.
        """
        self._file.seek(offset)
        view, done = out.reshape(-1).view(np.uint8).data, 0  # frames follow each other without gaps
        while done < out.nbytes:
            count = self._file.readinto(view[done:])
            if not count:
                raise ResourceError(f"{self.path} ends {out.nbytes - done} bytes early: it was cut after it was opened")
            done += count

    def close(self) -> None:
        """Close the file. Twice is allowed."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def _positive(gulp: int) -> int:
    if gulp < 1:
        raise SpanError(f"gulp={gulp}: 1 or more frames at a time")
    return gulp


def tensor_of(dtype: str, **axes: Any) -> "Tensor":
    """What a frame is; see :class:`labdaq.ring.Tensor`."""
    from labdaq.ring import Tensor  # with numba, which who reads tables can do without

    return Tensor.parse({"dtype": dtype, **axes})


def mjd_to_ns(day: float, second: float = 0.0) -> int:
    """Nanoseconds since 1970, UTC, of a modified Julian date and seconds of it.

    Raises
    ------
    DataError
        When the year is not from 1970 to 2200.

    Examples
    --------
    >>> np.datetime64(mjd_to_ns(60000.5), "ns").astype("M8[s]")
    np.datetime64('2023-02-25T12:00:00')
    """
    if not _MJD_OF_1970 <= day < _MJD_OF_1970 + 84000 or not abs(second) < 1e8:
        raise DataError(f"modified Julian date {day!r} with {second!r} s: not between 1970 and 2200")
    whole = math.floor(day)
    return (whole - _MJD_OF_1970) * _NS_PER_DAY + round((day - whole) * _NS_PER_DAY) + round(second * 1e9)


def number_of(header: Mapping[str, Any], key: str, default: int | None = None, *, most: int = 1 << 24) -> int:
    """A count that a header gives: a whole number from 1 to `most`.

    Raises
    ------
    DataError
        When it is missing without a default, or is none.

    Examples
    --------
    >>> number_of({"nchans": 1024}, "nchans"), number_of({}, "nifs", 1)
    (1024, 1)
    """
    value = header.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or int(value) != value or not 1 <= value <= most:
        raise DataError(f"{key} = {value!r} in the header: a whole number from 1 to {most} is needed")
    return int(value)
