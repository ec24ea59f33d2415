"""A stream as a source: its samples, or pieces of them, become events."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError, WaitTimeoutError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.stream import InputStream
from labdaq.stream.stages import Reassembler

__all__ = ["StreamSource", "as_source"]

_SLICE_S = 0.05


def as_source(source: Any, ring: DeclaredRing) -> Any:
    """What fills a ring: a connected :class:`labdaq.InputStream` becomes a source, anything else is one, or not.

    Raises
    ------
    LayoutError
        The stream carries something else than the ring takes.
    StateError
        The stream is not connected.
    """
    return StreamSource(source, ring) if isinstance(source, InputStream) else source


class StreamSource:
    """Takes events from a stream. Closing the stream is up to who made it: it goes on from run to run.

    If the ring takes single samples, each sample is an event, and its counter is the absolute number of the sample. If
    it takes ``(n, …)``, n samples without a gap are an event; fewer before a gap are counted as lost. Counters go on
    when the sender begins anew. Time stamps follow from those of the chunks and the sample rate.

    Parameters
    ----------
    stream
        Connected. While a run is on, it belongs to the run.
    ring
        What the events are to be.
    """

    def __init__(self, stream: InputStream, ring: DeclaredRing) -> None:
        parameters = stream.parameters
        self.__name__ = parameters.name or "stream"
        self.dtype, self.shape = ring.dtype, ring.shape
        row = parameters.row_shape if parameters.is_fixed and not stream.post_filters else None
        self._rows = 0 if row is None or ring.shape == row else ring.shape[0] if ring.shape[1:] == row else -1
        dtypes = {parameters.dtype, np.dtype(float)} if parameters.is_scaled else {parameters.dtype}
        if self._rows < 0 or (ring.dtype not in dtypes and not stream.post_filters):
            raise LayoutError(
                f"the stream carries {parameters.dtype} of shape {row} for each sample, and ring "
                f"{ring.name!r} takes {ring.dtype} of shape {ring.shape}: declare it so, or as (n, …) for n samples"
            )
        rate = parameters.sample_rate
        self.header: dict[str, Any] = {"unit": parameters.units} if parameters.units else {}
        self.header |= {"sample_interval_ns": 1e9 / rate} if rate != 1.0 else {}
        self._stream, self._interval_ns = stream, 1e9 / rate
        self._session, self._base, self._highest = 0, 0, -1
        self._left: NDArray[Any] | None = None
        self._first = self._stamp = self._step = 0
        self._missed_before = self._short = 0

    def open(self) -> None:
        """Begin a run."""
        self._pieces = Reassembler(self._rows) if self._rows else None
        self._waiting: list[tuple[int, NDArray[Any]]] = []
        self._left, self._short = None, 0
        self._missed_before = self._stream.statistics().missed_samples

    def acquire_batch(self, events: Any) -> int:
        """Fill as many events as there are; see :class:`labdaq.roles.BatchSource`."""
        if self._left is None and not self._take():
            return 0
        rows = self._left
        if rows is None:
            return 0
        count = min(len(rows), len(events))
        events.data[:count] = rows[:count]
        numbers = self._first + self._step * np.arange(count)
        events.planes["counter"][:count] = numbers
        last = self._first + self._step * (len(rows) - 1)
        stamps = self._stamp - (last - numbers) * self._interval_ns
        events.planes["timestamp_ns"][:count] = np.maximum(stamps, 0)
        self._left = rows[count:] if count < len(rows) else None
        self._first += self._step * count
        return count

    def _take(self) -> bool:
        """Receive a chunk; whether there are events in it."""
        try:
            index, data = self._stream.recv(_SLICE_S)
        except WaitTimeoutError:
            return False
        last = self._stream.last
        session = last.session if last is not None else 0
        if session != self._session:
            self._session, self._base = session, self._highest + 1
        self._highest = self._base + index - 1
        self._stamp = last.timestamp_ns if last is not None else 0
        if self._pieces is None:
            rows, first, self._step = data, index - len(data), 1
        else:
            pieces = list(self._pieces.add(index, data, self._stream.missed_before))
            whole = [(end, piece) for end, piece in pieces if len(piece) == self._rows]
            self._short += sum(len(piece) for _end, piece in pieces if len(piece) != self._rows)
            if not whole:
                return False
            rows, first, self._step = np.stack([piece for _end, piece in whole]), whole[0][0] - self._rows, self._rows
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape:
            raise LayoutError(
                f"the stream gave {rows.dtype} of shape {rows.shape[1:]}, and its ring takes {self.dtype} of shape "
                f"{self.shape}"
            )
        self._left, self._first = rows, self._base + first
        return True

    def losses(self) -> dict[str, int]:
        """Samples that did not arrive, and those that did not fill an event before a gap."""
        missed = self._stream.statistics().missed_samples - self._missed_before
        return {"samples missed by the stream": missed, "samples before a gap": self._short}
