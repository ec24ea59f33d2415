"""Those who read a buffer, ask a function, and write what it says to others."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb2.base import Base, UfuncError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO

__all__ = ["Filter", "Processor"]

Array = npt.NDArray[Any]


class _Asking(Base):
    """What both have in common: the loop."""

    _NEEDS = (1, -1, 0)

    def __call__(self, ufunc: Callable[[Array], Any]) -> None:
        """Do it with all events.

        Parameters
        ----------
        ufunc
            The function, called with the data of each event, which it may change.

        Raises
        ------
        UfuncError
            When it raises, or returns something impossible. The event goes to another worker, if there is one.
        """
        self._check_ufunc(ufunc)
        while True:
            with self.read[0] as (metadata, data):
                if data is None:
                    break
                try:
                    result = ufunc(data)
                except Exception as error:
                    raise UfuncError(self, "its function failed", error, ufunc_input=data) from error
                self._write(metadata, data, result)
        self.shutdown_sinks()

    @abstractmethod
    def _write(self, metadata: Array, data: Array, result: Any) -> None:
        """Do what the function said of an event."""

    def _check_length(self, result: Any) -> None:
        if len(result) != len(self.write):
            message = f"its function returned {len(result)} entries for {len(self.write)} sinks"
            raise UfuncError(self, message, ufunc_output=result)


class Filter(_Asking):
    """Copy events to sinks, or drop them.

    The function returns True to copy an event to all sinks, False or None to drop it, or a list with one of these
    for each sink.

    Parameters
    ----------
    io
        With one source, and sinks for the same events.

    Raises
    ------
    SetupError
        When there are other buffers.

    Attributes
    ----------
    data_example : ndarray
        An event of zeros.
    """

    def __init__(self, io: BufferIO) -> None:
        super().__init__(io)
        self.data_example = self._check_copies()

    def _write(self, metadata: Array, data: Array, result: Any) -> None:
        if result is None:
            return
        if np.ndim(result) == 0:
            answers = [bool(result)] * len(self.write)
        else:
            self._check_length(result)
            answers = [bool(answer) for answer in result]
        for writer, is_wanted in zip(self.write, answers, strict=True):
            if is_wanted:
                with writer as (metadata_out, data_out):
                    data_out[:] = data
                    metadata_out[:] = metadata


class Processor(_Asking):
    """Write what was found in events.

    The function returns None to drop an event, or a list with an array for each sink, or None to skip it.

    Parameters
    ----------
    io
        With one source, and any sinks.

    Raises
    ------
    SetupError
        When there are other buffers.
    """

    def _write(self, metadata: Array, data: Array, result: Any) -> None:  # noqa: ARG002
        if result is None:
            return
        if not isinstance(result, list | tuple):
            message = f"its function returns None, or a list with one entry for each sink, not {type(result).__name__}"
            raise UfuncError(self, message, ufunc_output=result)
        self._check_length(result)
        for writer, record in zip(self.write, result, strict=True):
            if record is not None:
                self.send(writer, metadata, record)

    def send(self, writer: Any, metadata: Array, record: Any) -> None:
        """Write one event with the metadata of another.

        Raises
        ------
        UfuncError
            When it does not fit.
        """
        with writer as (metadata_out, data_out):
            try:
                data_out[:] = record
            except (ValueError, TypeError) as error:
                message = f"a result does not fit into {writer.name!r} ({data_out.dtype}, shape {data_out.shape})"
                raise UfuncError(self, message, error, ufunc_output=record) from error
            metadata_out[:] = metadata
