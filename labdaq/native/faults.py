"""Points at which a process can be made to die, to prove that the others survive it.

In a process started with the variable ``LABDAQ_FAULTS`` set, every transition of the engine counts down,
and the process kills itself (SIGKILL: nothing is tidied up) when the count set by :func:`arm` is over. In
all other processes the points are compiled to nothing.
"""

import os
import signal

import numpy as np

from labdaq.native.atomics import add
from labdaq.native.compile import jit
from labdaq.native.libc import syscall

__all__ = ["FAULTS", "arm", "fault_point"]

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
