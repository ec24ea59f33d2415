"""Those who take events out, look at them, or only ask whether more will come."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from labdaq.compat.mimocorb2.base import Base
from labdaq.compat.mimocorb2.mimo_worker import BufferIO

__all__ = ["Exporter", "IsAlive", "Observer"]

Array = npt.NDArray[Any]


class Exporter(Base):
    """The events of a buffer, to be iterated over.

    Each event is copied to all sinks before it is given.

    Parameters
    ----------
    io
        With one source, and any number of sinks for the same events.

    Raises
    ------
    SetupError
        When there are other buffers.

    Attributes
    ----------
    data_example, metadata_example : ndarray
        An event of zeros.
    """

    _NEEDS = (1, None, 0)

    def __init__(self, io: BufferIO) -> None:
        super().__init__(io)
        self.data_example, self.metadata_example = self._check_copies(), io.metadata_in_examples[0]

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Data and metadata, event by event, until no more will come."""
        while True:
            with self.read[0] as (metadata, data):
                if data is None:
                    break
                for writer in self.write:
                    with writer as (metadata_out, data_out):
                        data_out[:] = data
                        metadata_out[:] = metadata
                yield data, metadata
        self.shutdown_sinks()


class Observer(Base):
    """The newest events of a buffer, as often as one is asked for.

    Parameters
    ----------
    io
        With one observed buffer.

    Raises
    ------
    SetupError
        When there are other buffers.

    Attributes
    ----------
    data_example, metadata_example : ndarray
        An event of zeros.
    """

    _NEEDS = (0, 0, 1)

    def __init__(self, io: BufferIO) -> None:
        super().__init__(io)
        self.data_example, self.metadata_example = io.data_observe_examples[0], io.metadata_observe_examples[0]

    def __call__(self) -> Iterator[tuple[Array | None, Array | None]]:
        """Data and metadata; ``(None, None)`` at the end."""
        while True:
            with self.observe[0] as (metadata, data):
                yield data, metadata
            if data is None:
                return


class IsAlive(Base):
    """Whether a buffer still takes events.

    Parameters
    ----------
    io
        With one observed buffer.

    Raises
    ------
    SetupError
        When there are other buffers.
    """

    _NEEDS = (0, 0, 1)

    def __call__(self) -> bool:
        """Whether it does."""
        return not self.observe[0].is_shutdown.value
