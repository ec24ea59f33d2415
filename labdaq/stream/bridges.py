"""Rings to streams and back: a detector's ring is seen by a notebook on another machine."""

import threading
from abc import ABC, abstractmethod
from typing import Any

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, WaitTimeoutError
from labdaq.ring import Ring
from labdaq.stream.input import InputStream
from labdaq.stream.output import OutputStream

__all__ = ["RingPublisher", "RingSubscriber", "publish", "subscribe"]

_SLICE_S = 0.1


class _Bridge(ABC):
    """A thread that carries frames until it is told to end, or there are no more; a context manager."""

    _stream: OutputStream | InputStream

    def _begin(self, name: str) -> None:
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._carry()
        except (ClosedError, EndOfDataError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised where the bridge is closed
            self._error = error

    @abstractmethod
    def _carry(self) -> None:
        """Do the work, until there is no more."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait until there is no more to carry.

        Raises
        ------
        WaitTimeoutError
            It goes on.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise WaitTimeoutError(f"the other side has not ended in {timeout:g} s")

    def close(self) -> None:
        """End, and close the stream; what went wrong in the thread is raised here. Twice is allowed."""
        self._is_over.set()
        self._thread.join()
        self._stream.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class RingPublisher(_Bridge):
    """What `publish` returns.

    Attributes
    ----------
    output : OutputStream
        The stream; its index is that of the ring's frames, counted from the first one published.
    """

    def __init__(self, ring: Ring, group: str | None, parameters: dict[str, Any]) -> None:
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
