"""What labdaq needs of a GPU, in ten calls, and how CuPy makes them.

Everything else is written against :class:`Device`: rings and copies run the same on another device, such as
`labdaq.testing.LateDevice`, which needs no GPU and does its work as late as it may. Work is put on *streams*: what is
on one is done in order, what is on two is done in any order, and *events* are the marks by which one waits for the
other. No call here waits for a whole device.

Source: NVIDIA, *CUDA C++ Programming Guide*, chapter "Asynchronous Concurrent Execution".
"""

import contextlib
import importlib.util
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import MissingExtraError, ResourceError

__all__ = [
    "C_TYPES",
    "CupyDevice",
    "Device",
    "Event",
    "Kernel",
    "Stream",
    "as_array",
    "cuda_device",
    "device_of",
    "is_on_device",
]

C_TYPES = {
    "i1": "signed char", "i2": "short", "i4": "int", "i8": "long long", "f4": "float", "f8": "double",
    "u1": "unsigned char", "u2": "unsigned short", "u4": "unsigned int", "u8": "unsigned long long",
}  # fmt: skip
"""What numbers of arrays are called in C."""

_PRELUDE = """
#define KERNEL extern "C" __global__ void
#define THREAD ((long long)blockIdx.x * blockDim.x + threadIdx.x)
#define ADD(where, amount) atomicAdd(where, amount)
#ifndef INFINITY
#define INFINITY __longlong_as_double(0x7ff0000000000000LL)
#endif
#ifndef NAN
#define NAN __longlong_as_double(0x7ff8000000000000LL)
#endif
"""
_THREADS_PER_BLOCK = 256


class Kernel(NamedTuple):
    """A function in CUDA C, for as many threads as are asked for.

    Of CUDA it uses nothing but three words, which :meth:`code` defines: KERNEL before its name, THREAD for the number
    of the thread, ADD for what several threads add up. Whole numbers among its arguments are ``long long``, real ones
    ``double``.
    """

    name: str
    source: str

    def of(self, **words: Any) -> "Kernel":
        """The same with these words defined."""
        defined = "".join(f"#define {word} {meaning}\n" for word, meaning in words.items())
        return Kernel(self.name, defined + self.source)

    @property
    def code(self) -> str:
        """All that the compiler needs."""
        return _PRELUDE + self.source


class Stream(Protocol):
    """A queue of work."""

    ptr: int
    """Two that have the same are the same."""

    def synchronize(self) -> None:
        """Wait until all work on it is done, with this thread."""


class Event(Protocol):
    """A mark on a stream."""

    done: bool
    """Whether all work before it is done."""

    def synchronize(self) -> None:
        """Wait until it is, with this thread."""


class Device(Protocol):
    """A machine that works beside the processor, with memory of its own."""

    xp: Any
    """The module with its arrays, as ``numpy`` is that of the processor."""

    def allocate(self, nbytes: int) -> Any:
        """Memory of the device, as an array of bytes. Raises ResourceError."""

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Memory of the processor which the device reaches by itself. Raises ResourceError."""

    def stream(self) -> Stream:
        """The stream on which this thread works now."""

    def new_stream(self) -> contextlib.AbstractContextManager[Any]:
        """Another stream: this thread works on it until the context is left."""

    def record(self, stream: Stream) -> Event:
        """A mark behind all that is on a stream now."""

    def wait(self, stream: Stream, event: Event) -> None:
        """Let what comes onto a stream from now on wait for a mark. This thread does not wait."""

    def launch(self, kernel: Kernel, threads: int, *arguments: Any) -> None:
        """Run a kernel with arrays and numbers, on this thread's stream."""

    def copy(self, target: Any, source: Any) -> None:
        """Copy an array to one of the same dtype and shape, here or there, on this thread's stream."""

    def to_device(self, array: Any) -> Any:
        """A copy on the device, made on this thread's stream."""

    def to_host(self, array: Any) -> NDArray[Any]:
        """A copy for the processor; waits until it is made."""


def is_on_device(array: Any) -> bool:
    """Whether an array is in the memory of a GPU.

    Examples
    --------
    >>> is_on_device(np.zeros(3))
    False
    """
    return hasattr(type(array), "__cuda_array_interface__")


def as_array(values: Any) -> Any:
    """An array of a device as it is; anything else as an array of the processor."""
    return values if is_on_device(values) else np.asarray(values)


def device_of(array: Any) -> "Device | None":
    """On which device an array is; None in ordinary memory.

    Examples
    --------
    >>> device_of([1, 2]) is None
    True
    """
    if not is_on_device(array):
        return None
    own: Device | None = getattr(array, "labdaq_device", None)
    return own if own is not None else cuda_device()


class CupyDevice:
    """The current NVIDIA GPU, by CuPy.

    Raises
    ------
    MissingExtraError
        CuPy is not installed.
    ResourceError
        There is no driver, or no GPU.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("cupy") is None:
            raise MissingExtraError(
                "memory and kernels of a GPU need CuPy: pip install 'labdaq[cuda]' (for CUDA 12; "
                "'cupy-cuda13x' for CUDA 13)"
            )
        import cupy

        self.xp: Any = cupy
        self._kernels: dict[Kernel, Any] = {}
        self._runtime: Any = cupy.cuda.runtime
        try:
            count = self._runtime.getDeviceCount()
        except Exception as error:
            raise ResourceError(
                f"CuPy is installed, and finds no driver of an NVIDIA GPU ({error}): install it, or see whether "
                "`nvidia-smi` lists a GPU; in a container give it one (--gpus all)"
            ) from error
        if count == 0:
            raise ResourceError("CuPy is installed, and there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it")

    def allocate(self, nbytes: int) -> Any:
        """See :class:`Device`."""
        # Not from CuPy's pool, which would give the memory to others while streams still work in it: the driver
        # takes plain memory back only when all work is done.
        memory = self._or_refused(lambda: self.xp.cuda.Memory(nbytes), nbytes, "GPU memory")
        array = self.xp.ndarray((nbytes,), np.uint8, self.xp.cuda.MemoryPointer(memory, 0))
        array.fill(0)
        self.stream().synchronize()  # once; later streams have nothing to wait for
        return array

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """See :class:`Device`."""
        memory = self._or_refused(lambda: self.xp.cuda.PinnedMemory(nbytes), nbytes, "pinned memory")
        pointer = self.xp.cuda.PinnedMemoryPointer(memory, 0)
        array: NDArray[np.uint8] = np.frombuffer(pointer, np.uint8, nbytes)
        array[...] = 0  # touched, so that the first pass is not slow
        return array

    def _or_refused(self, make: Any, nbytes: int, what: str) -> Any:
        try:
            return make()
        except (self._runtime.CUDARuntimeError, MemoryError) as error:
            free, total = self._runtime.memGetInfo()
            raise ResourceError(
                f"{nbytes / 1e6:.1f} MB of {what} are not to be had ({error}); of the {total / 1e6:.0f} MB of this GPU "
                f"{free / 1e6:.0f} are free: ask for a smaller capacity, close rings that are no longer used, or give "
                "back what CuPy keeps: cupy.get_default_memory_pool().free_all_blocks()"
            ) from error

    def stream(self) -> Any:
        """See :class:`Device`."""
        return self.xp.cuda.get_current_stream()

    def new_stream(self) -> Any:
        """See :class:`Device`."""
        return self.xp.cuda.Stream(non_blocking=True)

    def record(self, stream: Any) -> Any:
        """See :class:`Device`."""
        event = self.xp.cuda.Event(block=True, disable_timing=True)  # who waits for it sleeps, without the GIL
        event.record(stream)
        return event

    def wait(self, stream: Any, event: Any) -> None:
        """See :class:`Device`."""
        stream.wait_event(event)

    def launch(self, kernel: Kernel, threads: int, *arguments: Any) -> None:
        """See :class:`Device`."""
        if threads == 0:
            return
        compiled = self._kernels.get(kernel)
        if compiled is None:
            compiled = self._kernels[kernel] = self.xp.RawKernel(kernel.code, kernel.name)
        converted = tuple(_NUMBERS.get(type(one), _same)(one) for one in arguments)
        compiled((-(-threads // _THREADS_PER_BLOCK),), (_THREADS_PER_BLOCK,), converted)

    def copy(self, target: Any, source: Any) -> None:
        """See :class:`Device`."""
        if target.flags.c_contiguous and source.flags.c_contiguous:
            ends = _address(target), _address(source)
            self._runtime.memcpyAsync(*ends, target.nbytes, self._runtime.memcpyDefault, self.stream().ptr)
            return
        for one, other in zip(target, source, strict=True):  # lanes that lie apart
            self.copy(one, other)

    def to_device(self, array: Any) -> Any:
        """See :class:`Device`."""
        return self.xp.asarray(array)

    def to_host(self, array: Any) -> NDArray[Any]:
        """See :class:`Device`."""
        return np.asarray(self.xp.asnumpy(array))


def _same(value: Any) -> Any:
    return value


_NUMBERS: dict[type, Any] = {int: np.int64, float: np.float64}


def _address(array: Any) -> int:
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)


@cache
def cuda_device() -> CupyDevice:
    """The GPU of this process. See :class:`CupyDevice` for what is raised where there is none."""
    return CupyDevice()
