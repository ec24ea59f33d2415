"""Chunks are handed to a function."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from labdaq.stream.input import InputStream
from labdaq.stream.node import ThreadNode

__all__ = ["ThreadPollInput"]


class ThreadPollInput:
    """Reads an input in a thread and hands every chunk to a function; a context manager.

    While it runs the input belongs to the thread.

    Parameters
    ----------
    stream
        A connected input.
    function
        Called with the index after each chunk (64 bits and more) and its samples.

    Examples
    --------
    >>> import threading
    >>> import numpy as np
    >>> from labdaq.stream import OutputStream
    >>> seen, came = [], threading.Event()
    >>> def keep(index, data):
    ...     seen.append(index)
    ...     came.set()
    >>> with OutputStream().configure(protocol="inproc") as out, InputStream().connect(out) as inp:
    ...     with ThreadPollInput(inp, keep):
    ...         _ = out.send(np.ones(3, "f4"))
    ...         _ = came.wait(5)
    >>> seen
    [3]
    """

    def __init__(self, stream: InputStream, function: Callable[[int, NDArray[Any]], object]) -> None:
        self._node = _Handing(function)
        self._node.inputs = {"in": stream}

    def start(self) -> None:
        """Begin to read. Raises StateError when it does already."""
        if not self._node.initialized:
            self._node.configure()
            self._node.initialize()
        self._node.start()

    def stop(self) -> None:
        """End reading; what the function raised is raised here."""
        self._node.stop()

    def __enter__(self) -> "ThreadPollInput":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


class _Handing(ThreadNode):
    def __init__(self, function: Callable[[int, NDArray[Any]], object]) -> None:
        super().__init__("poll")
        self._function = function

    def process(self, index: int, data: NDArray[Any]) -> None:
        self._function(index, data)
