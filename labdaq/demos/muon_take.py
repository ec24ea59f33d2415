"""Taking muon data: waveforms through two rings and two filter workers, to tables of decays.

The workers are threads that share the waveforms between them; the edge finder they run is compiled and
holds no lock of Python's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from labdaq.demos.muon_table import DecayFile, DecayTable
from labdaq.errors import DataError, WaitTimeoutError
from labdaq.files import Recording
from labdaq.kernels import DOUBLE_PULSE, double_pulse_filter
from labdaq.pipeline import Ledger, Pipeline, RunResult, RunState
from labdaq.sim import MuonDetector

__all__ = ["Source", "Take", "take_data"]

_WORKERS = 2
_LOOK_S = 0.1

Source = MuonDetector | Recording
Filter = Callable[[Any, Any], int]


@dataclass(frozen=True)
class Take:
    """What data taking gave."""

    decays: npt.NDArray[Any]
    """Accepted events in the order of their numbers, dtype :data:`labdaq.demos.muon_table.DECAY`."""
    ledger: Ledger
    """What became of all events, node by node."""

    @property
    def events(self) -> int:
        """Events that came in."""
        return self.ledger["find"].received

    @property
    def accepted(self) -> int:
        """Events with a decay time."""
        return self.ledger["find"].accepted

    @property
    def rejected(self) -> int:
        """Events without a second pulse."""
        return self.ledger["find"].rejected

    @property
    def set_apart(self) -> int:
        """Events on which the filter failed."""
        return self.ledger["find"].quarantined


def take_data(
    source: Source,
    files: Sequence[DecayFile] = (),
    *,
    events: int | None = None,
    find: Filter | None = None,
    progress: bool = True,
) -> Take:
    """Pass events through two rings and two filter workers; Ctrl-C ends the intake, and what is there is kept.

    Parameters
    ----------
    source : MuonDetector or Recording
        Gives waveforms.
    files : sequence of DecayFile
        Where decays are kept, beside the result.
    events : int, optional
        Take no more than this.
    find : callable, optional
        The filter, ``f(data, out) -> n``; by default the compiled edge finder.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Take
        The decays and the ledger of events.

    Raises
    ------
    DataError
        If the run failed: the source broke, or the filter did again and again; or if the ledger does not close.
    LabdaqError
        Whatever a file said that could not be written.
    """
    with Pipeline("muon", store=None) as daq:
        waveforms = daq.ring("waveforms", source.dtype, source.shape, capacity=128)
        decays = daq.ring("decays", DOUBLE_PULSE, capacity=4096)
        daq.source(source, waveforms, name="detector")
        find = find or double_pulse_filter(sample_interval_ns=source.sample_interval_ns)
        daq.filter(find, waveforms, decays, name="find", workers=_WORKERS)
        table = daq.sink(DecayTable(), decays, name="table", order="counter")
        for file in files:
            daq.sink(file, decays, order="counter")
        daq.start(events=events)
        known = [n for n in (source.events, events) if n is not None]
        result = _followed(daq, min(known, default=None)) if progress else daq.wait()
    _check(result, files)
    return Take(table.records, result.ledger)


def _followed(daq: Pipeline, total: int | None) -> RunResult:
    """Wait for the end, with a progress bar."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own

    waveforms = daq.rings["waveforms"]
    with Bar(total=total, unit=" events", mininterval=_LOOK_S) as bar:
        while True:
            try:
                result = daq.wait(_LOOK_S)
            except WaitTimeoutError:
                bar.update(waveforms.statistics().frames_written - bar.n)
            except KeyboardInterrupt:  # between two looks
                daq.stop()
            else:
                bar.update(result.events - bar.n)
                return result


def _check(result: RunResult, files: Sequence[DecayFile]) -> None:
    """Raise what is wrong with a run."""
    for file in files:
        if file.error is not None:
            raise file.error
    if result.state is RunState.FAILED:
        told = f"; the first error:\n{result.errors[0]}" if result.errors else ""
        raise DataError(f"the run failed: {result.reason}{told}")
    if not result.ledger.is_closed:
        raise DataError(f"the ledger does not close: {result.ledger}")
