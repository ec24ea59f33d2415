"""The sending end of a stream."""

import weakref
from collections.abc import Iterable
from typing import Any

from labdaq.errors import ClosedError, LayoutError, StateError
from labdaq.stream.endpoints import check_security
from labdaq.stream.keys import StreamKeys
from labdaq.stream.outlet import Outlet
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.stages import Filter, filtered
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
        self._declared = StreamParameters().changed(**parameters)
        self._outlet: Outlet | None = None

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
        self.close()
        self._outlet = outlet = Outlet(wanted, interface=interface, port=number, keys=keys, allowed=allowed)
        self._finalizer = weakref.finalize(self, outlet.close)
        return self

    # ---------------------------------------------------------------------------------- what it is

    @property
    def parameters(self) -> StreamParameters:
        """What the stream is; the shape is known after the first send at the latest."""
        return self._declared if self._outlet is None else self._outlet.parameters

    params = parameters

    @property
    def is_open(self) -> bool:
        """Whether it was configured, and not closed."""
        return self._outlet is not None and not self._outlet.is_closed

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
        return self._opened().index if self.is_open else 0

    last_index = index

    def _opened(self) -> Outlet:
        if self._outlet is None:
            raise StateError("configure() the stream first")
        if self._outlet.is_closed:
            raise ClosedError("this stream was closed: configure() opens it again")
        return self._outlet

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
        if self.pre_filters:
            data = filtered(data, self.pre_filters)
        outlet = self._outlet or self._opened()
        return outlet.send(data, index, timestamp_ns, timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Send what was collected for a chunk of ``min_chunk`` samples."""
        self._opened().flush(timeout)

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
        self._opened().drain(timeout)

    def restart(self) -> None:
        """Begin anew at the same address: samples count from 0, in another session.

        For readers it is as if another sender had taken this one's place: the end, then the event ``restarted``.
        """
        self._opened().restart()

    reset_buffer_index = restart

    def statistics(self) -> OutputStatistics:
        """What was sent, and what became of it for each reader; after `close`, in the end."""
        outlet = self._outlet or self._opened()
        return outlet.statistics()

    # ------------------------------------------------------------------------------------------ life

    def close(self) -> None:
        """Send what was collected, say good-bye and close. Before `configure`, and twice, it does nothing."""
        if self._outlet is not None:
            self._finalizer()

    def __enter__(self) -> "OutputStream":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self.is_open:
            return f"<output stream, {'not configured' if self._outlet is None else 'closed'}>"
        return f"<output stream of {self.parameters.dtype} {self.parameters.shape or 'any shape'} at {self.address}>"


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
