"""Files mapped into memory, without a descriptor of their own.

``mmap.mmap`` keeps a copy of the descriptor for as long as anybody has a view; who keeps a thousand views of a
growing file would come to the end of what a process may open.
"""

import ctypes
import functools
import mmap
import os
from typing import Any

import numpy as np

from labdaq.native.process import is_exiting

__all__ = ["map_file"]

_READ, _WRITE, _SHARED = 1, 2, 1
_FAILED = ctypes.c_void_p(-1).value


def map_file(descriptor: int, nbytes: int, *, writable: bool = False) -> memoryview:
    """The first bytes of a file, shared with all who have it; the file must not be shorter.

    The memory stays as long as there is a view of it. Raises OSError.
    """
    if os.name != "posix":
        return memoryview(mmap.mmap(descriptor, nbytes, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ))
    memory = np.asarray(_FileMemory(descriptor, nbytes, writable))
    return memory.data


class _FileMemory:
    """What arrays over the file keep alive."""

    _address = 0  # for as long as nothing is mapped, whatever ends __init__

    def __init__(self, descriptor: int, nbytes: int, writable: bool) -> None:
        self._libc = _libc()
        self._nbytes = nbytes
        protection = _READ | (_WRITE if writable else 0)
        address = self._libc.mmap(None, nbytes, protection, _SHARED, descriptor, 0)
        self._address = 0 if address in {None, _FAILED} else int(address)
        if not self._address:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.__array_interface__ = {
            "version": 3,
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (self._address, not writable),
        }

    def __del__(self) -> None:
        if self._address and not is_exiting():  # threads may still run compiled code in it
            self._libc.munmap(self._address, self._nbytes)


@functools.cache
def _libc() -> Any:
    library: Any = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library
