"""The functions of the C library that compiled code may call.

A symbol that numba cannot find kills the process when the code is linked, even in a branch that never
runs, and a ctypes pointer cannot be cached. So every function is registered under a name of our own, with
its address or, where the system has none, with that of a harmless other function; callers ask
``HAS_FUTEX`` and ``HAS_CLOCK`` first, which are constants to the compiler.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any, cast

import llvmlite.binding as llvm
from numba import types

__all__ = ["HAS_CLOCK", "HAS_FUTEX", "clock_gettime", "errno_address", "syscall"]


def _register(name: str, alias: str) -> bool:
    """Make a function of the C library linkable as ``alias``; False when there is none."""
    try:
        library = ctypes.CDLL(None)
        pointer = getattr(library, name)
    except (OSError, TypeError, AttributeError):
        pointer = ctypes.pythonapi.Py_IsInitialized
        llvm.add_symbol(alias, ctypes.cast(pointer, ctypes.c_void_p).value)
        return False
    llvm.add_symbol(alias, ctypes.cast(pointer, ctypes.c_void_p).value)
    return True


def _function(alias: str, signature: Any) -> Callable[..., int]:
    return cast(Callable[..., int], types.ExternalFunction(alias, signature))


_has_syscall = _register("syscall", "labdaq_syscall")
_register("__error" if sys.platform == "darwin" else "__errno_location", "labdaq_errno_address")

HAS_CLOCK = _register("clock_gettime", "labdaq_clock_gettime")
HAS_FUTEX = _has_syscall and sys.platform == "linux"

syscall = _function("labdaq_syscall", types.int64(*[types.int64] * 7))
errno_address = _function("labdaq_errno_address", types.int64())
clock_gettime = _function("labdaq_clock_gettime", types.int32(types.int32, types.int64))
