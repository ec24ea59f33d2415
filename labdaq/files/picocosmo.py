"""Recorded waveforms of the picoCosmo experiments (muon detectors read out by a PicoScope).

A recording is a folder with ``<name>_waveforms.npz`` (``index``, shape (event, channel, sample), and
``levels``: the volts that each index stands for), ``<name>_waveforms.header.yaml`` (the settings of the
oscilloscope) and the table that the analysis of the experiment published, ``dp*_<date>*.dat``, whose row i
belongs to waveform i.
"""

import importlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, MissingExtraError, NotFoundError
from labdaq.files.table import PathLike

__all__ = ["Recording", "find_recordings", "read_recording"]

_SUFFIX = "_waveforms.npz"


@dataclass(frozen=True)
class Recording:
    """Recorded events, to be iterated like a detector."""

    name: str
    """Experiment and date, such as ``kanne_180403``."""
    levels: npt.NDArray[np.float32]
    """Volts by index."""
    index: npt.NDArray[np.unsignedinteger[Any]]
    """Shape (events, channels, samples)."""
    settings: Mapping[str, Any]
    """The header, as the experiment wrote it."""
    table: npt.NDArray[np.float64]
    """Published results, shape (events, columns): number of the event among the accepted ones and among
    the double pulses, decay time in microseconds, delay in microseconds by channel, pulse height in volts
    by channel."""

    dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: ``(samples,)``, or ``(channels, samples)`` if there are several."""
        return self.index.shape[2:] if self.index.shape[1] == 1 else self.index.shape[1:]

    @property
    def sample_interval_ns(self) -> float:
        """Time between two samples."""
        return 1e9 * float(self.settings["TSampling"])

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the waveforms, as a JSON object."""
        return {
            "unit": "V",
            "channels": list(self.settings["Channels"]),
            "sample_interval_ns": self.sample_interval_ns,
            "pretrigger": float(self.settings["pretrig"]),
            "polarity": -1,
            "recording": self.name,
        }

    @property
    def decay_time_us(self) -> npt.NDArray[np.float64]:
        """The published decay times, in microseconds, shape (events,)."""
        return self.table[:, 2]

    def waveform(self, i: int) -> npt.NDArray[np.float32]:
        """Event number `i` in volts, of shape :attr:`shape`."""
        return np.asarray(self.levels[self.index[i]].reshape(self.shape))

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], None]]:
        """Waveforms in volts. The time of the events was not recorded: it is given as None."""
        for i in range(len(self)):
            yield self.waveform(i), None


def find_recordings(folder: PathLike) -> list[Path]:
    """Paths of the recordings in a folder or one level below it, in alphabetical order.

    Raises
    ------
    NotFoundError
        If there are none.
    """
    place = Path(folder)
    found = sorted([*place.glob(f"*{_SUFFIX}"), *place.glob(f"*/*{_SUFFIX}")])
    if not found:
        raise NotFoundError(f"no recording (*{_SUFFIX}) in the folder {place} or one level below")
    return found


def read_recording(path: PathLike) -> Recording:
    """Read a recording: waveforms, header and published table.

    Parameters
    ----------
    path : path-like
        The file ``<name>_waveforms.npz``; header and table lie beside it.

    Returns
    -------
    Recording

    Raises
    ------
    NotFoundError
        If one of the three files is missing.
    DataError
        If one of them is damaged, or they do not belong together.
    MissingExtraError
        If PyYAML is not installed.
    """
    file = Path(path)
    name = file.name.removesuffix(_SUFFIX)
    levels, index = _read_waveforms(file)
    settings = _read_header(file.with_name(f"{name}_waveforms.header.yaml"))
    tables = sorted(file.parent.glob(f"dp*_{name.rpartition('_')[2]}*.dat"))
    if not tables:
        raise NotFoundError(f"no published table dp*_{name.rpartition('_')[2]}*.dat beside {file}")
    table = _read_table(tables[0])
    if len(table) != len(index):
        raise DataError(f"{tables[0]} has {len(table)} rows for the {len(index)} waveforms of {file}")
    return Recording(name, levels, index, settings, table)


def _read_waveforms(file: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            levels, index = arrays["levels"].astype(np.float32), arrays["index"]
    except FileNotFoundError as error:
        raise NotFoundError(f"no recording {file}") from error
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} does not hold waveforms: {error}") from error
    if levels.ndim != 1 or index.ndim != 3 or index.dtype.kind != "u" or index.size == 0:
        raise DataError(
            f"{file}: expected levels (n,) and unsigned index (event, channel, sample), "
            f"found {levels.shape} and {index.dtype}{index.shape}"
        )
    if index.max() >= len(levels):
        raise DataError(f"{file}: index {index.max()} points beyond the {len(levels)} levels")
    return levels, index


def _read_header(file: Path) -> Mapping[str, Any]:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        raise MissingExtraError("the headers of recordings need PyYAML: pip install 'labdaq[notebook]'") from error
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))["OscConf"]
        float(settings["TSampling"]), float(settings["pretrig"]), list(settings["Channels"])
    except FileNotFoundError as error:
        raise NotFoundError(f"no header {file}") from error
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(f"{file} is not the header of a recording: {error!r}") from error
    return dict(settings)


def _read_table(file: Path) -> npt.NDArray[np.float64]:
    try:
        with warnings.catch_warnings(action="error"):  # an empty table is no more than a warning to NumPy
            table = np.loadtxt(file, delimiter=",", ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise DataError(f"{file} is not a table of numbers: {error}") from error
    if table.shape[1] < 3:
        raise DataError(f"{file} has {table.shape[1]} columns; the third should be the decay time")
    return table
