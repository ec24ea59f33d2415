"""Sleep until a 32-bit word of memory changes, without the GIL, between threads or processes.

Linux only (`futex(2)`); elsewhere ``HAS_FUTEX`` is False and callers poll. A signal ends the sleep at
once, which is what lets Ctrl-C and a notebook's interrupt through.
"""

import platform

import numpy as np

from labdaq.native.atomics import load32, poke, stack_words
from labdaq.native.compile import jit
from labdaq.native.libc import HAS_FUTEX, errno_address, syscall

__all__ = ["HAS_FUTEX", "INTERRUPTED", "futex_wait", "futex_wake"]

INTERRUPTED = -4  # -EINTR

_SYSCALL = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 202)
_WAIT, _WAKE, _PRIVATE = 0, 1, 128


@jit
def futex_wait(address: int, expected: int, timeout_ns: int, is_private: bool) -> int:
    """Sleep while the word is as expected: 0 when woken, else minus the error number.

    ``is_private`` is faster and right only for memory of this process.
    """
    if not HAS_FUTEX:
        return 0
    time = stack_words(2)
    poke(time, timeout_ns // 1_000_000_000)
    poke(time + 8, timeout_ns % 1_000_000_000)
    operation = _WAIT + (_PRIVATE if is_private else 0)
    if syscall(_SYSCALL, address, operation, np.int64(expected), time, 0, 0) == 0:
        return 0
    return -int(load32(errno_address()))


@jit
def futex_wake(address: int, count: int, is_private: bool) -> int:
    """Wake up to ``count`` sleepers; how many there were."""
    if not HAS_FUTEX:
        return 0
    return syscall(_SYSCALL, address, _WAKE + (_PRIVATE if is_private else 0), count, 0, 0, 0)
