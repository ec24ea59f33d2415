"""What becomes of chunks at the reader: scaled, filtered, kept by their numbers, cut into pieces of one length."""

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import StateError
from labdaq.stream.arrival import Arrival
from labdaq.stream.history import History
from labdaq.stream.stages import Filter, Reassembler, filtered, scaled

__all__ = ["Chunk", "Delivery"]

Chunk = tuple[int, NDArray[Any]]


class Delivery:
    """The last stages of a stream, between its connection and `recv`.

    Attributes
    ----------
    post_filters : list of callable
        Applied to whatever arrives, in order.
    is_raw : bool
        Whether values stay as they were sent.
    ready : deque
        Chunks to be handed out.
    """

    def __init__(self, *, raw: bool, chunk_size: int | None) -> None:
        self.post_filters: list[Filter] = []
        self.is_raw = raw
        self.ready: deque[Chunk] = deque()
        self._pieces = Reassembler(chunk_size) if chunk_size is not None else None
        self._buffer_size = 0
        self._history: History | None = None
        self._fill: Any = None
        self._session = 0

    def passed(self, index: int, data: NDArray[Any], arrival: Arrival) -> Chunk | None:
        """A chunk as it is handed out at once; None when it, or pieces of it, are `ready` instead, if any."""
        if arrival.is_scaled and not self.is_raw:
            data = scaled(data, arrival.parameters)
        if not (self.post_filters or self._buffer_size or self._pieces):
            return index, data
        if self._session != arrival.link.session:
            self._begin_session(arrival.link.session)
        data = filtered(data, self.post_filters)
        if self._buffer_size:
            self._keep(index, data, arrival)
        if self._pieces is not None:
            self.ready.extend(self._pieces.add(index, data, arrival.missed_before))
            return None
        return index, data

    def rest(self) -> Chunk | None:
        """What waited for the end of a piece, when there is no more."""
        return self._pieces.end() if self._pieces is not None else None

    def _begin_session(self, session: int) -> None:
        """Samples of another life of the sender have numbers of their own."""
        self._session, self._history = session, None
        rest = self.rest()
        if rest is not None:
            self.ready.append(rest)

    # --------------------------------------------------------------------------------------- buffer

    def set_buffer(self, size: int | None, fill: Any, arrival: Arrival) -> None:
        """See `InputStream.set_buffer`."""
        parameters = arrival.parameters
        if size is None:
            size = max(1000, math.ceil(10 * parameters.sample_rate))
        History(size, np.dtype("u1"), ())
        self._buffer_size, self._fill, self._history = int(size), fill, None
        if parameters.is_fixed and not self.post_filters:
            dtype = np.dtype(float) if parameters.is_scaled and not self.is_raw else parameters.dtype
            chosen = parameters.fill if fill is None else fill
            self._session = arrival.link.session
            self._history = History(self._buffer_size, dtype, parameters.row_shape, chosen)
            self._history.reset(arrival.index)

    def _keep(self, index: int, data: NDArray[Any], arrival: Arrival) -> None:
        history = self._history
        form = (data.dtype, data.shape[1:])
        if history is None or (history.dtype, history.shape) != form:
            fill = arrival.parameters.fill if self._fill is None else self._fill
            history = self._history = History(self._buffer_size, *form, fill)
            history.reset(index - len(data))
        history.append(index, data)

    @property
    def history(self) -> History:
        """The buffer.

        Raises
        ------
        StateError
            None was asked for.
        IndexError
            Nothing came, and what will come is not known.
        """
        if self._history is None:
            if not self._buffer_size:
                raise StateError("set_buffer(size) first")
            raise IndexError("the buffer is empty: nothing was received")
        return self._history

    def forget(self, index: int) -> None:
        """Forget what is in the buffer; the next sample has this number."""
        if self._history is not None:
            self._history.reset(index)

    def close(self) -> None:
        """Forget everything that came."""
        self._history = None
        self.ready.clear()
