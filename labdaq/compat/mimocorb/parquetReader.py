# ruff: noqa: N999 - the name of v1
"""A source that plays back waveforms which `rb_toParquetfile` has saved."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.roles import setting
from labdaq.errors import LayoutError, NotFoundError
from labdaq.files import read_parquet_tar

__all__ = ["parquetReader"]

_SUFFIXES = (".tar", ".gz", ".tgz", ".bz2")


class parquetReader:  # noqa: N801
    """The waveforms of all archives in a folder, one after the other.

    Parameters
    ----------
    config_dict
        ``path``: the folder; ``number_of_samples``; ``sleeptime``: seconds between two events, 0.1 by default;
        ``random``: draw them from an exponential distribution with that mean.

    Raises
    ------
    LayoutError
        When a setting is missing.
    NotFoundError
        When there is no archive in the folder.
    """

    def __init__(self, config_dict: dict[str, Any] | None = None) -> None:
        self.path = Path(setting(self, config_dict, "path"))
        config = config_dict or {}
        self.number_of_samples = setting(self, config, "number_of_samples")
        self.sleeptime = float(config.get("sleeptime", 0.10))
        self.random = bool(config.get("random", False))
        found = self.path.iterdir() if self.path.is_dir() else ()
        self.filenames = sorted(file for file in found if file.is_file() and file.suffix in _SUFFIXES)
        if not self.filenames:
            raise NotFoundError(f"no archive ({', '.join(_SUFFIXES)}) in {self.path.absolute()}")
        self._events = self._records()
        self.number_of_channels, self.number_of_values, self.channel_names = 0, 0, ()

    number_of_channels: int
    number_of_values: int
    channel_names: Sequence[str]

    def init(self, number_of_channels: int, number_of_values: int, channel_names: Sequence[str]) -> None:
        """Say what the buffer takes: how many channels, how many values of each, and their names."""
        self.number_of_channels = number_of_channels
        self.number_of_values = number_of_values
        self.channel_names = channel_names

    def _records(self) -> Iterator[npt.NDArray[Any]]:
        for file in self.filenames:
            for event in read_parquet_tar(file):
                yield event.records

    def __call__(self) -> list[npt.NDArray[Any]] | None:
        """The channels of the next event, after a pause; None when there are no more.

        Raises
        ------
        LayoutError
            When a channel is not in the file; the message lists those there are.
        """
        records = next(self._events, None)
        if records is None:
            return None
        time.sleep(np.random.exponential(self.sleeptime) if self.random else self.sleeptime)  # noqa: NPY002
        names = self.channel_names[: self.number_of_channels]
        if missing := [name for name in names if name not in (records.dtype.names or ())]:
            raise LayoutError(
                f"no channel {missing[0]!r} in the file; there are: {', '.join(records.dtype.names or ())}"
            )
        return [records[name] for name in names]
