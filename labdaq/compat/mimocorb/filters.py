"""Filters: read a buffer, ask a function, and write what it says to others."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_access import Reader, Writer
from labdaq.compat.mimocorb.copying import send
from labdaq.compat.mimocorb.roles import logger
from labdaq.errors import LayoutError

__all__ = ["rbProcess", "rbTransfer"]

Array = npt.NDArray[Any]


class _Filter(ABC):
    """What both have in common: the loop, and who takes part in it."""

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        sink_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        ufunc: Callable[[Array], Any] | None = None,
        **rb_info: str,
    ) -> None:
        name = type(self).__name__
        if not callable(ufunc):
            raise LayoutError(f"{name} takes a function of the data, not ufunc={ufunc!r}")
        if not source_list or not sink_list:
            raise LayoutError(f"{name} needs a buffer to read and others to write; it was given {rb_info or 'none'}")
        if len(source_list) > 1:
            logger.warning("%s reads the first of %d buffers only", name, len(source_list))
        self.config_dict = config_dict
        self.filter = ufunc
        self.reader = Reader(source_list[0])
        self.writers = [Writer(sink) for sink in sink_list]

    def __call__(self) -> None:
        """Filter events until there are no more.

        An event whose function raises goes to another member of the group, if there is one.

        Raises
        ------
        SystemExit
            At the end, as the buffers do.
        """
        with ExitStack() as opened:
            for writer in self.writers:
                opened.enter_context(closing(writer))
            opened.enter_context(self.reader)
            while self.reader._active.is_set():
                data = self.reader.get()
                result = self.filter(data)
                if result is not None:
                    self._write(data, result)

    @abstractmethod
    def _write(self, data: Array, result: Any) -> None:
        """Do what the function said of an event."""


class rbTransfer(_Filter):  # noqa: N801
    """Filter events: drop them, copy them, or write what was found in them.

    The function returns None to drop an event; a list of structured arrays, one for each sink, where None
    skips the sink; or anything else, to copy the event to the first sink. With fewer arrays than sinks the
    event itself goes to the first sink, and the arrays to those behind it.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer to read, in a list.
    sink_list
        Setup dictionaries of the buffers to write.
    config_dict
        Not used here.
    ufunc
        The function, called with the data of each event.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no source, no sink or no function; while it runs, for an answer that is not possible.
    """

    def _write(self, data: Array, result: Any) -> None:
        records = list(result) if isinstance(result, list | tuple) else []
        if len(records) > len(self.writers):
            raise LayoutError(f"the filter returned {len(records)} arrays for {len(self.writers)} sinks")
        if len(records) < len(self.writers):
            records.insert(0, data)
        for writer, record in zip(self.writers, records, strict=False):
            if record is not None:
                send(self.reader, writer, record)


class rbProcess(_Filter):  # noqa: N801
    """Filter events; any number of events may come of one.

    The function returns None to drop an event, or a list with one entry for each sink: None to skip it, True
    to copy the event, a structured array, or a list of them to write one event each.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer to read, in a list.
    sink_list
        Setup dictionaries of the buffers to write.
    config_dict
        Not used here.
    ufunc
        The function, called with the data of each event.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no source, no sink or no function; while it runs, for an answer that is not possible.
    """

    def _write(self, data: Array, result: Any) -> None:
        if not isinstance(result, list | tuple) or len(result) != len(self.writers):
            given = f"{len(result)} entries" if isinstance(result, list | tuple) else repr(type(result).__name__)
            raise LayoutError(
                f"the function returns None, or a list with one entry per sink: {given} for {len(self.writers)} sinks"
            )
        for writer, entry in zip(self.writers, result, strict=True):
            for record in self._records(data, entry):
                send(self.reader, writer, record)

    @staticmethod
    def _records(data: Array, entry: Any) -> list[Array]:
        if entry is None:
            return []
        if entry is True:
            return [data]
        if isinstance(entry, list | tuple):
            return [record for record in entry if record is not None]
        return [np.asarray(entry)]
