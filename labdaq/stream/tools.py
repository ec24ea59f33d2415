"""Nodes that everybody needs: hand chunks to a function, convert a stream, split its channels, cut it anew."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labdaq.errors import LayoutError
from labdaq.stream.input import InputStream
from labdaq.stream.layouts import checked_dtype
from labdaq.stream.node import Specs, ThreadNode
from labdaq.stream.output import OutputStream
from labdaq.stream.stages import Reassembler

__all__ = ["ChannelSplitter", "ChunkResizer", "StreamConverter", "ThreadPollInput"]


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
        self.process = function  # type: ignore[assignment,method-assign]


class _Through(ThreadNode):
    """One input, and outputs which carry the same signals in another form."""

    _input_specs: ClassVar[Specs] = {"in": {}}


class StreamConverter(_Through):
    """Sends what it receives in another dtype, or over another transport; the numbers of samples stay.

    Examples
    --------
    >>> with OutputStream().configure(protocol="inproc", dtype="i2") as out, StreamConverter() as converter:
    ...     _ = converter.input.connect(out)
    ...     converter.configure(dtype="f8")
    ...     _ = converter.output.configure(protocol="inproc", dtype="f8")
    ...     converter.initialize()
    ...     with InputStream().connect(converter.output) as inp:
    ...         converter.start()
    ...         _ = out.send(np.arange(3, dtype="i2"))
    ...         inp.recv(timeout=5)
    (3, array([0., 1., 2.]))
    """

    _output_specs: ClassVar[Specs] = {"out": {}}
    _dtype: np.dtype[Any] | None = None

    def _configure(self, *, dtype: DTypeLike | None = None) -> None:  # type: ignore[override]
        self._dtype = None if dtype is None else checked_dtype(dtype)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Convert a chunk and send it."""
        self.output.send(data if self._dtype is None else data.astype(self._dtype), index)


class ChannelSplitter(_Through):
    """Sends groups of channels of one stream as streams of their own.

    `configure` takes ``channels={name: [numbers]}``, and makes an output for each name; configure them then.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._groups: dict[str, list[int]] = {}

    def _configure(self, *, channels: Mapping[str, Sequence[int]]) -> None:  # type: ignore[override]
        shape = self.input.parameters.shape if self.input.is_open else None
        groups = {str(name): [int(number) for number in numbers] for name, numbers in channels.items()}
        most = shape[1] if shape is not None and len(shape) > 1 else None
        wrong = [n for numbers in groups.values() for n in numbers if n < 0 or (most is not None and n >= most)]
        if wrong or not all(groups.values()):
            raise LayoutError(f"channels {wrong or 'without numbers'}: the stream has {most or 'an unknown number'}")
        for out in self.outputs.values():
            out.close()
        self._groups = groups
        self.outputs = {name: OutputStream() for name in groups}

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send each group of channels."""
        for name, numbers in self._groups.items():
            self.outputs[name].send(data[:, numbers], index)


class ChunkResizer(_Through):
    """Sends chunks of exactly ``chunk_size`` samples, given to `configure`; shorter ones only before a gap."""

    _output_specs: ClassVar[Specs] = {"out": {}}

    def _configure(self, *, chunk_size: int) -> None:  # type: ignore[override]
        self._pieces = Reassembler(chunk_size)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send the pieces that are complete."""
        for end, piece in self._pieces.add(index, data, self.input.missed_before):
            self.output.send(piece, end)
