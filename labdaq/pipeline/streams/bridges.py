"""Rings published and subscribed to, in one line: by a stream, or by a Redis server that many machines share."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from labdaq.errors import ClosedError, EndOfDataError, LayoutError, StateError, WaitTimeoutError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.pipeline.shared_work.rings import SharedRing, read_shared
from labdaq.ring import Ring
from labdaq.stream import OutputStream, RingPublisher, RingSubscriber, bridges

__all__ = ["SharedSubscriber", "publish", "subscribe"]

_SLICE_S = 0.1
_SCHEMES = ("redis://", "rediss://", "unix://")


def publish(
    ring: Ring | DeclaredRing,
    url: str | None = None,
    *,
    group: str | None = None,
    groups: Sequence[str] = (),
    capacity: int = 1024,
    name: str | None = None,
    **parameters: Any,
) -> RingPublisher | SharedRing:
    """Let others read a ring: as a stream that each reader gets whole, or at a Redis server that groups share.

    Parameters
    ----------
    ring
        A ring with a dtype, or one of a pipeline while a run is on: the publication ends with the run.
    url
        None: as a stream. ``redis://host:port/0``: there, under the ``name``.
    group
        The reader group of the ring that the publisher is a member of; one of its own by default.
    groups, capacity
        At a Redis server: groups that are known beforehand, and the most events that wait there for members.
    name
        By which others find it; that of the ring at a Redis server.
    **parameters
        Of the stream, see `OutputStream.configure`.

    Returns
    -------
    RingPublisher or SharedRing
        A context manager.

    Examples
    --------
    >>> with Ring(dtype="f4", shape=(3,), capacity=8) as ring, publish(ring, protocol="ipc", units="mV") as sender:
    ...     sender.output.parameters.units
    'mV'
    """
    memory = _memory_of(ring)
    if url is None:
        named = {"name": name} if name is not None else {}
        return bridges.publish(memory, group, **named, **parameters)
    if not url.startswith(_SCHEMES):
        raise LayoutError(f"url={url!r:.60}: a Redis server, {', '.join(_SCHEMES)}; for a stream leave it out")
    if parameters:
        raise LayoutError(f"{', '.join(parameters)}: a ring at a Redis server has no parameters of a stream")
    return SharedRing(memory, url, name, groups=groups, capacity=capacity, group=group)


def subscribe(
    sender: OutputStream | str,
    ring: Ring | DeclaredRing,
    *,
    name: str | None = None,
    group: str = "subscribed",
    **connection: Any,
) -> "RingSubscriber | SharedSubscriber":
    """Write into a ring what comes from elsewhere: a stream, or a share of a ring at a Redis server.

    Parameters
    ----------
    sender
        A stream, its address, its name on this machine; or ``redis://host:port/0``.
    ring
        Of the same dtype and shape.
    name, group
        At a Redis server: the name of the publication (that of the ring by default), and the group whose share comes
        here. An event is acknowledged when it is in the ring.
    **connection
        See `InputStream.connect`; at a Redis server ``timeout``.

    Returns
    -------
    RingSubscriber or SharedSubscriber
        A context manager.
    """
    memory = _memory_of(ring)
    if isinstance(sender, str) and sender.startswith(_SCHEMES):
        return SharedSubscriber(sender, memory, name or ring.name, group, **connection)
    return bridges.subscribe(sender, memory, **connection)


def _memory_of(ring: Ring | DeclaredRing) -> Ring:
    if isinstance(ring, Ring):
        return ring
    if not ring.has_memory:
        raise StateError(f"ring {ring.name!r} has no memory before the first run: start() it first")
    return ring.memory()


class SharedSubscriber:
    """What `subscribe` returns for a Redis server; a context manager."""

    def __init__(self, url: str, ring: Ring, name: str, group: str, timeout: float = 10.0) -> None:
        self._ring = ring
        self.reader = read_shared(url, name, group, timeout=timeout)
        if (self.reader.dtype, self.reader.shape) != (ring.dtype, ring.shape):
            self.reader.close()
            raise LayoutError(
                f"{name!r} publishes {self.reader.dtype} of shape {self.reader.shape}, and ring {ring.name!r} takes "
                f"{ring.dtype} of shape {ring.shape}"
            )
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"labdaq-subscribe {ring.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._ring.writer(label="subscribed") as writer:
                while not self._is_over.is_set():
                    try:
                        self._put(writer, self.reader.read(_SLICE_S))
                    except WaitTimeoutError:
                        continue
        except EndOfDataError:
            self._ring.end()
        except ClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is closed
            self._error = error

    def _put(self, writer: Any, event: Any) -> None:
        while True:
            try:
                writer.put(event.data, like=event, timeout=_SLICE_S)
            except WaitTimeoutError:
                if self._is_over.is_set():
                    raise ClosedError("the subscriber was closed") from None
                continue
            self.reader.release()
            return

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the publication has ended. Raises WaitTimeoutError when it goes on."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise WaitTimeoutError("the publication goes on")

    def close(self) -> None:
        """Leave; what is not in the ring yet goes to others. Twice is allowed."""
        self._is_over.set()
        self._thread.join()
        self.reader.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> "SharedSubscriber":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
