"""Writing to the log of a stream in an embedded store: see `labdaq.store.embedded.log`."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from time import time_ns
from typing import Any
from zlib import crc32

from labdaq.errors import BusyError, LayoutError, ResourceError, ScanNotFoundError, StateError
from labdaq.store.embedded.bell import Bell
from labdaq.store.embedded.index import BOOT, COMMITTED, DELETED, FIRST, SEALED, SYNCED, Index, Record
from labdaq.store.embedded.log import BOOT_NUMBER, INDEX, sound_count
from labdaq.store.embedded.segments import SegmentWriter

__all__ = ["EmbeddedWriter"]

_MOST_NBYTES = 2**30  # of one batch
_forks = object()  # another one in a forked child: what its parent writes is not its own


def _note_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


class EmbeddedWriter:
    """See `labdaq.store.engine.LogWriter`.

    Parameters
    ----------
    sync_s
        How often points are forced to the disk; 0: each time, None: never.
    release
        What to do when the stream is given up.
    """

    def __init__(self, folder: Path, name: str, bell: Bell, sync_s: float | None, release: Callable[[], None]) -> None:
        self._name = name
        self._bell = bell
        self._sync_s = sync_s
        self._release = release
        self._error: ResourceError | None = None
        self._is_open, self._is_sealed = True, False
        self._forks = _forks
        self._using = threading.Lock()  # files are not closed while somebody writes to them
        self._syncing = threading.Lock()
        self._synced = -1
        self._is_doubtful = False
        try:
            self._index = Index(folder / INDEX, writable=True)
        except FileNotFoundError as error:
            raise ScanNotFoundError(f"the files of stream {name!r} are gone: {folder}") from error
        except OSError as error:
            raise ResourceError.of(error, f"opening stream {name!r}") from error
        try:
            self._resume(folder)
        except OSError as error:
            self._index.close()
            raise ResourceError.of(error, f"opening stream {name!r}") from error
        except BaseException:
            self._index.close()
            raise

    def _resume(self, folder: Path) -> None:
        """Go on behind what is sound; forget the rest, which nobody was promised."""
        words = self._index.words
        if words[SEALED]:
            raise StateError(f"stream {self._name!r} is sealed: it takes no more points")
        count = sound_count(self._index, folder)
        last = self._index.record(count - 1) if count else Record(0, 0, 0, 0, 0, 0)
        self.length, self._offset = last.stop, last.end
        self._began_at = self.length
        self._segments = SegmentWriter(folder, self._offset, is_synced=self._sync_s is not None)
        words[COMMITTED] = count
        words[SYNCED] = min(words[SYNCED], count)
        words[FIRST] = min(words[FIRST], last.stop)
        words[BOOT] = BOOT_NUMBER

    @property
    def nsent(self) -> int:
        """Points written by this writer."""
        return self.length - self._began_at

    def append(self, payload: Any, count: int) -> None:
        if _forks is not self._forks:
            self._refuse()
        with self._using:
            if not self._is_open or self._error is not None or self._index.words[DELETED]:
                self._refuse()
            nbytes = len(payload)
            if nbytes > _MOST_NBYTES:
                raise LayoutError(f"a batch of {nbytes} bytes is too large: send less than 1 GiB at once")
            offset = self._offset
            try:
                self._segments.append(payload, nbytes, offset)
                self._index.append(self.length, offset, time_ns(), count, nbytes, crc32(payload))
                if self._sync_s == 0:
                    self._force()
            except OSError as error:
                raise ResourceError.of(error, f"writing to stream {self._name!r} after {self.length} points") from error
            self.length += count
            self._offset = offset + nbytes
        self._bell.ring()

    def _force(self) -> None:
        """Force the batch to the disk that was just committed, or take it back."""
        words = self._index.words
        with self._syncing:
            try:
                self._segments.sync()
                self._index.sync()
            except OSError:
                words[COMMITTED] -= 1
                self._is_doubtful = True
                raise
            self._synced = words[COMMITTED]
            if not self._is_doubtful:
                words[SYNCED] = self._synced

    def _refuse(self) -> None:
        if _forks is not self._forks:
            raise BusyError(f"stream {self._name!r} is written by the process which this one was forked from")
        if not self._is_open:
            raise StateError(f"stream {self._name!r} was sealed or given up here")
        self._check_there()
        self._raise_error()

    def _check_there(self) -> None:
        if self._index.words[DELETED]:
            raise ScanNotFoundError(f"stream {self._name!r} was deleted with its scan")

    def _raise_error(self) -> None:
        """Say once what the system refused while nobody asked; then go on trying."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def sync(self) -> None:
        """Force everything to the disk; what is refused is raised by the next call of the writer."""
        with self._syncing:
            if not self._is_open or self._index.is_closed or _forks is not self._forks:  # garbage goes in any order
                return
            words = self._index.words
            count = words[COMMITTED]
            if count == self._synced:
                return
            try:
                if self._index.is_gone():
                    raise FileNotFoundError(errno.ENOENT, "its files were deleted while it was written")
                self._segments.sync()
                self._index.sync()
            except OSError as error:
                if words[DELETED]:
                    return
                self._is_doubtful = True
                self._error = ResourceError.of(error, f"forcing stream {self._name!r} to the disk")
                return
            self._synced = count
            if not self._is_doubtful:  # else the system may have dropped what it could not write: CRCs shall tell
                words[SYNCED] = count

    def flush(self, timeout: float | None) -> None:
        if self._sync_s is not None:
            self.sync()
        self._raise_error()

    def seal(self, timeout: float | None) -> int:
        if self._is_sealed:
            return self.length
        if not self._is_open or _forks is not self._forks:
            self._refuse()
        self._check_there()
        self.flush(timeout)
        self._index.words[SEALED] = self.length + 1
        self._force_seal()
        self._is_sealed = True
        self.close()
        return self.length

    def _force_seal(self) -> None:
        if self._sync_s is not None:
            try:
                self._index.sync()
            except OSError as error:
                self._index.words[SEALED] = 0
                raise ResourceError.of(error, f"sealing stream {self._name!r}") from error

    def close(self) -> None:
        if self._sync_s is not None:
            self.sync()
        with self._using, self._syncing:
            was_open, self._is_open = self._is_open, False
            if was_open:
                self._segments.close()
                self._index.close()
        if was_open:
            try:
                self._release()
            finally:
                self._bell.ring()
            self._raise_error()
