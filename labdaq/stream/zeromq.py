"""ZeroMQ, loaded when it is first needed, and its context: there while anybody here has a socket."""

import threading
from typing import Any

from labdaq.errors import MissingExtraError, ResourceError

__all__ = ["Lease", "load"]


def load() -> Any:
    """The package ``zmq``.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        import zmq
    except ImportError as error:
        raise MissingExtraError("streams need pyzmq: pip install 'labdaq[stream]'") from error
    return zmq


class Lease:
    """A share in the one context of this process; streams within a process meet in it.

    The context ends with the last lease, and with it its threads and descriptors. A private context ends with
    its lease, which waits until its sockets are closed; it may have a door-keeper of its own.
    """

    _lock = threading.RLock()  # a stream that is forgotten may be closed anywhere, in here too
    _common: Any = None
    _leases = 0

    def __init__(self, *, private: bool = False) -> None:
        zmq = load()
        self._is_private = private
        if private:
            self._context = zmq.Context()
        else:
            with Lease._lock:
                Lease._leases += 1  # first, for the same reason
                if Lease._common is None:
                    Lease._common = zmq.Context()
                    Lease._common.max_sockets = 65_000
                self._context = Lease._common
        self._sockets: list[Any] = []
        self._is_over = False

    def socket(self, kind: int, **options: Any) -> Any:
        """A new socket that is closed with the lease.

        Raises
        ------
        ResourceError
            When the system has no more of them.
        """
        zmq = load()
        try:
            socket = self._context.socket(kind)
        except zmq.ZMQError as error:
            raise ResourceError(error.errno, f"no further socket could be made: {error}") from error
        self._sockets.append(socket)
        socket.linger = 0
        for name, value in options.items():
            setattr(socket, name, value)
        return socket

    def drop(self, socket: Any) -> None:
        """Close one socket before the others."""
        socket.close()
        self._sockets.remove(socket)

    def end(self) -> None:
        """Close the sockets; with the last lease the context ends too. Twice is allowed."""
        if self._is_over:
            return
        self._is_over = True
        for socket in self._sockets:
            socket.close()
        if self._is_private:
            self._context.term()
            return
        with Lease._lock:
            Lease._leases -= 1
            if Lease._leases == 0:
                context, Lease._common = Lease._common, None
                context.term()
