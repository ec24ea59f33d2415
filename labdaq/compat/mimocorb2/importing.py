"""Sources."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from labdaq.compat.mimocorb2.base import Base, UfuncError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO

__all__ = ["Importer"]


class Importer(Base):
    """Ask a generator for events, and write them to a buffer.

    Parameters
    ----------
    io
        With one sink.

    Raises
    ------
    SetupError
        When there are other buffers.

    Attributes
    ----------
    data_example, metadata_example : ndarray
        An event of zeros.
    counter : int
        Events so far; they are numbered from 0.

    Notes
    -----
    The time stamp is the time at which the generator gave an event. The dead time is the time for a free slot and
    the copy, as a fraction of the time since the event before.
    """

    _NEEDS = (0, 1, 0)

    def __init__(self, io: BufferIO) -> None:
        super().__init__(io)
        self.counter = 0
        self.data_example, self.metadata_example = io.data_out_examples[0], io.metadata_out_examples[0]

    def __call__(self, ufunc: Callable[[], Iterator[Any]]) -> None:
        """Write events until there are no more, or the buffer takes no more.

        Parameters
        ----------
        ufunc
            Returns a generator of arrays like `data_example`; None says that there are no more.

        Raises
        ------
        UfuncError
            When the generator raises, or gives what does not fit.
        """
        self._check_ufunc(ufunc)
        sink = self.write[0]
        sink.await_start()
        last = time.time()
        events = ufunc()
        try:
            while not sink.is_shutdown.value and (data := self._next(events)) is not None:
                ready = time.time()
                self._put(data, ready, last)
                self.counter += 1
                last = time.time()
        except SystemExit:
            self.logger.debug("the buffer %r takes no more events", sink.name)
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()
        self.shutdown_sinks()

    def _next(self, events: Iterator[Any]) -> Any:
        try:
            return next(events, None)
        except Exception as error:
            raise UfuncError(self, "the generator of events failed", error) from error

    def _put(self, data: Any, ready: float, last: float) -> None:
        try:
            with self.write[0] as (metadata, slot):
                self._copy(data, slot)
                now = time.time()
                metadata[0] = self.counter, ready, min(max(now - ready, 0.0) / max(now - last, 1e-9), 1.0)
        except SystemExit:  # the buffer takes no more
            self.write[0].discard()
            raise

    def _copy(self, data: Any, slot: Any) -> None:
        try:
            slot[:] = data
        except (ValueError, TypeError) as error:
            message = f"an event does not fit into {self.write[0].name!r} ({slot.dtype}, shape {slot.shape})"
            raise UfuncError(self, message, error, ufunc_output=data) from error
