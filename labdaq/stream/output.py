"""The sending end of a stream."""

import contextlib
import time
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import BusyError, ClosedError, LayoutError, StateError, WaitTimeoutError
from labdaq.stream import names
from labdaq.stream.endpoints import check_security
from labdaq.stream.gate import Gate
from labdaq.stream.keys import StreamKeys
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.plain import PlainSender
from labdaq.stream.service import Service
from labdaq.stream.shared import SharedSender
from labdaq.stream.stages import Chunker, Filter, filtered
from labdaq.stream.statistics import OutputStatistics

__all__ = ["OutputStream"]


class OutputStream:
    """Sends chunks of samples to any number of readers; a context manager.

    Every chunk is checked, numbered and stamped. What becomes of chunks that a reader is too slow for is the
    ``policy`` of the stream, and counted. One thread at a time may send.

    Attributes
    ----------
    pre_filters : list of callable
        Each takes an array of samples, time first, and returns one; applied in order to whatever is sent, in
        every transport, before dtype and shape are checked.

    Examples
    --------
    >>> import numpy as np
    >>> import labdaq.stream
    >>> data = np.array([[1, 2], [3, 4], [5, 6]])
    >>> out = labdaq.stream.OutputStream()
    >>> inp = labdaq.stream.InputStream()
    >>> with out.configure(dtype=data.dtype), inp.connect(out):
    ...     _ = out.send(data)
    ...     inp.recv(timeout=5)
    (3, array([[1, 2],
           [3, 4],
           [5, 6]]))
    """

    def __init__(self, **parameters: Any) -> None:
        self.pre_filters: list[Filter] = []
        self._fixed = dict(parameters)
        self._gate = Gate(StreamParameters().changed(**parameters))
        self._service: Service | None = None
        self._is_closed = False
        self._final: OutputStatistics | None = None

    def configure(
        self,
        *,
        interface: str = "127.0.0.1",
        port: int | str = 0,
        keys: StreamKeys | None = None,
        allowed: Iterable[str] = (),
        **parameters: Any,
    ) -> "OutputStream":
        """Say what will be sent, and open the stream; whoever was connected to an earlier one is told of its end.

        Parameters
        ----------
        interface, port
            Where to be reached with ``protocol="tcp"``. Port 0 (or ``"*"``): any free one.
        keys, allowed
            Your keys, and the public keys of those who may connect: needed for all but loopback.
        **parameters
            See `StreamParameters`.

        Returns
        -------
        OutputStream
            Itself.

        Raises
        ------
        LayoutError
            For parameters that are not possible, differ from those given to the constructor, or would let
            others listen without keys.
        BusyError
            The name is in use.
        ResourceError
            The address is.
        """
        if changed := {n: v for n, v in self._fixed.items() if n in parameters and parameters[n] != v}:
            raise LayoutError(f"this stream was made with {changed}, which cannot be configured otherwise")
        wanted = StreamParameters().changed(**{**self._fixed, **parameters})
        allowed = tuple(allowed)
        check_security(wanted.protocol, interface, keys, allowed)
        number = _checked_port(port)
        sender = PlainSender(wanted) if wanted.transfermode == "plaindata" else SharedSender(wanted)
        self.close()
        self._gate, self._sender = Gate(wanted), sender
        self._has_begun = self._is_closed = False
        self._chunker = Chunker(wanted.min_chunk, wanted.max_delay) if wanted.min_chunk else None
        self._chunks = self._samples = self._nbytes = self._unheard = self._refused = 0
        self._index = 0
        service = Service(
            sender.account,
            self._greeting(sender),
            protocol=wanted.protocol,
            interface=interface,
            port=number,
            keys=keys,
            allowed=allowed,
        )
        self._service = service
        self._finalizer = weakref.finalize(self, _end, service, sender)
        try:
            if wanted.is_fixed:
                self._begin(wanted.min_chunk or max(0, (wanted.shape or (0,))[0]))
            if wanted.name:
                names.publish(wanted.name, service.address)
        except BaseException:
            self.close()
            raise
        if wanted.max_delay is not None:
            self._flush_in_time(service)
        return self

    def _greeting(self, sender: PlainSender | SharedSender) -> Any:
        me = weakref.ref(self)  # the service must not keep the stream

        def greeting() -> dict[str, Any]:
            stream = me()
            parameters = stream.parameters.to_json() if stream is not None else {}
            return {"parameters": parameters, **sender.greeting()}

        return greeting

    def _flush_in_time(self, service: Service) -> None:
        me = weakref.ref(self)

        def duty() -> None:
            stream = me()
            if stream is not None and stream._chunker is not None and stream._chunker.is_due():
                with contextlib.suppress(WaitTimeoutError, BusyError):  # it stays, for the next time
                    stream._flush(stream._chunker, 0)

        service.duties.append(duty)

    # ---------------------------------------------------------------------------------- what it is

    @property
    def parameters(self) -> StreamParameters:
        """What the stream is; the shape is known after the first send at the latest."""
        return self._gate.parameters

    params = parameters

    @property
    def is_open(self) -> bool:
        """Whether it was configured, and not closed."""
        return self._service is not None

    @property
    def address(self) -> str:
        """Where readers connect to.

        Raises
        ------
        StateError
            Before `configure`.
        """
        return self._opened().address

    @property
    def index(self) -> int:
        """Absolute number of the next sample."""
        return self._index if self._service is not None else 0

    last_index = index

    def _opened(self) -> Service:
        if self._service is None:
            if self._is_closed:
                raise ClosedError("this stream was closed: configure() opens it again")
            raise StateError("configure() the stream first")
        return self._service

    # -------------------------------------------------------------------------------------- sending

    def send(
        self, data: Any, index: int | None = None, *, timestamp_ns: int | None = None, timeout: float | None = None
    ) -> int:
        """Send a chunk of samples to all readers; it may be changed afterwards.

        Parameters
        ----------
        data
            Array of the stream's dtype, time first, in any memory order.
        index
            Absolute number of the sample after its last one. By default samples follow each other; a jump
            forward says that samples in between do not exist.
        timestamp_ns
            UTC of its end; now by default.
        timeout
            Seconds to wait for room with policy ``block``; None waits for ever, 0 does not wait.

        Returns
        -------
        int
            The index after this chunk.

        Raises
        ------
        LayoutError
            For another dtype or shape, or an index that goes back. Nothing was sent.
        WaitTimeoutError
            A reader was too slow (policy ``block``). Nothing was sent.
        BusyError
            A reader was too slow (policy ``error``). Nothing was sent.
        """
        service = self._service or self._opened()
        if self.pre_filters:
            data = filtered(data, self.pre_filters)
        data = self._gate.checked(data)
        rows = len(data)
        if rows == 0:
            return self._index
        end = self._index + rows if index is None else _checked_index(index, self._index + rows)
        stamp = time.time_ns() if timestamp_ns is None else int(timestamp_ns)
        if self._chunker is None:
            self._transmit((data, end, stamp), timeout)
        else:
            with service.lock:
                self._collect(data, end, stamp, timeout)
        self._index = end
        return end

    def _collect(self, data: NDArray[Any], end: int, stamp: int, timeout: float | None) -> None:
        chunker = self._chunker
        if chunker is None:
            return
        if not chunker.follows(end - len(data)):
            self._flush(chunker, timeout)
        before = chunker.state
        try:
            self._transmit(chunker.add(data, end, stamp), timeout)
        except BaseException:
            chunker.state = before
            raise

    def _flush(self, chunker: Chunker, timeout: float | None) -> None:
        before = chunker.state
        try:
            self._transmit(chunker.take(), timeout)
        except BaseException:
            chunker.state = before
            raise

    def _transmit(self, chunk: tuple[NDArray[Any], int, int] | None, timeout: float | None) -> None:
        if chunk is None:
            return
        data, end, stamp = chunk
        service = self._opened()
        if data.nbytes > self._gate.parameters.max_chunk_nbytes:
            raise LayoutError(
                f"a chunk of {data.nbytes} bytes, and max_chunk_nbytes is {self._gate.parameters.max_chunk_nbytes}: "
                "send smaller ones, or raise it"
            )
        if not self._has_begun:
            self._begin(len(data))
        unheard = not service.readers
        try:
            self._sender.send(data, end, stamp, timeout)
        except (WaitTimeoutError, BusyError):
            self._refused += 1
            raise
        self._unheard += unheard
        self._chunks += 1
        self._samples += len(data)
        self._nbytes += data.nbytes

    def _begin(self, rows: int) -> None:
        """What chunks look like is known now."""
        service = self._opened()
        with service.lock:
            if isinstance(self._sender, SharedSender):
                self._sender.begin(service, self._gate.parameters, rows)
            else:
                self._sender.begin(service, self._gate.parameters)
            service.announce()
        self._has_begun = True

    def flush(self, timeout: float | None = None) -> None:
        """Send what was collected for a chunk of ``min_chunk`` samples."""
        service = self._opened()
        if self._chunker is not None:
            with service.lock:
                self._flush(self._chunker, timeout)

    def wait_for_readers(self, count: int = 1, timeout: float | None = None) -> None:
        """Wait until so many readers are connected: they will hear everything from now on.

        Raises
        ------
        WaitTimeoutError
            There were fewer in time.
        """
        self._opened().wait_for_readers(count, timeout)

    def drain(self, timeout: float | None = None) -> None:
        """Send what was collected, and wait until every reader has received, or missed, all that was sent.

        After this the counts at both ends agree.

        Raises
        ------
        WaitTimeoutError
            Somebody did not read it in time.
        """
        self.flush(timeout)
        self._opened().drain(timeout)

    def statistics(self) -> OutputStatistics:
        """What was sent, and what became of it for each reader; after `close`, in the end."""
        if self._service is None and self._final is not None:
            return self._final
        return self._statistics(self._opened())

    def _statistics(self, service: Service) -> OutputStatistics:
        with service.lock:
            if self._service is not None:
                service.attend()
            readers = [one.statistics() for one in (*service.readers.values(), *service.gone.values())]
            return OutputStatistics(
                sent=service.sequence,
                samples=self._samples,
                index=self._index,
                nbytes=self._nbytes,
                unheard=self._unheard,
                refused=self._refused,
                malformed=service.malformed,
                turned_away=service.turned_away,
                readers=tuple(readers),
            )

    # ------------------------------------------------------------------------------------------ life

    def close(self) -> None:
        """Send what was collected, say good-bye and close. Before `configure`, and twice, it does nothing."""
        service = self._service
        if service is None:
            return
        try:
            if self._chunker is not None and (rest := self._chunker.take()) is not None:
                self._transmit(rest, 1.0)
        except (WaitTimeoutError, BusyError):
            pass  # counted as refused
        finally:
            self._service, self._is_closed = None, True
            if self._gate.parameters.name:
                names.forget(self._gate.parameters.name, service.address)
            self._finalizer()
            self._final = self._statistics(service)

    def __enter__(self) -> "OutputStream":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._service is None:
            return f"<output stream, {'closed' if self._is_closed else 'not configured'}>"
        parameters = self._gate.parameters
        return f"<output stream of {parameters.dtype} {parameters.shape or 'any shape'} at {self.address}>"


def _end(service: Service, sender: PlainSender | SharedSender) -> None:
    sender.close()
    service.close()


def _checked_port(port: Any) -> int:
    if port == "*":
        return 0
    try:
        number = int(port)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < 65536:
        raise LayoutError(f"port={port!r}: a number from 1 to 65535, or 0 for any")
    return number


def _checked_index(index: Any, least: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or index >= 1 << 62:
        raise LayoutError(f"index={index!r}: the absolute number of the sample after the chunk")
    if index < least:
        raise LayoutError(f"index={index} goes back: this chunk ends at {least} or later, samples are sent once")
    return int(index)
