"""The bytes of a stream: one long file, cut into segments, so that the oldest can be removed while it is written.

A segment is named after the offset of its first byte: ``data.0000000000000000``. Batches never cross its end.
What was mapped once stays readable, even when its segment is removed.
"""

import bisect
import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labdaq.errors import DataError, IndexNoMoreThereError
from labdaq.native import disk
from labdaq.native.file_memory import map_file

__all__ = ["SEGMENT_NBYTES", "SegmentReader", "SegmentWriter", "remove_segments", "segments_before", "segments_of"]

SEGMENT_NBYTES = 64 * 2**20
_COPIED_NBYTES = 32 * 1024  # reading so little is quicker than mapping it
_NO_BYTES = memoryview(b"")
_PREFIX = "data."
_NAME = re.compile(r"data\.[0-9a-f]{16}")


def segments_of(folder: Path) -> list[tuple[int, Path]]:
    """Offsets and files of the segments in a folder, in order."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - each follower pays for it, and Path.iterdir is slow
    except FileNotFoundError:
        return []
    return sorted((int(name[len(_PREFIX) :], 16), folder / name) for name in names if _NAME.fullmatch(name))


def _offsets_in(folder: Path) -> list[int]:
    return [offset for offset, _path in segments_of(folder)]


def segments_before(folder: Path, end: int, *, everything: bool) -> tuple[list[Path], int]:
    """The segments that lie before an offset, and the offset up to which they go.

    The last one is not among them, since its writer may still append to it, unless ``everything`` is to go.
    """
    segments = segments_of(folder)
    ends = [offset for offset, _path in segments[1:]] + [end]
    count = len(segments) if everything else sum(stop <= end for stop in ends[:-1])
    return [path for _offset, path in segments[:count]], ends[count - 1] if count else 0


def remove_segments(paths: Sequence[Path]) -> int:
    """Remove segments; how many bytes that were."""
    freed = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # somebody else trims, too
            freed += path.stat().st_size
            path.unlink()
    return freed


class SegmentWriter:
    """Appends; one at a time does.

    Parameters
    ----------
    end
        Where to go on: bytes behind it were never acknowledged and are overwritten.
    is_synced
        Whether `sync` will be called now and then.
    """

    def __init__(self, folder: Path, end: int, *, is_synced: bool = True) -> None:
        self._folder = folder
        self._is_synced = is_synced
        self._unsynced: list[int] = []
        self._names, self._synced_names = 0, 0  # how many files were made here, and how many are known to the disk
        found = []
        for offset, path in segments_of(folder):
            if offset <= end:
                found.append((offset, path))
            else:  # a loss of power left it, and spoiled what was before; its place will be another
                path.unlink(missing_ok=True)
        if found:
            self._begin, path = found[-1]
            self._file = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        else:
            self._begin = end
            self._file = self._create(end)

    def append(self, payload: Any, nbytes: int, offset: int) -> None:
        """Write bytes at the end, which is at an offset. Raises OSError; nothing is there then."""
        if offset + nbytes > self._begin + SEGMENT_NBYTES and offset > self._begin:
            file, old = self._create(offset), self._file
            if self._is_synced:
                self._unsynced.append(old)
            self._file, self._begin = file, offset
            if not self._is_synced:
                os.close(old)
        disk.write_at(self._file, payload, nbytes, offset - self._begin)

    def _create(self, offset: int) -> int:
        path = self._folder / f"{_PREFIX}{offset:016x}"
        self._names += 1
        try:
            return disk.create(path)
        except FileExistsError:  # of a writer that died before it was acknowledged
            return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        names, file = self._names, self._file  # in this order: the writer may begin another segment meanwhile
        begun = list(self._unsynced)
        for one in [*begun, file]:
            disk.sync(one)
        if names != self._synced_names:
            disk.sync_folder(self._folder)
            disk.sync_folder(self._folder.parent)
            self._synced_names = names
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
        self._listed = 0  # up to where it is known which segments there are
        self._files: dict[int, tuple[int, memoryview]] = {}  # by offset: descriptor, and what is mapped of it

    def read(self, start: int, stop: int, end: int = 0) -> list[tuple[int, Any]]:
        """The bytes from one offset to another, as pieces with the offsets at which they begin.

        All these were acknowledged; it is quicker when it is known up to which ``end`` others were, too.

        Raises
        ------
        DataError
            A file is shorter than that.
        IndexNoMoreThereError
            A segment was removed.
        """
        if stop > self._listed:
            self._offsets = _offsets_in(self._folder)
            self._listed = max(stop, end)
        pieces = []
        while start < stop:
            begin, next_begin = self._segment(start)
            piece_end = stop if next_begin is None else min(stop, next_begin)
            pieces.append((start, self._view(begin, start - begin, piece_end - begin, next_begin is not None)))
            start = piece_end
        return pieces

    def _segment(self, start: int) -> tuple[int, int | None]:
        """Where the segment with an offset begins, and where the next one does."""
        at = bisect.bisect_right(self._offsets, start) - 1
        if at < 0:
            raise IndexNoMoreThereError("these points were removed to make room")
        return self._offsets[at], self._offsets[at + 1] if at + 1 < len(self._offsets) else None

    def _view(self, segment: int, start: int, stop: int, is_complete: bool) -> Any:
        """A part of a segment: mapped, or a copy of what is small or added to a segment that grows.

        Each time it is mapped it has at least doubled, so that who keeps all views of a stream has few mappings.
        """
        descriptor, mapped = self._open(segment)
        if stop <= len(mapped):
            return mapped[start:stop]
        size = os.fstat(descriptor).st_size if stop - start > _COPIED_NBYTES else 0
        if hasattr(os, "pread") and not (size and (is_complete or size >= 2 * len(mapped))):
            piece = os.pread(descriptor, stop - start, start)
            if len(piece) == stop - start:
                return piece
        size = os.fstat(descriptor).st_size
        if size < stop:
            raise DataError(
                f"{self._folder / f'{_PREFIX}{segment:016x}'} has {size} bytes, but points up to {stop} were kept: it "
                "was cut short. `labdaq store repair` keeps what is left"
            )
        mapped = map_file(descriptor, size)
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
            self._files[segment] = descriptor, _NO_BYTES
        return self._files[segment]

    def close(self) -> None:
        """Let go of the files; views stay valid."""
        for descriptor, _mapped in self._files.values():
            os.close(descriptor)
        self._files.clear()
        self._offsets.clear()
        self._listed = 0

    def __del__(self) -> None:
        if hasattr(self, "_files"):
            self.close()
