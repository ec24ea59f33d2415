"""The lifetime of the muon, from double pulses of a detector to a fit.

    source -> ring of waveforms -> two filter workers -> ring of decay times -> table, figure, fit

The source is a simulated detector or a recording. The two workers are threads that share the waveforms
between them; the edge finder they run is compiled and holds no lock of Python's.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import labdaq
from labdaq.demos.muon_figure import draw
from labdaq.demos.team import Team
from labdaq.errors import DataError, NotFoundError, ResourceError
from labdaq.files import CsvFile, ParquetFile, Recording, find_recordings, read_recording
from labdaq.kernels import DOUBLE_PULSE, DOUBLE_PULSE_UNITS, LifetimeFit, double_pulse_filter, fit_lifetime
from labdaq.ring import Ring
from labdaq.sim import MuonDetector

__all__ = ["DECAY", "MuonResult", "Take", "run", "take_data"]

DECAY = np.dtype([("counter", "i8"), *DOUBLE_PULSE.descr])
"""One decay: the number of its event, and what the filter measured."""

WINDOW_US = (1.5, 15.0)
_EVENTS = 10_000
_WORKERS = 2
_AGREE_US = 0.1

Source = MuonDetector | Recording
Filter = Callable[[Any, Any], int]


@dataclass(frozen=True)
class Take:
    """What data taking gave."""

    decays: npt.NDArray[Any]
    """Accepted events in the order of their numbers, dtype :data:`DECAY`."""
    events: int
    """Events that came in."""
    rejected: int
    """Events without a second pulse."""

    @property
    def accepted(self) -> int:
        """Events with a decay time."""
        return len(self.decays)


@dataclass(frozen=True)
class MuonResult:
    """The result of the experiment, and where its files are."""

    source: str
    """Where the waveforms came from."""
    events: int
    """Events that came in."""
    accepted: int
    """Events with two pulses."""
    rejected: int
    """All others."""
    fit: LifetimeFit
    """Lifetime and background."""
    comparison: str
    """What is known otherwise: the truth of the simulation, or the published decay times."""
    folder: Path
    """Holds decay_times.csv, decay_times.parquet, first_light.png, summary.txt and summary.json."""

    def summary(self) -> str:
        """Everything in a few lines of text."""
        fit, (begin, end) = self.fit, self.fit.window_us
        errors = f"-{fit.tau_error_minus_us:.3f} +{fit.tau_error_plus_us:.3f}"
        lines = {
            "source": self.source,
            "events": f"{self.events} in = {self.accepted} accepted + {self.rejected} rejected",
            "lifetime": f"{fit.tau_us:.3f} {errors} us (statistical errors)",
            "background": f"{100 * fit.background:.1f} +- {100 * fit.background_error:.1f} %",
            "fitted": f"{fit.n} decays in {begin:g}..{end:g} us",
            "compare": self.comparison,
            "files": str(self.folder),
        }
        return "\n".join(f"{name:12}{text}" for name, text in lines.items())


def run(
    data: Path | None = None,
    out: Path = Path("out/muon"),
    *,
    events: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> MuonResult:
    """Do the whole experiment.

    Parameters
    ----------
    data : path, optional
        Folder of a recording with one channel; a simulated detector is used without it.
    out : path
        Folder for the results, made if need be. Results of an earlier run are replaced.
    events : int, optional
        How many events to take at most: by default 10 000 simulated ones, or the whole recording.
    seed : int
        Seed of the simulation.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    MuonResult
        Its ``summary()`` is for people.

    Raises
    ------
    NotFoundError
        If there is no recording in the folder.
    DataError
        If the recording is damaged, or there are too few decays to fit a lifetime.
    ResourceError
        If a result cannot be written.
    MissingExtraError
        If iminuit, matplotlib or pyarrow is not installed.
    """
    folder = _prepare(Path(out))
    source = _open_source(data, events, seed)
    take = take_data(source, events=events, progress=progress)
    _save_decays(folder, take.decays)
    fit = fit_lifetime(take.decays["decay_time"], WINDOW_US)
    result = MuonResult(
        source=_describe(source),
        events=take.events,
        accepted=take.accepted,
        rejected=take.rejected,
        fit=fit,
        comparison=_compare(source, take.decays),
        folder=folder,
    )
    _save_figure(folder, _open_source(data, events, seed), take.decays, fit)
    _save_summary(folder, result)
    return result


def take_data(source: Source, *, events: int | None = None, find: Filter | None = None, progress: bool = True) -> Take:
    """Pass events through two rings and two filter workers.

    Parameters
    ----------
    source : MuonDetector or Recording
        Gives waveforms.
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
        If the ledger does not close: an event was lost or counted twice.
    Exception
        Whatever a worker raised.
    """
    find = find or double_pulse_filter(sample_interval_ns=source.sample_interval_ns)
    taken: list[int] = []
    rejected: list[int] = []
    with (
        Ring("waveforms", dtype=source.dtype, shape=source.shape, capacity=128) as waveforms,
        Ring("decays", dtype=DOUBLE_PULSE, shape=(), capacity=4096) as decays,
    ):
        waveforms.group("filter")  # declared before data flow, so that none passes unseen
        decays.group("collect")

        def stop() -> None:
            waveforms.close()
            decays.close()

        def acquire() -> None:
            taken.append(_acquire(_shown(source, events, progress), waveforms))

        def select() -> None:
            rejected.append(_select(waveforms, decays, find))

        with Team(stop) as team:
            team.start(acquire, then=waveforms.end)
            team.start(select, copies=_WORKERS, then=decays.end)
            found = _collect(decays)
    take = Take(found, events=sum(taken), rejected=sum(rejected))
    if take.events != take.accepted + take.rejected:
        raise DataError(
            f"the ledger does not close: {take.events} events in, but {take.accepted} accepted and "
            f"{take.rejected} rejected"
        )
    return take


def _acquire(source: Iterable[tuple[Any, int | None]], waveforms: Ring) -> int:
    """Fill the ring; the number of events."""
    events = 0
    with waveforms.writer() as writer:
        for waveform, timestamp_ns in source:
            writer.put(waveform, timestamp_ns=timestamp_ns)
            events += 1
    return events


def _select(waveforms: Ring, decays: Ring, find: Filter) -> int:
    """Share the waveforms with the other members of the group; the number of events without a decay."""
    rejected = 0
    pulses = np.zeros(1, DOUBLE_PULSE)
    with waveforms.reader(group="filter") as reader, decays.writer() as writer:
        for event in reader:
            if find(event.data, pulses):
                writer.put(pulses[0], like=event)
            else:
                rejected += 1
    return rejected


def _collect(decays: Ring) -> npt.NDArray[Any]:
    """All decays, in the order in which their events came in, which two workers do not keep."""
    batches = [np.empty(0, DECAY)]
    with decays.reader(group="collect") as reader:
        for span in reader.spans(256):
            batch = np.empty(len(span.data), DECAY)
            batch["counter"] = span.planes["counter"]
            for name in DOUBLE_PULSE.names or ():
                batch[name] = span.data[name]
            batches.append(batch)
    return np.sort(np.concatenate(batches), order="counter")


def _shown(source: Source, events: int | None, progress: bool) -> Iterator[tuple[Any, int | None]]:
    """The events of a source, with a progress bar."""
    wanted: Iterable[tuple[Any, int | None]] = islice(source, events)
    if not progress:
        yield from wanted
        return
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own

    known = [n for n in (source.events, events) if n is not None]
    with Bar(wanted, total=min(known, default=None), unit=" events", mininterval=0.2) as bar:
        yield from bar


def _open_source(data: Path | None, events: int | None, seed: int) -> Source:
    if data is None:
        return MuonDetector(seed, events=_EVENTS if events is None else events)
    for path in find_recordings(data):
        recording = read_recording(path)
        if len(recording.shape) == 1:
            return recording
    raise NotFoundError(f"the recordings in {data} have several channels; this experiment needs one with one")


def _describe(source: Source) -> str:
    if isinstance(source, Recording):
        return f"recording {source.name}"
    return f"simulated detector, seed {source.seed}"


def _compare(source: Source, decays: npt.NDArray[Any]) -> str:
    if isinstance(source, MuonDetector):
        return f"mean lifetime of the simulated muons {source.mean_lifetime_us:.3f} us"
    published = source.decay_time_us[decays["counter"]]
    agree = np.abs(decays["decay_time"] - published) < _AGREE_US
    return f"{agree.sum()} of {source.events} decay times within {_AGREE_US} us of the published ones"


def _prepare(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(error.errno, f"the folder cannot be made: {error.strerror}", str(folder)) from error
    return folder


def _save_decays(folder: Path, decays: npt.NDArray[Any]) -> None:
    with CsvFile(folder / "decay_times.csv", units=DOUBLE_PULSE_UNITS, overwrite=True) as csv:
        csv.write(decays)
    with ParquetFile(folder / "decay_times.parquet", units=DOUBLE_PULSE_UNITS, overwrite=True) as parquet:
        parquet.write(decays)


def _save_figure(folder: Path, source: Source, decays: npt.NDArray[Any], fit: LifetimeFit) -> None:
    """The example is the first decay whose pulses stand well apart."""
    low = np.minimum(decays["first_height"], decays["last_height"])
    high = np.maximum(decays["first_height"], decays["last_height"])
    is_clear = (low > 0.15) & (high < 2 * low) & (np.abs(decays["decay_time"] - 3.0) < 1.5)
    example = decays[np.argmax(is_clear)]
    waveform, _ = next(islice(source, int(example["counter"]), None))
    figure = draw(decays["decay_time"], fit, waveform, example, source.header)
    try:
        figure.savefig(folder / "first_light.png")
    except OSError as error:
        raise ResourceError(error.errno, f"the figure cannot be saved: {error.strerror}", str(folder)) from error


def _save_summary(folder: Path, result: MuonResult) -> None:
    facts = {"labdaq": labdaq.__version__, **asdict(result), "folder": str(folder)}
    try:
        (folder / "summary.txt").write_text(result.summary() + "\n", encoding="utf-8")
        (folder / "summary.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResourceError(error.errno, f"the summary cannot be saved: {error.strerror}", str(folder)) from error
