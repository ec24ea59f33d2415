"""What happens to samples between `send` and the wire, and between the wire and `recv`."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.parameters import StreamParameters

__all__ = ["Chunker", "Filter", "Reassembler", "filtered", "scaled"]

Filter = Callable[[Any], Any]
"""Takes an array of samples, time first, and returns one."""


def filtered(data: Any, filters: list[Filter]) -> Any:
    """Apply filters, one after the other.

    Examples
    --------
    >>> filtered(np.array([1, 2]), [lambda x: x * 2, lambda x: x + 1]).tolist()
    [3, 5]
    """
    for function in filters:
        data = function(data)
    return data


def scaled(data: NDArray[Any], parameters: StreamParameters) -> NDArray[Any]:
    """``scale * data + offset``, in float64.

    Examples
    --------
    >>> scaled(np.array([1, 2], "i2"), StreamParameters(dtype="i2", scale=0.5, offset=10)).tolist()
    [10.5, 11.0]
    """
    values = data * np.float64(1.0 if parameters.scale is None else parameters.scale)
    if parameters.offset is not None:
        values += parameters.offset
    return values


class Chunker:
    """Collects samples until they are worth a chunk, or have waited long enough.

    Examples
    --------
    >>> chunker = Chunker(3, None)
    >>> chunker.add(np.arange(2), 2, 0), chunker.add(np.arange(2, 4), 4, 0)[0].tolist()
    (None, [0, 1, 2, 3])
    """

    def __init__(self, least: int, max_delay: float | None) -> None:
        self._least, self._max_delay = least, max_delay
        self._parts: list[NDArray[Any]] = []
        self._rows = 0
        self._index = self._timestamp_ns = 0
        self._deadline: float | None = None

    @property
    def state(self) -> tuple[Any, ...]:
        """What was collected, to be put back when it could not be sent."""
        return self._parts, self._rows, self._index, self._timestamp_ns, self._deadline

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        self._parts, self._rows, self._index, self._timestamp_ns, self._deadline = state

    def follows(self, begin: int) -> bool:
        """Whether samples that begin here come right after those collected."""
        return not self._parts or begin == self._index

    def add(self, data: NDArray[Any], index: int, timestamp_ns: int) -> tuple[NDArray[Any], int, int] | None:
        """Add samples; a chunk with its index and time stamp, when there are enough."""
        if not self._parts and self._max_delay is not None:
            self._deadline = time.monotonic() + self._max_delay
        self._parts = [*self._parts, np.array(data)]
        self._rows += len(data)
        self._index, self._timestamp_ns = index, timestamp_ns
        return self.take() if self._rows >= self._least else None

    def is_due(self) -> bool:
        """Whether samples have waited as long as they may."""
        return bool(self._parts) and self._deadline is not None and time.monotonic() >= self._deadline

    def take(self) -> tuple[NDArray[Any], int, int] | None:
        """All that was collected; None when there is nothing."""
        if not self._parts:
            return None
        whole = np.concatenate(self._parts)
        self._parts, self._rows = [], 0
        return whole, self._index, self._timestamp_ns


class Reassembler:
    """Cuts a stream into pieces of one length. A piece never spans a gap: what is before it is handed out shorter.

    Examples
    --------
    >>> pieces = Reassembler(2)
    >>> [(index, piece.tolist()) for index, piece in pieces.add(3, np.arange(3), 0)]
    [(2, [0, 1])]
    >>> [(index, piece.tolist()) for index, piece in pieces.add(6, np.arange(5, 6), 2)]
    [(3, [2])]
    """

    def __init__(self, rows: int) -> None:
        if isinstance(rows, bool) or int(rows) != rows or rows < 1:
            raise LayoutError(f"chunk_size={rows!r}: a whole number of at least 1")
        self._rows = int(rows)
        self._rest: NDArray[Any] | None = None
        self._index = 0

    def add(self, index: int, data: NDArray[Any], missed: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Pieces that are complete with this chunk, each with the index after it."""
        rest = self._rest
        if rest is not None and missed:
            yield self._index, rest
            rest = None
        whole = data if rest is None else np.concatenate([rest, data])
        begin = index - len(whole)
        count = len(whole) // self._rows
        for number in range(count):
            end = (number + 1) * self._rows
            yield begin + end, whole[end - self._rows : end]
        left = whole[count * self._rows :]
        self._rest, self._index = (np.array(left) if len(left) else None), index

    def end(self) -> tuple[int, NDArray[Any]] | None:
        """What is left at the end, shorter than the others."""
        rest, self._rest = self._rest, None
        return None if rest is None else (self._index, rest)
