"""Shared memory: chunks lie in a labdaq ring that both ends have mapped; only the greetings go through a socket.

A frame of the ring is one chunk, and its plane ``head`` says what is in it. A chunk that is longer than the first
one was takes several frames. Readers of a stream that may not lose anything are a reader group each, and hold the
sender; the others are observers, which copy first and then look whether the copy is good.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import BusyError, ClosedError, DataError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.ring import Ring, warm
from labdaq.stream.accounts import Account, ObserverAccount
from labdaq.stream.chunk_steps import warm_chunks
from labdaq.stream.frames import HEAD_WORDS, ChunkReader, ChunkWriter, Place
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.service import Service

__all__ = ["SharedReader", "SharedSender"]

_ROOM_NBYTES = 16 << 20
_FRAME_NBYTES = 64 << 10
_LAST_LOOK_S = 1.0
_MOST_AHEAD = 32
_SLICE_S = 0.1


class SharedSender:
    """Writes chunks into a ring."""

    def __init__(self, parameters: StreamParameters) -> None:
        warm()  # else the first chunk would wait for machine code
        warm_chunks()
        self._parameters = parameters
        self._ring: Ring | None = None
        self._writer: ChunkWriter | None = None
        self._attached = -1
        self._never_waits = parameters.policy in {"drop_newest", "error"}
        self._may_drop_oldest = parameters.policy == "drop_oldest"

    def account(self, identity: bytes, name: str, sequence: int) -> ObserverAccount:
        """Of a new reader."""
        return ObserverAccount(identity, name, sequence, lambda: self._service.position[0])

    def greeting(self) -> dict[str, Any]:
        """How to find the ring; None before the first chunk."""
        if self._ring is None:
            return {"ring": None}
        _attach, (_space, token, _name) = self._ring.__reduce__()
        return {"ring": token}

    def begin(self, service: Service, parameters: StreamParameters, rows: int = 0) -> None:
        """Make the ring, if it is not there: its frames have ``rows`` samples, or 64 KiB."""
        self._parameters, self._service = parameters, service
        if self._ring is not None:
            return
        samples = parameters.buffer_size or max(1024, _ROOM_NBYTES // parameters.row_nbytes)
        rows = rows or max(1, min(samples // 8, _FRAME_NBYTES // parameters.row_nbytes))
        if rows > samples:
            raise LayoutError(
                f"a chunk of {rows} samples, and buffer_size is {samples}: make it at least twice as large"
            )
        self._rows = rows
        self._frames = max(2, samples // rows)
        self._ring = Ring(
            space="shared",
            dtype=parameters.dtype,
            shape=(rows, *parameters.row_shape),
            capacity=self._frames,
            planes={"head": ("i8", (HEAD_WORDS,))},
            metadata=False,
        )
        self._writer = ChunkWriter(self._ring)
        self._written = 0

    def send(self, data: NDArray[Any], index: int, timestamp_ns: int, timeout: float | None) -> None:
        """Write one chunk.

        Raises
        ------
        WaitTimeoutError
            No room in time, with policy ``block``. Nobody got the chunk.
        BusyError
            No room, with policy ``error``. Nobody got the chunk.
        LayoutError
            It can never fit.
        """
        rows = len(data)
        parts = 1 if rows <= self._rows else self._parts(rows)
        limit = 0.0 if self._never_waits else timeout
        service, writer = self._service, self._writer
        before = service.position
        service.position = before[0] + 1, index  # before anybody can report that he has it
        try:
            self._written += parts
            if self._attached != service.arrivals:
                self._wait_for_attached(parts, limit)
            if rows == self._rows and writer is not None:
                writer.put_chunk(data, before[0], index, timestamp_ns, limit)
            else:
                self._write(data, (before[0], index, timestamp_ns), parts, limit)
        except WaitTimeoutError as error:
            if self._parameters.policy != "drop_newest":
                service.position = before  # nobody can have seen it
                self._raise_full(error, timeout)
            self._drop(before[0])
        except BaseException:
            service.position = before
            raise

    def _parts(self, rows: int) -> int:
        parts = -(-rows // self._rows)
        if parts > self._frames:
            raise LayoutError(
                f"a chunk of {rows} samples, and the memory holds {self._frames * self._rows}: raise buffer_size"
            )
        return parts

    def _drop(self, sequence: int) -> None:
        with self._service.lock:
            for reader in self._service.readers.values():
                reader.drop(sequence)

    def _raise_full(self, error: WaitTimeoutError, timeout: float | None) -> None:
        if self._parameters.policy == "error":
            raise BusyError(
                f"there is no room in the memory: read faster, raise buffer_size, or choose another policy ({error})"
            ) from None
        raise WaitTimeoutError(f"nothing was sent in {timeout or 0:g} s: {error}") from None

    def _wait_for_attached(self, parts: int, timeout: float | None) -> None:
        """Nothing may be written over that a reader has not looked for yet."""
        if self._written <= self._frames or self._may_drop_oldest:
            return
        arrivals = self._service.arrivals
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._unattached():
            if deadline is not None and time.monotonic() >= deadline:
                self._written -= parts
                raise WaitTimeoutError("a reader has not looked yet")
            self._await_readers()
        self._attached = arrivals

    def _unattached(self) -> list[Account]:
        with self._service.lock:
            return [reader for reader in self._service.readers.values() if not reader.is_attached]

    def _await_readers(self) -> None:
        service = self._service
        with service.lock:
            if not service.changed.wait(_SLICE_S):
                service.probe(self._unattached())
            service.attend()

    def _write(self, data: NDArray[Any], head: tuple[int, int, int], parts: int, timeout: float | None) -> None:
        writer, rows = self._writer, len(data)
        if writer is None:
            raise ClosedError("this stream was closed")
        deadline = None if timeout is None else time.monotonic() + timeout
        spans: list[Any] = []
        try:
            for _ in range(parts):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                spans.append(writer.reserve(None, left))
            for number, span in enumerate(spans):
                part = data[number * self._rows : (number + 1) * self._rows]
                span.data[: len(part)] = part
                writer.set_head(span.index, (*head, rows, number * self._rows))
                span.commit()
        except BaseException:
            for span in reversed(spans):
                span.void()
            raise

    def close(self) -> None:
        """End the ring: readers end after the last chunk. Who never looked has a second to find it."""
        if self._ring is not None and not self._ring.closed:
            deadline = time.monotonic() + _LAST_LOOK_S
            while self._written and self._unattached() and time.monotonic() < deadline:
                self._await_readers()
            if self._writer is not None:
                self._writer.close()
            self._ring.end()
            self._ring.close()
        self._ring = self._writer = None
        self._attached = -1


class SharedReader:
    """Reads chunks from the ring of a sender, whose token the greeting told."""

    def __init__(self, token: str, parameters: StreamParameters, spin_s: float | None) -> None:
        if not token.startswith("labdaq-") or not token.replace("-", "").isalnum():
            raise DataError(f"{token!r:.60} is no ring")
        warm()
        self._ring = Ring._attach("shared", token, "stream")
        self._parameters = parameters
        self._rows = self._ring.shape[0] if self._ring.is_typed and self._ring.shape else 0
        fits = self._ring.dtype == parameters.dtype and self._ring.shape[1:] == parameters.row_shape
        if not fits or "head" not in self._ring.planes:
            self._ring.close()
            raise DataError(f"the ring of the sender holds {self._ring.dtype}, not what it said")
        frames = self._ring.capacity
        self._most_rows = frames * self._rows
        self._reader: ChunkReader | None = None
        self._observer: Any = None
        if parameters.policy == "drop_oldest":
            self._observer = self._ring.observer(copy=False, label="stream")
        else:  # frames are released together, and the sender is not woken for each
            self._reader = ChunkReader(self._ring, max(1, min(_MOST_AHEAD, frames // 8)))
        if spin_s is not None:
            (self._reader or self._observer).spin_s = spin_s

    @property
    def is_ready(self) -> bool:
        """Whether there is a chunk at hand, without looking."""
        reader = self._reader
        return reader is not None and not reader.is_claim_over

    def receive(self, timeout: float, *, copy: bool) -> tuple[Place, NDArray[Any]] | None:
        """The next chunk; None for one that was overwritten meanwhile.

        Raises
        ------
        WaitTimeoutError
            None came.
        EndOfDataError
            The sender has ended.
        """
        if self._reader is None:
            return self._observed(timeout)
        found = self._reader.next_frame(timeout)
        if found is None:
            raise EndOfDataError("the sender has ended")
        place, data = found
        rows = place[3]
        if rows > self._rows:
            return self._assembled(place, data)
        if rows < self._rows:
            data = data[:rows]
        return place, data.copy() if copy else data

    def _assembled(self, place: Place, data: NDArray[Any]) -> tuple[Place, NDArray[Any]] | None:
        """A chunk of several frames; they were committed one right after the other."""
        whole = self._room(place)
        done = 0
        while whole is not None and self._reader is not None:
            part = min(self._rows, len(whole) - done)
            whole[done : done + part] = data[:part]
            done += part
            if done == len(whole):
                return place, whole
            found = self._reader.next_frame(_SLICE_S)
            if found is None or found[0][0] != place[0] or found[0][4] != done:
                return None
            data = found[1]
        return None

    def _room(self, place: Place) -> NDArray[Any] | None:
        """For a chunk of several frames; None when its beginning is gone, or it claims to be too long."""
        _sequence, _index, _timestamp_ns, rows, before = place
        if before or rows > self._most_rows:
            return None
        return np.empty((rows, *self._parameters.row_shape), self._parameters.dtype)

    # ----------------------------------------------------------------- where the oldest is written over

    def _observed(self, timeout: float) -> tuple[Place, NDArray[Any]] | None:
        event = self._observer.read(timeout)
        place: Place = tuple(event.plane("head").tolist()[:5])
        if not event.valid():
            return None
        rows = place[3]
        if rows > self._rows:
            return self._assembled_quickly(place, event)
        data = np.array(event.data[:rows])
        return (place, data) if event.valid() else None

    def _assembled_quickly(self, place: Place, event: Any) -> tuple[Place, NDArray[Any]] | None:
        whole = self._room(place)
        done = 0
        while whole is not None:
            part = min(self._rows, len(whole) - done)
            whole[done : done + part] = event.data[:part]
            if not event.valid():
                return None
            done += part
            if done == len(whole):
                return place, whole
            event = self._observer.read(_SLICE_S)
            sequence, _index, _time, _rows, before = event.plane("head").tolist()[:5]
            if sequence != place[0] or before != done:
                return None
        return None

    def close(self) -> None:
        """Hold the sender no longer."""
        if not self._ring.closed:
            (self._reader or self._observer).close()
            self._ring.close()
