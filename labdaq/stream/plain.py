"""Plain data: chunks go through the socket, to each reader for itself, under the loss policy of the stream."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import BusyError, WaitTimeoutError
from labdaq.stream.accounts import Account
from labdaq.stream.compression import codec_named
from labdaq.stream.header import chunk_packer
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.service import Service

__all__ = ["PlainSender"]

_SLICE_S = 0.1
_SHORT_NBYTES = 16 << 10
"""Data that is shorter travels in one frame with its head: copying it is cheaper than another frame."""


class PlainSender:
    """Sends chunks through the socket of a service."""

    account = Account

    def __init__(self, parameters: StreamParameters) -> None:
        self._parameters = parameters
        self._codec = codec_named(parameters.compression)
        self._number = 0 if self._codec is None else self._codec.number
        self._window, self._window_nbytes = parameters.window, parameters.window_nbytes
        self._policy = parameters.policy
        self._may_not_lose = self._policy in {"block", "error"}
        if self._policy == "drop_oldest":  # half of the window is on its way, half waits where it can be dropped
            self._window, self._window_nbytes = max(1, self._window // 2), max(1, self._window_nbytes // 2)
        self._has_buffer = parameters.dtype.kind in "biufc" and parameters.dtype.isnative
        self._sent = 0

    def greeting(self) -> dict[str, Any]:
        """What a reader has to know besides the parameters."""
        return {}

    def begin(self, service: Service, parameters: StreamParameters) -> None:
        """The shape is known, and the first chunk is about to be sent."""
        self._parameters, self._service = parameters, service
        self._pack = chunk_packer(self._number, service.session, parameters.schema)
        if self._policy == "drop_oldest" and self._flush not in service.duties:
            service.duties.append(self._flush)

    def send(self, data: NDArray[Any], index: int, timestamp_ns: int, timeout: float | None) -> None:
        """Send one chunk, C-contiguous, to all readers.

        Raises
        ------
        WaitTimeoutError
            No room in time, with policy ``block``. Nobody got the chunk.
        BusyError
            No room, with policy ``error``. Nobody got the chunk.
        """
        service = self._service
        if self._codec is not None:
            payload: Any = self._codec.pack(data)
        elif self._has_buffer:
            payload = data
        else:
            payload = data.reshape(-1).view(np.uint8)
        size = data.nbytes if self._codec is None else len(payload)
        with service.lock:
            self._sent += 1
            if not self._sent & 15 or service.is_over:
                service.attend()
            if self._may_not_lose and (slow := self._without_room(size)):
                self._make_room(slow, size, timeout)
            sequence = service.position[0]
            head = self._pack(sequence, index, timestamp_ns, data.nbytes, len(data))
            frames = (b"".join((head, payload)),) if size < _SHORT_NBYTES else (head, payload)
            service.position = sequence + 1, index  # first: who is found to be gone was offered this one
            for reader in tuple(service.readers.values()):
                if self._may_not_lose:  # there is room: it was waited for
                    reader.offered += 1
                    reader.send(sequence, size)
                    service.transmit(reader.identity, frames)
                else:
                    self._offer(reader, sequence, frames, size)

    def _offer(self, reader: Account, sequence: int, frames: tuple[Any, ...], size: int) -> None:
        reader.offered += 1
        if not reader.pending and reader.has_room(size, self._window, self._window_nbytes):
            reader.send(sequence, size)
            self._service.transmit(reader.identity, frames)
        elif self._policy == "drop_oldest":
            reader.pending.append((sequence, size, tuple(bytes(frame) for frame in frames)))
            held = sum(one[1] for one in reader.pending)
            while len(reader.pending) > self._window or (held > self._window_nbytes and len(reader.pending) > 1):
                held -= reader.pending.popleft()[1]
                reader.dropped += 1
        else:
            reader.drop(sequence)

    def _make_room(self, slow: list[Account], size: int, timeout: float | None) -> None:
        service = self._service
        service.attend()
        slow = self._without_room(size)
        if slow and self._policy == "error":
            raise BusyError(f"reader {slow[0].name!r} is {slow[0].waiting} chunks behind, and may not be more: {_CURE}")
        deadline = None if timeout is None else time.monotonic() + timeout
        while slow:
            left = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
            if left <= 0:
                raise WaitTimeoutError(
                    f"reader {slow[0].name!r} is {slow[0].waiting} chunks behind; nothing was sent in {timeout:g} s: "
                    f"{_CURE}"
                )
            if not service.changed.wait(left):
                service.probe(slow)
            service.attend()
            slow = self._without_room(size)

    def _without_room(self, size: int) -> list[Account]:
        readers = self._service.readers.values()
        return [one for one in readers if not one.has_room(size, self._window, self._window_nbytes)]

    def _flush(self) -> None:
        """Send what waited, as far as there is room now. With the lock."""
        for reader in list(self._service.readers.values()):
            while reader.pending and reader.has_room(reader.pending[0][1], self._window, self._window_nbytes):
                if not self._send_pending(reader):
                    break

    def _send_pending(self, reader: Account) -> bool:
        sequence, size, frames = reader.pending.popleft()
        reader.send(sequence, size)
        return self._service.transmit(reader.identity, frames)

    def close(self) -> None:
        """Send all that waits; readers buffer it."""
        service = getattr(self, "_service", None)
        if service is None:
            return
        with service.lock:
            for reader in list(service.readers.values()):
                while reader.pending and self._send_pending(reader):
                    pass


_CURE = "read faster, send larger chunks, widen the window, or choose another policy"
