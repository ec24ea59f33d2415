"""Points at which a process can be made to die, or the system to refuse, to prove that the rest survives it.

In a process started with the variable ``LABDAQ_FAULTS`` set, every transition of the engine counts down,
and the process kills itself (SIGKILL: nothing is tidied up) when the count set by :func:`arm` is over. In
all other processes the points are compiled to nothing.

Operations on files are points of a second kind, in plain Python: :func:`fail_files` says what happens at the n-th.
"""

import os
import signal
from collections.abc import Callable

import numpy as np

from labdaq.native.atomics import add
from labdaq.native.compile import jit
from labdaq.native.libc import syscall

__all__ = ["FAULTS", "arm", "fail_files", "fault_point", "file_operation"]

FAULTS = "LABDAQ_FAULTS" in os.environ

_state = np.zeros(2, np.int64)
_COUNT = int(_state.ctypes.data)
_PID = _COUNT + 8
_SYS_KILL = 62 if os.name == "posix" and os.uname().machine == "x86_64" else 129
_SIGKILL = int(getattr(signal, "SIGKILL", 9))


def arm(transitions: int) -> None:
    """Die at the n-th transition from now on; 0: never."""
    _state[:] = transitions, os.getpid()


@jit
def fault_point() -> None:
    """One transition was made. Nothing, unless faults are on."""
    if FAULTS and add(_COUNT, -1) == 1:
        syscall(_SYS_KILL, add(_PID, 0), _SIGKILL, 0, 0, 0, 0)


_on_file_operation: Callable[[str], None] | None = None


def fail_files(plan: Callable[[str], None] | None) -> None:
    """Call a function before every operation on a file of the store, with its name; it may raise OSError, or kill.

    None: no more. Only tests do this; it holds for this process.
    """
    global _on_file_operation  # noqa: PLW0603
    _on_file_operation = plan


def file_operation(name: str) -> None:
    """One operation on a file is about to be made."""
    if _on_file_operation is not None:
        _on_file_operation(name)
