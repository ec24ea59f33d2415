"""The receiving end of a stream."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import EndOfDataError, StateError, WaitTimeoutError
from labdaq.stream import names
from labdaq.stream.arrival import Arrival
from labdaq.stream.delivery import Chunk, Delivery
from labdaq.stream.keys import StreamKeys
from labdaq.stream.output import OutputStream
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.stages import Filter
from labdaq.stream.statistics import ChunkInfo, ClockOffset, InputStatistics, StreamEvent
from labdaq.stream.timing import SampleTimes

__all__ = ["InputStream"]


class InputStream(SampleTimes):
    """Receives the chunks of a stream; a context manager. One thread at a time may use it.

    Chunks come complete, in order, and once. Missing ones are visible: `last` tells of the gap before a chunk,
    the buffer holds the fill value there, and `statistics` counts.

    Parameters
    ----------
    raw
        Values as they were sent, without the scale and offset of the stream.
    chunk_size
        Samples in each array that `recv` returns, whatever was sent; less before a gap and at the end.
    spin_s
        With shared memory: look again and again for so long before sleeping. Who spins hears of a chunk sooner than
        the system can wake him, and burns a core; 10 us by default.
    **expected
        Parameters that a stream must have to be connected to: ``dtype``, ``shape`` (-1 fits all), and others.

    Examples
    --------
    >>> import labdaq.stream
    >>> out = labdaq.stream.OutputStream().configure(dtype="i2", scale=0.1, units="mV")
    >>> inp = labdaq.stream.InputStream()
    >>> with out, inp.connect(out):
    ...     _ = out.send(np.arange(4, dtype="i2"))
    ...     inp.set_buffer(100)
    ...     inp.recv(timeout=5)
    ...     inp[-2:]
    (4, array([0. , 0.1, 0.2, 0.3]))
    array([0.2, 0.3])
    """

    def __init__(
        self, *, raw: bool = False, chunk_size: int | None = None, spin_s: float | None = None, **expected: Any
    ) -> None:
        super().__init__()
        self._delivery = Delivery(raw=raw, chunk_size=chunk_size)
        self._ready = self._delivery.ready
        self._spin_s = spin_s
        checked = StreamParameters().changed(**expected)
        self._expected = {name: getattr(checked, name) for name in expected}
        self._arrival: Arrival | None = None

    @property
    def post_filters(self) -> list[Filter]:
        """Functions, each of which takes an array of samples, time first, and returns one.

        They are applied in order to whatever arrives.
        """
        return self._delivery.post_filters

    def connect(
        self,
        sender: "OutputStream | str",
        *,
        timeout: float = 5.0,
        keys: StreamKeys | None = None,
        server: str | None = None,
        max_chunk_nbytes: int = 1 << 30,
    ) -> "InputStream":
        """Connect to a stream; an earlier connection is closed.

        Everything that is sent after this returns will be heard. If the sender goes away and comes back at the
        same address, it is heard again.

        Parameters
        ----------
        sender
            The stream itself, its address, or its name on this machine.
        timeout
            Seconds to wait for the sender to answer.
        keys, server
            Your keys, and the public key of the sender, for streams that are encrypted.
        max_chunk_nbytes
            Larger messages are not taken in.

        Returns
        -------
        InputStream
            Itself.

        Raises
        ------
        WaitTimeoutError
            Nobody answers there.
        NotFoundError
            There is no stream of this name.
        DataError
            Who answers is no sender of this version of streams, or refuses.
        LayoutError
            The stream is not as expected.
        """
        if isinstance(sender, OutputStream):
            address = sender.address
        else:
            address = sender if "://" in sender else names.address_of(sender)
        self.close()
        arrival = Arrival(address, keys=keys, server=server, most_nbytes=max_chunk_nbytes, expected=self._expected)
        arrival.spin_s = self._spin_s
        try:
            arrival.join(timeout)
        except BaseException:
            arrival.close()
            raise
        self._arrival = arrival
        self._finalizer = weakref.finalize(self, arrival.close)
        return self

    # ---------------------------------------------------------------------------------- what it is

    def _connected(self) -> Arrival:
        if self._arrival is None:
            raise StateError("connect() the stream first")
        return self._arrival

    @property
    def parameters(self) -> StreamParameters:
        """What the sender said the stream is."""
        return self._connected().parameters

    params = parameters

    @property
    def carried(self) -> dict[str, Any]:
        """The parameters of an output that sends on what `recv` returns."""
        parameters = self.parameters
        is_scaled = parameters.is_scaled and not self._delivery.is_raw
        names = ("streamtype", "sample_rate", "units", "channels", "scale", "offset")
        carried = {name: getattr(parameters, name) for name in names}
        if is_scaled:
            carried |= {"scale": None, "offset": None}
        dtype = np.dtype(float) if is_scaled else parameters.dtype
        return {**carried, "dtype": dtype, "shape": (-1, *parameters.row_shape) if parameters.is_fixed else None}

    @property
    def is_open(self) -> bool:
        """Whether `connect` was called, and not `close`."""
        return self._arrival is not None

    @property
    def connected(self) -> bool:
        """Whether the sender answered lately."""
        return self._arrival is not None and self._arrival.link.is_connected

    @property
    def events(self) -> list[StreamEvent]:
        """What happened to the connection: the last thousand."""
        return list(self._connected().link.events)

    @property
    def last(self) -> ChunkInfo | None:
        """Where the chunk that came last belongs; None before the first."""
        return self._connected().last

    @property
    def missed_before(self) -> int:
        """Samples that are missing right before the chunk that came last."""
        return self._connected().missed_before

    # ------------------------------------------------------------------------------------- receiving

    def recv(self, timeout: float | None = None, *, copy: bool = True) -> Chunk:
        """The next chunk.

        Parameters
        ----------
        timeout
            Seconds; None waits for ever, 0 takes only what is there.
        copy
            False, with shared memory: a view that is valid until the next call.

        Returns
        -------
        int
            Absolute number of the sample after the last one of this chunk.
        numpy.ndarray
            The samples, time first.

        Raises
        ------
        WaitTimeoutError
            None came in time; the message tells when the sender does not answer.
        EndOfDataError
            The sender has closed the stream, and everything was received. If it comes back, `recv` goes on.
        """
        ready = self._ready
        if ready:
            return ready.popleft()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready:
            arrival = self._arrival or self._connected()
            try:
                index, data = arrival.next(deadline, copy=copy)
            except EndOfDataError:
                rest = self._delivery.rest()
                if rest is None:
                    raise
                return rest
            chunk = self._delivery.passed(index, data, arrival)
            if chunk is not None:
                return chunk
        return ready.popleft()

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether `recv` would return a chunk, or raise the end, at once."""
        if self._ready:
            return True
        try:
            self._ready.appendleft(self.recv(timeout))
        except WaitTimeoutError:
            return False
        except EndOfDataError:
            return True
        return True

    def empty_queue(self) -> int:
        """Pass over all chunks that wait, without keeping them in the buffer; how many there were."""
        count = len(self._ready)
        self._ready.clear()
        try:
            while True:
                self._connected().next(time.monotonic(), copy=False)
                count += 1
        except (WaitTimeoutError, EndOfDataError):
            return count

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks up to the end of the stream."""
        while True:
            try:
                yield self.recv()
            except EndOfDataError:
                return

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Chunks up to the end of the stream, without holding up the event loop."""
        while True:
            try:
                yield await asyncio.to_thread(self.recv, 0.1)
            except WaitTimeoutError:
                continue
            except EndOfDataError:
                return

    # --------------------------------------------------------------------------------------- buffer

    def set_buffer(self, size: int | None = None, *, fill: Any = None) -> None:
        """Keep the last samples that `recv` returned, to be looked at by their numbers.

        Parameters
        ----------
        size
            How many; ten seconds of the stream, and at least 1000, by default.
        fill
            Stands for missing samples; that of the stream, or NaN, NaT or 0, by default.
        """
        self._delivery.set_buffer(size, fill, self._connected())

    @property
    def index(self) -> int:
        """Absolute number of the next sample."""
        return self._connected().index

    def __getitem__(self, key: Any) -> Any:
        """Samples in the buffer by absolute number, or from the end by negative ones; see `History`."""
        return self._delivery.history[key]

    def get_data(self, start: int, stop: int, *, copy: bool = False) -> NDArray[Any]:
        """The samples from an absolute number up to another.

        Raises
        ------
        IndexError
            When some are not in the buffer, or not there yet.
        """
        found = self._delivery.history.get(start, stop)
        return np.array(found) if copy else found

    def get_array_slice(self, index: int, length: int) -> NDArray[Any]:
        """The ``length`` samples that end before an absolute number, as `recv` returned it."""
        return self.get_data(index - length, index)

    def reset_buffer_index(self) -> None:
        """Forget what is in the buffer."""
        self._delivery.forget(self._connected().index)

    # ----------------------------------------------------------------------------------------- time

    def _asked_for_time(self, count: int, timeout: float) -> ClockOffset:
        return self._connected().link.ask(count, timeout)[0]

    def lag(self, timeout: float = 2.0) -> int:
        """How many samples this reader is behind its sender.

        Raises
        ------
        WaitTimeoutError
            It does not answer.
        """
        arrival = self._connected()
        return max(0, arrival.link.ask(1, timeout)[2] - arrival.index)

    # ----------------------------------------------------------------------------------------- life

    def statistics(self) -> InputStatistics:
        """What was received, and what is missing."""
        return self._connected().statistics()

    def close(self) -> None:
        """Leave the stream; what was not received is counted as lost by its sender. Twice is allowed."""
        if self._arrival is not None:
            self._arrival = None
            self._delivery.close()
            self._finalizer()

    def __enter__(self) -> "InputStream":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._arrival is None:
            return "<input stream, not connected>"
        parameters = self._arrival.parameters
        return (
            f"<input stream of {parameters.dtype} {parameters.shape or 'any shape'} from {self._arrival.link.address}>"
        )
