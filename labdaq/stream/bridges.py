"""Rings to streams and back: a detector's ring is seen by a notebook on another machine."""

from typing import Any

from labdaq.errors import EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.ring import Ring
from labdaq.stream.carrying import Carrying
from labdaq.stream.input import InputStream
from labdaq.stream.output import OutputStream

__all__ = ["RingPublisher", "RingSubscriber", "publish", "subscribe"]

_SLICE_S = 0.1


class _Bridge(Carrying):
    """Between a ring and a stream, which is closed with it."""

    _stream: OutputStream | InputStream

    def close(self) -> None:
        """End, and close the stream; what went wrong is raised here. Twice is allowed."""
        try:
            super().close()
        finally:
            self._stream.close()


class RingPublisher(_Bridge):
    """What `publish` returns.

    Attributes
    ----------
    output : OutputStream
        The stream; its index is that of the ring's frames, counted from the first one published.
    """

    def __init__(self, ring: Ring, group: str | None, parameters: dict[str, Any]) -> None:
        super().__init__()
        if not ring.is_typed:
            raise LayoutError(f"ring {ring.name!r} holds bytes, and a stream carries samples: make it with a dtype")
        self._reader = ring.reader(group, label="published")
        try:
            settings = {"dtype": ring.dtype, "shape": (-1, *ring.shape), **parameters}
            self.output = self._stream = OutputStream().configure(**settings)
        except BaseException:
            self._reader.close()
            raise
        self._begin(f"labdaq-publish {ring.name}")

    @property
    def address(self) -> str:
        """Where readers connect to."""
        return self.output.address

    def _carry(self) -> None:
        base: int | None = None
        try:
            while not self._is_over.is_set():
                try:
                    event = self._reader.read(_SLICE_S)
                except WaitTimeoutError:
                    continue
                base = event.index if base is None else base
                self._send(event, event.index + 1 - base)
        finally:
            self._reader.close()
            self.output.drain(1.0)

    def _send(self, event: Any, index: int) -> None:
        frames = event.data[None]
        while not self._is_over.is_set():
            try:
                self.output.send(frames, index, timestamp_ns=_time_of(event), timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            self.nsample += 1
            return


def _time_of(event: Any) -> int | None:
    try:
        return int(event.timestamp_ns)
    except (KeyError, LookupError):
        return None


class RingSubscriber(_Bridge):
    """What `subscribe` returns.

    Attributes
    ----------
    input : InputStream
        The stream.
    """

    def __init__(self, sender: OutputStream | str, ring: Ring, connection: dict[str, Any]) -> None:
        super().__init__()
        if not ring.is_typed:
            raise LayoutError(f"ring {ring.name!r} holds bytes, and a stream carries samples: make it with a dtype")
        self._ring = ring
        self.input = self._stream = InputStream(raw=True, dtype=ring.dtype, shape=(-1, *ring.shape))
        self.input.connect(sender, **connection)
        self._begin(f"labdaq-subscribe {ring.name}")

    def _carry(self) -> None:
        with self._ring.writer(label="subscribed") as writer:
            while not self._is_over.is_set():
                try:
                    index, data = self.input.recv(_SLICE_S)
                except WaitTimeoutError:
                    continue
                except EndOfDataError:
                    self._ring.end()
                    return
                for number, frame in enumerate(data):
                    self._put(writer, frame, index - len(data) + number)

    def _put(self, writer: Any, frame: Any, counter: int) -> None:
        stamp = self.input.last.timestamp_ns if self.input.last is not None else None
        while not self._is_over.is_set():
            try:
                writer.put(frame, counter=counter, timestamp_ns=stamp, timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            self.nsample += 1
            return


def publish(ring: Ring, group: str | None = None, **parameters: Any) -> RingPublisher:
    """Send the frames of a ring as a stream, until the ring ends or the publisher is closed.

    Parameters
    ----------
    ring
        A ring with a dtype. Each frame becomes a chunk of one sample.
    group
        The reader group that the publisher is a member of; one of its own by default.
    **parameters
        Of the stream, see `OutputStream.configure`.

    Returns
    -------
    RingPublisher
        A context manager.

    Examples
    --------
    >>> with Ring(dtype="f4", shape=(3,), capacity=8) as here, Ring(dtype="f4", shape=(3,), capacity=8) as there:
    ...     group = there.group("all")
    ...     with publish(here, protocol="inproc") as sender, subscribe(sender.address, there) as reader:
    ...         with here.writer() as writer:
    ...             for number in range(3):
    ...                 writer.put([number] * 3)
    ...         here.end()
    ...         sender.wait(30)
    ...         sender.close()
    ...         reader.wait(30)
    ...         [float(event.data.max()) for event in group.reader()]
    3
    3
    [0.0, 1.0, 2.0]
    """
    return RingPublisher(ring, group, parameters)


def subscribe(sender: OutputStream | str, ring: Ring, **connection: Any) -> RingSubscriber:
    """Write what comes through a stream into a ring, until it or the subscriber ends.

    Parameters
    ----------
    sender
        A stream, its address, or its name on this machine.
    ring
        A ring of the stream's dtype, and of the shape of one sample. Its ``counter`` is the number of the sample.
    **connection
        See `InputStream.connect`.

    Returns
    -------
    RingSubscriber
        A context manager.
    """
    return RingSubscriber(sender, ring, connection)
