"""The table of decays, as sinks: one keeps it in memory, the other writes it to a file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LabdaqError
from labdaq.files import CsvFile, ParquetFile
from labdaq.kernels import DOUBLE_PULSE
from labdaq.roles import EventBatch

__all__ = ["DECAY", "DecayFile", "DecayTable"]

DECAY = np.dtype([("counter", "i8"), *DOUBLE_PULSE.descr])
"""One decay: the number of its event, and what the filter measured."""


def _rows_of(events: EventBatch) -> npt.NDArray[Any]:
    rows = np.empty(len(events.data), DECAY)
    rows["counter"] = events.planes["counter"]
    for name in DOUBLE_PULSE.names or ():
        rows[name] = events.data[name]
    return rows


class DecayTable:
    """A sink that keeps decays in memory.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> table = DecayTable()
    >>> table.write(SimpleNamespace(data=np.ones(2, DOUBLE_PULSE), planes={"counter": np.array([3, 7])}))
    >>> table.records["counter"].tolist()
    [3, 7]
    """

    def __init__(self) -> None:
        self._batches = [np.empty(0, DECAY)]

    def write(self, events: EventBatch) -> None:
        """Append a batch."""
        self._batches.append(_rows_of(events))

    @property
    def records(self) -> npt.NDArray[Any]:
        """All decays, dtype :data:`DECAY`."""
        return np.concatenate(self._batches)


class DecayFile:
    """A sink that writes decays to a file, without time stamps: the same decays make the same file.

    Attributes
    ----------
    error : LabdaqError or None
        Why the file could not be written.
    """

    def __init__(self, file: CsvFile | ParquetFile) -> None:
        self._file = file
        self.name = file.path.name
        self.error: LabdaqError | None = None

    def open(self, folder: Path) -> None:  # noqa: ARG002 - the file has its place already
        """Begin the file."""
        self._append(np.empty(0, DECAY))

    def write(self, events: EventBatch) -> None:
        """Append a batch."""
        self._append(_rows_of(events))

    def _append(self, rows: npt.NDArray[Any]) -> None:
        try:
            self._file.write(rows)
        except LabdaqError as error:
            self.error = error
            raise

    def close(self) -> None:
        """Complete the file."""
        try:
            self._file.close()
        except LabdaqError as error:
            self.error = self.error or error
            raise
