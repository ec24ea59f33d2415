"""The bytes of a stream: one long file, cut into segments, so that the oldest can be removed while it is written.

A segment is named after the offset of its first byte: ``data.0000000000000000``. Batches never cross its end.
What was mapped once stays readable, even when its segment is removed.
"""

import bisect
import contextlib
import mmap
import os
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, IndexNoMoreThereError
from labdaq.native import disk

__all__ = ["SEGMENT_NBYTES", "SegmentReader", "SegmentWriter", "remove_segments", "segments_of"]

SEGMENT_NBYTES = 64 * 2**20
_COPIED_NBYTES = 32 * 1024  # reading so little is quicker than mapping it
_PREFIX = "data."


def segments_of(folder: Path) -> list[tuple[int, Path]]:
    """Offsets and files of the segments in a folder, in order."""
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(ValueError):
            found.append((int(path.name.removeprefix(_PREFIX), 16), path))
    return sorted(found)


def remove_segments(folder: Path, end: int, *, everything: bool) -> int:
    """Remove the segments that lie before an offset; how many bytes that were.

    The last one stays, since its writer may still append to it, unless everything is to go.
    """
    segments = segments_of(folder)
    ends = [offset for offset, _path in segments[1:]]
    doomed = segments if everything else [s for s, stop in zip(segments, ends, strict=False) if stop <= end]
    freed = 0
    for _offset, path in doomed:
        freed += path.stat().st_size
        path.unlink()
    return freed


class SegmentWriter:
    """Appends; one at a time does.

    Parameters
    ----------
    end
        Where to go on: bytes behind it were never acknowledged and are overwritten.
    """

    def __init__(self, folder: Path, end: int) -> None:
        self._folder = folder
        self._unsynced: list[int] = []
        found = [(offset, path) for offset, path in segments_of(folder) if offset <= end]
        if found:
            self._begin, path = found[-1]
            self._file = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        else:
            self._begin = end
            self._file = self._create(end)

    def append(self, payload: Any, nbytes: int, offset: int) -> None:
        """Write bytes at the end, which is at an offset. Raises OSError; nothing is there then."""
        if offset + nbytes > self._begin + SEGMENT_NBYTES and offset > self._begin:
            file = self._create(offset)
            self._unsynced.append(self._file)
            self._file, self._begin = file, offset
        disk.write_at(self._file, payload, nbytes, offset - self._begin)

    def _create(self, offset: int) -> int:
        path = self._folder / f"{_PREFIX}{offset:016x}"
        try:
            return disk.create(path)
        except FileExistsError:  # of a writer that died before it was acknowledged
            return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        begun = list(self._unsynced)
        for file in [*begun, self._file]:
            disk.sync(file)
        if begun:
            disk.sync_folder(self._folder)
        for file in begun:
            self._unsynced.remove(file)
            os.close(file)

    def close(self) -> None:
        """Let go of the files."""
        for file in [*self._unsynced, self._file]:
            os.close(file)
        self._unsynced.clear()


class SegmentReader:
    """Reads bytes by offset, as views of the files. Used under the lock of the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: list[int] = []
        self._files: dict[int, tuple[int, memoryview]] = {}  # by offset: descriptor, and what is mapped of it

    def read(self, start: int, stop: int) -> list[tuple[int, Any]]:
        """The bytes from one offset to another, as pieces with the offsets at which they begin.

        Raises
        ------
        DataError
            A file is shorter than that.
        IndexNoMoreThereError
            A segment was removed.
        """
        pieces = []
        while start < stop:
            begin, end = self._segment(start, stop)
            piece_end = stop if end is None else min(stop, end)
            pieces.append((start, self._view(begin, start - begin, piece_end - begin)))
            start = piece_end
        return pieces

    def _segment(self, start: int, stop: int) -> tuple[int, int | None]:
        """Where the segment with an offset begins, and where the next one does."""
        if not self._offsets or self._files_end() < stop:
            self._offsets = [offset for offset, _path in segments_of(self._folder)]
        at = bisect.bisect_right(self._offsets, start) - 1
        if at < 0:
            raise IndexNoMoreThereError("these points were removed to make room")
        return self._offsets[at], self._offsets[at + 1] if at + 1 < len(self._offsets) else None

    def _files_end(self) -> int:
        """Up to where it is known which segments there are."""
        last = self._offsets[-1]
        return last + len(self._files[last][1]) if last in self._files else last

    def _view(self, segment: int, start: int, stop: int) -> Any:
        descriptor, mapped = self._open(segment)
        if stop <= len(mapped):
            return mapped[start:stop]
        if stop - start <= _COPIED_NBYTES:
            piece = os.pread(descriptor, stop - start, start) if hasattr(os, "pread") else b""
            if len(piece) == stop - start:
                return piece
        size = os.fstat(descriptor).st_size
        if size < stop:
            raise DataError(
                f"{self._folder / f'{_PREFIX}{segment:016x}'} has {size} bytes, but points up to {stop} were kept: it "
                "was cut short. `labdaq store repair` keeps what is left"
            )
        mapped = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
        self._files[segment] = descriptor, mapped
        return mapped[start:stop]

    def _open(self, segment: int) -> tuple[int, memoryview]:
        if segment not in self._files:
            try:
                descriptor = os.open(
                    self._folder / f"{_PREFIX}{segment:016x}", os.O_RDONLY | getattr(os, "O_BINARY", 0)
                )
            except FileNotFoundError:
                raise IndexNoMoreThereError("these points were removed to make room") from None
            self._files[segment] = descriptor, memoryview(b"")
        return self._files[segment]

    def close(self) -> None:
        """Let go of the files; views stay valid."""
        for descriptor, _mapped in self._files.values():
            os.close(descriptor)
        self._files.clear()
        self._offsets.clear()
