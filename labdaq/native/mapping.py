"""Memory of a ring: private or shared with other processes, and mapped twice where the system can.

A *mirrored* mapping shows the same pages twice in a row, so that a stretch of memory which passes the end
goes on at the beginning without a seam. Linux only; elsewhere mappings are plain.

Named memory is a file in a memory file system (``/dev/shm``), readable by its owner only. The names start
with ``labdaq-``, the user's number and a random token.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ResourceError
from labdaq.native.process import is_exiting

__all__ = [
    "CAN_MIRROR",
    "PAGE",
    "Mapping",
    "anonymous_file",
    "folder",
    "new_token",
    "open_file",
    "shared_file",
]

PAGE = mmap.ALLOCATIONGRANULARITY
CAN_MIRROR = sys.platform == "linux"

_PROT_READ_WRITE = 3
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE, _POPULATE = 0x01, 0x02, 0x10, 0x20, 0x4000, 0x8000


def folder() -> Path:
    """Where named memory lives: ``/dev/shm``, or what ``LABDAQ_SHARED_MEMORY`` names."""
    if place := os.environ.get("LABDAQ_SHARED_MEMORY"):
        return Path(place)
    shm = Path("/dev/shm")  # noqa: S108 - names there are random, and files for their owner only
    return shm if shm.is_dir() else Path(tempfile.gettempdir())


def new_token() -> str:
    """A random name for memory which nobody can guess or take by accident."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return f"labdaq-{user}-{secrets.token_hex(8)}"


def anonymous_file(nbytes: int) -> int:
    """A descriptor of memory that has no name and ends with its last user.

    Raises
    ------
    ResourceError
        When the system does not have that much.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("labdaq", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    return _sized(descriptor, nbytes, "memory of this process")


def shared_file(name: str, nbytes: int) -> int:
    """A descriptor of new memory that other processes of this user can open by name."""
    path = folder() / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return _sized(descriptor, nbytes, f"shared memory in {folder()}")
    except ResourceError:
        path.unlink()
        raise


def open_file(name: str) -> int:
    """A descriptor of memory which another process made.

    Raises
    ------
    FileNotFoundError
        When it was removed.
    """
    return os.open(folder() / name, os.O_RDWR)


def _sized(descriptor: int, nbytes: int, what: str) -> int:
    """Really take the memory now: running out of it later would kill the process (SIGBUS)."""
    try:
        _check_available(nbytes)
        os.ftruncate(descriptor, nbytes)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, nbytes)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise ResourceError(
                f"{nbytes / 1e6:.1f} MB of {what} are not to be had ({error.strerror}): ask for a smaller "
                "capacity, or close rings that are no longer used (`labdaq stat`, `labdaq doctor --clean`)"
            ) from error
        raise
    return descriptor


def _check_available(nbytes: int) -> None:
    """Refuse what the system has not: asking it would bring others down before it says no."""
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return
    if nbytes > available:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


class Mapping:
    """A part of a file, mapped into this process and touched, so that the first pass is not slow.

    Parameters
    ----------
    descriptor
        An open file; it may be closed afterwards.
    offset, nbytes
        The part, both multiples of :data:`PAGE`.
    lanes
        The part is ``lanes`` equal stretches; each is mirrored on its own.
    mirrored
        Map each lane twice in a row.

    Notes
    -----
    Arrays made by :meth:`bytes` keep the mapping alive: memory under a view never goes away.
    """

    __slots__ = ("__weakref__", "_plain", "address", "lane_nbytes", "lane_stride", "lanes", "nbytes")

    def __init__(self, descriptor: int, offset: int, nbytes: int, *, lanes: int = 1, mirrored: bool = False) -> None:
        self.lanes = lanes
        self.lane_nbytes = nbytes // lanes
        copies = 2 if mirrored else 1
        self.lane_stride = self.lane_nbytes * copies
        self.nbytes = lanes * self.lane_stride
        self._plain: mmap.mmap | None = None
        if CAN_MIRROR:
            self.address = _map_fixed(descriptor, offset, self.lane_nbytes, lanes, copies)
        else:
            self._plain = mmap.mmap(descriptor, nbytes, offset=offset)
            self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._plain))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": (self.address, False)}

    def bytes(self) -> NDArray[np.uint8]:
        """The mapped memory as an array of bytes, lane after lane."""
        return np.asarray(self)

    def __del__(self) -> None:
        # At interpreter exit threads may still be running compiled code in this memory, and modules may be
        # gone; the system takes it back by itself.
        if getattr(self, "address", 0) and self._plain is None and not is_exiting():
            _libc().munmap(self.address, self.nbytes)


def remove(name: str) -> bool:
    """Remove named memory; those who have it mapped keep it. False when there was none."""
    with contextlib.suppress(FileNotFoundError):
        (folder() / name).unlink()
        return True
    return False


def _libc() -> Any:
    library: Any = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def _map_fixed(descriptor: int, offset: int, lane: int, lanes: int, copies: int) -> int:
    """Reserve the addresses first, then map each copy of each lane into its place."""
    libc = _libc()
    reserve = _PRIVATE | _ANONYMOUS | _NORESERVE
    base = libc.mmap(None, lane * lanes * copies, 0, reserve, -1, 0)
    if base in (None, ctypes.c_void_p(-1).value):
        raise ResourceError(f"no {lane * lanes * copies} bytes of address space: {_strerror()}")
    for i in range(lanes * copies):
        flags = _SHARED | _FIXED | _POPULATE
        start = offset + (i // copies) * lane
        if libc.mmap(base + i * lane, lane, _PROT_READ_WRITE, flags, descriptor, start) != base + i * lane:
            reason = _strerror()
            libc.munmap(base, lane * lanes * copies)
            raise ResourceError(f"{lane} bytes of memory cannot be mapped: {reason}")
    return int(base)


def _strerror() -> str:
    return os.strerror(ctypes.get_errno())
