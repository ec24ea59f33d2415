"""Writing to files by descriptor: whole, at a place, forced to the disk. What the system refuses is an OSError.

Every operation is a point at which tests can make it fail, see `labdaq.native.faults`.
"""

import os
from pathlib import Path
from typing import Any

from labdaq.native.faults import file_operation

__all__ = ["boot_number", "create", "grow", "sync", "sync_folder", "write_at"]


def create(path: Path) -> int:
    """Make a file that only its owner may read; a descriptor to read and write it."""
    file_operation("create")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def write_at(descriptor: int, payload: Any, nbytes: int, offset: int) -> None:
    """Write all bytes at a place. After an error, any part of them may be there."""
    file_operation("write")
    written = _pwrite(descriptor, payload, offset)
    while written < nbytes:
        file_operation("write")
        written += _pwrite(descriptor, memoryview(payload)[written:], offset + written)


def _pwrite_portable(descriptor: int, payload: Any, offset: int) -> int:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, payload)


_pwrite = getattr(os, "pwrite", _pwrite_portable)


def grow(descriptor: int, nbytes: int) -> None:
    """Make a file larger, of zeros, and take the room now: memory that maps it will not fail later."""
    file_operation("grow")
    old = os.fstat(descriptor).st_size
    if old >= nbytes:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, old, nbytes - old)
    else:
        write_at(descriptor, bytes(nbytes - old), nbytes - old, old)


def sync(descriptor: int) -> None:
    """Return when everything written to a file is on the disk."""
    file_operation("sync")
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk, where the system can promise that."""
    if hasattr(os, "O_DIRECTORY"):
        file_operation("sync")
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def boot_number() -> int:
    """A number of this start of the machine: what was only in memory before it is gone. 0: not known."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return 0
    return int(text.replace("-", "")[:15], 16)
