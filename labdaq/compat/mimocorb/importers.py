"""Sources: what gives events when asked, and what calls when it has one."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from labdaq.compat.mimocorb.buffer_access import Writer
from labdaq.compat.mimocorb.roles import the_buffer
from labdaq.errors import LayoutError

__all__ = ["rbImport", "rbPut"]

_PAUSE_S = 0.05


class _Filler:
    """Writes events, describes them, and hands each over at once."""

    def __init__(self, sink: Writer) -> None:
        self.sink = sink
        self.event_count = 0
        self.T_last = time.time()
        self.chnams = np.dtype(sink.dtype).names or ()
        self.number_of_channels = len(self.chnams)

    def fill(self, data: Any, metadata: Any) -> None:
        ready = time.time()
        if len(data) < max(1, self.number_of_channels):
            raise LayoutError(
                f"an event has {self.number_of_channels or 1} channels, and data for {len(data)} were given"
            )
        slot = self.sink.get_new_buffer()
        self.event_count += 1
        if self.chnams:
            for name, values in zip(self.chnams, data, strict=False):
                slot[name][:] = values
        else:
            slot[:] = data[0]
        if metadata is None:
            now = time.time()
            metadata = (self.event_count, ready, (now - ready) / max(now - self.T_last, 1e-9))
            self.T_last = now
        self.sink.set_metadata(*metadata)
        self.sink.process_buffer()


class rbImport:  # noqa: N801
    """Ask a generator for events, and write them to a buffer.

    Parameters
    ----------
    sink_list
        Setup dictionary of the buffer, in a list.
    config_dict
        Not used here.
    ufunc
        Returns a generator of ``(data, metadata)``: the arrays of the channels in the order of the dtype, and
        ``(counter, timestamp [s], deadtime)`` or None. ``data`` None says that there are no more.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no sink, something else than a sink, or no function.

    Notes
    -----
    Events are numbered from 1 and have the time at which the generator gave them. Their dead time is the time
    for a free slot and the copy, as a fraction of the time since the event before.
    """

    def __init__(
        self,
        sink_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        ufunc: Callable[[], Iterator[Any]] | None = None,
        **rb_info: str,
    ) -> None:
        self.config_dict = config_dict
        setup = the_buffer(self, "write", sink_list, rb_info, only=True)
        if not callable(ufunc):
            raise LayoutError(f"rbImport takes a function that returns a generator, not ufunc={ufunc!r}")
        self._filler = _Filler(Writer(setup))
        self.sink = self._filler.sink
        self.userdata_generator = ufunc()

    def __call__(self) -> None:
        """Write events until there are no more, or the buffer takes no more.

        Raises
        ------
        SystemExit
            When the buffer was shut down while it waited for a free slot.
        """
        try:
            while self.sink._active.is_set():
                if self.sink._paused.is_set():
                    time.sleep(_PAUSE_S)
                    continue
                given = next(self.userdata_generator, None)
                if given is None or given[0] is None:
                    break
                try:
                    self._filler.fill(*given)
                except SystemExit:
                    self.sink.discard()
                    raise
        finally:
            self.sink.close()
            close = getattr(self.userdata_generator, "close", None)
            if close is not None:
                close()

    @property
    def event_count(self) -> int:
        """Events written so far."""
        return self._filler.event_count


class rbPut:  # noqa: N801
    """Write events to a buffer when called with them.

    Parameters
    ----------
    sink_list
        Setup dictionary of the buffer, in a list.
    config_dict, ufunc
        Not used.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no sink, or something else than a sink.
    """

    def __init__(
        self,
        sink_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        ufunc: object = None,  # noqa: ARG002 - part of the interface
        **rb_info: str,
    ) -> None:
        self.config_dict = config_dict
        self._filler = _Filler(Writer(the_buffer(self, "write", sink_list, rb_info, only=True)))
        self.sink = self._filler.sink

    def __call__(self, data: Any, metadata: Any = None) -> bool:
        """Write an event; None for data says that there are no more.

        While the buffer is paused the event is not written, but counted.

        Returns
        -------
        bool
            Whether more events are wanted.
        """
        is_active = bool(self.sink._active.is_set())
        if data is None:
            self.sink.close()
        elif not is_active:
            self.sink.discard()
        elif self.sink._paused.is_set():
            self.sink.discard()
            time.sleep(_PAUSE_S)
        else:
            try:
                self._filler.fill(data, metadata)
            except SystemExit:
                self.sink.discard()
                return False
        return is_active

    @property
    def event_count(self) -> int:
        """Events written so far."""
        return self._filler.event_count
