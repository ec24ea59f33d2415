"""One life of a sender, from configure() to close(): chunks are checked, numbered, stamped, collected and sent."""

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import BusyError, ClosedError, LayoutError, WaitTimeoutError
from labdaq.stream import names
from labdaq.stream.gate import Gate
from labdaq.stream.keys import StreamKeys
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.plain import PlainSender
from labdaq.stream.service import Service
from labdaq.stream.shared import SharedSender
from labdaq.stream.stages import Chunker
from labdaq.stream.statistics import OutputStatistics

__all__ = ["Outlet"]


class Outlet:
    """What is behind an `OutputStream` that was configured.

    Attributes
    ----------
    index : int
        Absolute number of the next sample.
    is_closed : bool
        Whether it has ended.
    """

    def __init__(
        self,
        parameters: StreamParameters,
        *,
        interface: str,
        port: int,
        keys: StreamKeys | None,
        allowed: Iterable[str],
    ) -> None:
        self.index = 0
        self.is_closed = False
        self._gate = Gate(parameters)
        self._sender = PlainSender(parameters) if parameters.transfermode == "plaindata" else SharedSender(parameters)
        self._chunker = Chunker(parameters.min_chunk, parameters.max_delay) if parameters.min_chunk else None
        self._most_nbytes = parameters.max_chunk_nbytes
        self._has_begun = self._is_known = False
        self._samples = self._unheard = self._refused = 0
        self._service = Service(
            self._sender.account,
            self._greeting,
            protocol=parameters.protocol,
            interface=interface,
            port=port,
            keys=keys,
            allowed=allowed,
        )
        try:
            if parameters.is_fixed:
                self._begin()
            if parameters.name:
                names.publish(parameters.name, self.address)
                self._is_known = True
        except BaseException:
            self.close()
            raise
        if parameters.max_delay is not None:
            self._service.duties.append(self._flush_in_time)

    @property
    def parameters(self) -> StreamParameters:
        """What the stream is."""
        return self._gate.parameters

    @property
    def address(self) -> str:
        """Where readers connect to."""
        return self._service.address

    def _greeting(self) -> dict[str, Any]:
        return {"parameters": self.parameters.to_json(), **self._sender.greeting()}

    def _begin(self, rows: int = 0) -> None:
        """What chunks look like is known now, and how long they may be expected to be."""
        service, parameters = self._service, self._gate.parameters
        rows = rows or parameters.min_chunk or max(0, (parameters.shape or (0,))[0])
        with service.lock:
            if isinstance(self._sender, SharedSender):
                self._sender.begin(service, parameters, rows)
            else:
                self._sender.begin(service, parameters)
            service.announce()
        self._has_begun = True

    # -------------------------------------------------------------------------------------- sending

    def send(self, data: Any, index: int | None, timestamp_ns: int | None, timeout: float | None) -> int:
        """See `OutputStream.send`."""
        if self.is_closed:
            raise ClosedError("this stream was closed: configure() opens it again")
        data = self._gate.checked(data)
        rows = len(data)
        if rows == 0:
            return self.index
        end = self.index + rows if index is None else _checked_index(index, self.index + rows)
        stamp = time.time_ns() if timestamp_ns is None else int(timestamp_ns)
        if self._chunker is None:
            self._transmit(data, end, stamp, timeout)
        else:
            with self._service.lock:
                self._collect(self._chunker, (data, end, stamp), timeout)
        self.index = end
        return end

    def _transmit(self, data: NDArray[Any], end: int, stamp: int, timeout: float | None) -> None:
        if data.nbytes > self._most_nbytes:
            raise LayoutError(
                f"a chunk of {data.nbytes} bytes, and max_chunk_nbytes is {self._most_nbytes}: send smaller ones"
            )
        if not self._has_begun:
            self._begin(len(data))
        unheard = not self._service.readers
        try:
            self._sender.send(data, end, stamp, timeout)
        except (WaitTimeoutError, BusyError):
            self._refused += 1
            raise
        self._unheard += unheard
        self._samples += len(data)

    def _collect(self, chunker: Chunker, samples: tuple[NDArray[Any], int, int], timeout: float | None) -> None:
        data, end, _stamp = samples
        if not chunker.follows(end - len(data)):
            self._flush(chunker, timeout)
        before = chunker.state
        try:
            if (chunk := chunker.add(*samples)) is not None:
                self._transmit(*chunk, timeout)
        except BaseException:
            chunker.state = before
            raise

    def _flush(self, chunker: Chunker, timeout: float | None) -> None:
        before = chunker.state
        try:
            if (chunk := chunker.take()) is not None:
                self._transmit(*chunk, timeout)
        except BaseException:
            chunker.state = before
            raise

    def _flush_in_time(self) -> None:
        if self._chunker is not None and self._chunker.is_due():
            with contextlib.suppress(WaitTimeoutError, BusyError):  # it stays, for the next time
                self._flush(self._chunker, 0)

    def flush(self, timeout: float | None) -> None:
        """See `OutputStream.flush`."""
        if self._chunker is not None:
            with self._service.lock:
                self._flush(self._chunker, timeout)

    # -------------------------------------------------------------------------------------- readers

    def wait_for_readers(self, count: int, timeout: float | None) -> None:
        """See `OutputStream.wait_for_readers`."""
        self._service.wait_for_readers(count, timeout)

    def drain(self, timeout: float | None) -> None:
        """See `OutputStream.drain`."""
        self.flush(timeout)
        self._service.drain(timeout)

    def restart(self) -> None:
        """See `OutputStream.restart`."""
        self._flush_in_the_end()
        self._sender.close()
        with self._service.lock:
            self._service.restart()
            self.index = 0
            if self._has_begun:
                self._begin()

    def statistics(self) -> OutputStatistics:
        """See `OutputStream.statistics`."""
        service = self._service
        with service.lock:
            if not self.is_closed:
                service.attend()
            readers = [one.statistics() for one in (*service.readers.values(), *service.gone.values())]
            return OutputStatistics(
                sent=service.sequence,
                samples=self._samples,
                index=self.index,
                nbytes=self._samples * self.parameters.row_nbytes if self._samples else 0,
                unheard=self._unheard,
                refused=self._refused,
                malformed=service.malformed,
                turned_away=service.turned_away,
                readers=tuple(readers),
            )

    # ------------------------------------------------------------------------------------------ end

    def _flush_in_the_end(self) -> None:
        if self._chunker is not None and (rest := self._chunker.take()) is not None:
            with contextlib.suppress(WaitTimeoutError, BusyError):  # counted as refused
                self._transmit(*rest, 1.0)

    def close(self) -> None:
        """Send what was collected, say good-bye and end. Twice is allowed."""
        if self.is_closed:
            return
        try:
            self._flush_in_the_end()
        finally:
            self.is_closed = True
            if self._is_known:
                names.forget(self.parameters.name, self.address)
            self._sender.close()
            self._service.close()


def _checked_index(index: Any, least: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or index >= 1 << 62:
        raise LayoutError(f"index={index!r}: the absolute number of the sample after the chunk")
    if index < least:
        raise LayoutError(f"index={index} goes back: this chunk ends at {least} or later, samples are sent once")
    return int(index)
