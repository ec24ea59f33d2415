"""A device that needs no GPU and is as late as it may be: whoever forgets to wait reads wrong data, every time.

Its memory is ordinary memory, and its work is done by NumPy. But nothing that is put on a stream is done before
somebody waits for it: for an event, for a copy to the processor, or, with a stream of its own, for something that
waits for an event. A real GPU is allowed to be as late; it seldom is, which is why forgotten waits are found late.
Each thread has a stream of its own, unlike in CUDA, where work on the default streams is in order by itself.

::

    SPACES["late"] = DeviceSpace("late", LateDevice, on_host=False)
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LateArray", "LateDevice", "LateEvent", "LateStream"]

_lock = threading.RLock()  # one for all: streams wait for each other in any order
_here = threading.local()


class LateEvent:
    """A mark on a stream."""

    def __init__(self, stream: "LateStream") -> None:
        self._stream = stream
        self.done = False

    def synchronize(self) -> None:
        """Do the work before it now."""
        self._stream.work_until(self)


class LateStream:
    """Work that is done when it has to be; a context manager, in which this thread works on it."""

    def __init__(self) -> None:
        self.ptr = id(self)
        self._work: deque[Callable[[], None] | LateEvent] = deque()
        self._before: list[LateStream | None] = []

    def put(self, work: "Callable[[], None] | LateEvent") -> None:
        """Put work, or a mark, behind all that is there."""
        with _lock:
            self._work.append(work)

    def work_until(self, event: LateEvent) -> None:
        """Do what is before a mark, in order."""
        with _lock:
            while not event.done:
                first = self._work.popleft()
                if isinstance(first, LateEvent):
                    first.done = True
                else:
                    first()

    def synchronize(self) -> None:
        """Do everything now."""
        event = LateEvent(self)
        self.put(event)
        event.synchronize()

    def __enter__(self) -> "LateStream":
        self._before.append(getattr(_here, "stream", None))
        _here.stream = self
        return self

    def __exit__(self, *_exception: object) -> None:
        _here.stream = self._before.pop()


def _current() -> LateStream:
    stream: LateStream | None = getattr(_here, "stream", None)
    if stream is None:
        stream = _here.stream = LateStream()
    return stream


class LateArray(np.ndarray[Any, Any]):
    """An array of the device: what is written to it is written later, what is computed from it waits."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """By this labdaq knows arrays of devices. The address is not one of CUDA."""
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.ctypes.data, False), "version": 3}

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(value, LateArray | int | float | complex | np.generic):
            raise TypeError(f"unsupported type {type(value)}: as CuPy's, arrays of this device take arrays of theirs")
        target, source = self.view(np.ndarray), _plain(value)
        _current().put(lambda: target.__setitem__(key, source))

    def get(self) -> NDArray[Any]:
        """A copy for the processor; waits for this thread's stream."""
        _current().synchronize()
        return np.array(self.view(np.ndarray))

    def fill(self, value: Any) -> None:
        """Set all."""
        self[...] = value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        _current().synchronize()
        return _late(getattr(ufunc, method)(*map(_plain, inputs), **{k: _plain(v) for k, v in settings.items()}))

    def __array_function__(self, function: Any, _types: Any, inputs: Any, settings: Any) -> Any:
        _current().synchronize()
        return _late(function(*_plain(inputs), **{k: _plain(v) for k, v in settings.items()}))


def _plain(value: Any) -> Any:
    if isinstance(value, LateArray):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value)
    return value


def _late(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.view(LateArray)
    return [_late(one) for one in value] if isinstance(value, list) else value


class LateDevice:
    """See :class:`labdaq.native.cuda.Device`. It copies and computes; it cannot compile kernels.

    Examples
    --------
    >>> device = LateDevice()
    >>> there, here = device.allocate(2), np.array([1, 2], "u1")
    >>> device.copy(there, here)
    >>> there.view(np.ndarray)  # nobody has waited
    array([0, 0], dtype=uint8)
    >>> device.to_host(there)
    array([1, 2], dtype=uint8)
    """

    xp: Any = np

    def allocate(self, nbytes: int) -> LateArray:
        """See :class:`labdaq.native.cuda.Device`."""
        array: LateArray = np.zeros(nbytes, np.uint8).view(LateArray)
        return array

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """See :class:`labdaq.native.cuda.Device`."""
        return np.zeros(nbytes, np.uint8)

    def stream(self) -> LateStream:
        """See :class:`labdaq.native.cuda.Device`."""
        return _current()

    def new_stream(self) -> LateStream:
        """See :class:`labdaq.native.cuda.Device`."""
        return LateStream()

    def record(self, stream: LateStream) -> LateEvent:
        """See :class:`labdaq.native.cuda.Device`."""
        event = LateEvent(stream)
        stream.put(event)
        return event

    def wait(self, stream: LateStream, event: LateEvent) -> None:
        """See :class:`labdaq.native.cuda.Device`."""
        stream.put(event.synchronize)

    def copy(self, target: Any, source: Any) -> None:
        """See :class:`labdaq.native.cuda.Device`. A source of the processor is read late, too, as if it were pinned."""
        there, here = target.view(np.ndarray), np.asarray(source).view(np.ndarray)
        _current().put(lambda: there.__setitem__(..., here))

    def to_device(self, array: Any) -> LateArray:
        """See :class:`labdaq.native.cuda.Device`."""
        copied: LateArray = np.empty_like(array).view(LateArray)
        self.copy(copied, np.array(array))
        return copied

    def to_host(self, array: Any) -> NDArray[Any]:
        """See :class:`labdaq.native.cuda.Device`."""
        return array.get() if isinstance(array, LateArray) else np.array(array)
