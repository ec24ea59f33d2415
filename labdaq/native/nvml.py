"""Which NVIDIA GPUs there are, and how full their memory is; asked of their driver, in well under a millisecond.

The driver's own library (NVML) is what `nvidia-smi` asks, too. No package is needed, and no context is made on a GPU.
"""

import ctypes
from functools import cache
from typing import Any, NamedTuple

__all__ = ["Gpu", "gpus"]


class Gpu(NamedTuple):
    """One GPU."""

    number: int
    name: str
    total_nbytes: int
    free_nbytes: int


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


@cache
def _library(name: str) -> Any:
    """The library, ready; None where there is none, or no driver behind it."""
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library


def gpus(library: str = "libnvidia-ml.so.1") -> list[Gpu]:
    """The GPUs of this machine; none without a driver.

    Examples
    --------
    >>> gpus("no library of this name")
    []
    """
    nvml = _library(library)
    if nvml is None:
        return []
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return []
    found = [_one(nvml, number) for number in range(count.value)]
    return [gpu for gpu in found if gpu is not None]


def _one(nvml: Any, number: int) -> Gpu | None:
    handle, name, memory = ctypes.c_void_p(), ctypes.create_string_buffer(96), _Memory()
    if (
        nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(handle))
        or nvml.nvmlDeviceGetName(handle, name, ctypes.c_uint(len(name)))
        or nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    ):
        return None  # lost, or of somebody else
    return Gpu(number, name.value.decode(errors="replace"), int(memory.total), int(memory.free))
