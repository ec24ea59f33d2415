"""The lifetime of the muon, from double pulses of a detector to a fit.

    source -> ring of waveforms -> two filter workers -> ring of decay times -> table, figure, fit

The source is a simulated detector or a recording; the pipeline is in `muon_take`.
"""

import json
from dataclasses import asdict, dataclass
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import labdaq
from labdaq.demos.muon_figure import draw
from labdaq.demos.muon_table import DecayFile
from labdaq.demos.muon_take import Source, take_data
from labdaq.errors import NotFoundError, ResourceError
from labdaq.files import CsvFile, ParquetFile, Recording, find_recordings, read_recording
from labdaq.kernels import DOUBLE_PULSE_UNITS, LifetimeFit, fit_lifetime
from labdaq.sim import MuonDetector

__all__ = ["MuonResult", "run"]

WINDOW_US = (1.5, 15.0)
_EVENTS = 10_000
_AGREE_US = 0.1


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
    """Events without a second pulse."""
    set_apart: int
    """Events on which the filter failed."""
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
        apart = f" + {self.set_apart} set apart: the filter failed on them" if self.set_apart else ""
        trust = "statistical errors" if fit.is_valid else "NOT VALID: the fit found no good minimum"
        lines = {
            "source": self.source,
            "events": f"{self.events} in = {self.accepted} accepted + {self.rejected} rejected" + apart,
            "lifetime": f"{fit.tau_us:.3f} {errors} us ({trust})",
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
    """Do the whole experiment; Ctrl-C ends the intake, and the result is that of what was taken.

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
        If the recording is damaged, data taking failed, or there are too few decays to fit a lifetime.
    ResourceError
        If a result cannot be written.
    MissingExtraError
        If iminuit, matplotlib or pyarrow is not installed.
    """
    folder = _prepare(Path(out))
    source = _open_source(data, events, seed)
    take = take_data(source, _files(folder), events=events, progress=progress)
    fit = fit_lifetime(take.decays["decay_time"], WINDOW_US)
    result = MuonResult(
        source=_describe(source),
        events=take.events,
        accepted=take.accepted,
        rejected=take.rejected,
        set_apart=take.set_apart,
        fit=fit,
        comparison=_compare(source, take.decays),
        folder=folder,
    )
    _save_figure(folder, _open_source(data, events, seed), take.decays, fit)
    _save_summary(folder, result)
    return result


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


def _files(folder: Path) -> list[DecayFile]:
    return [
        DecayFile(CsvFile(folder / "decay_times.csv", units=DOUBLE_PULSE_UNITS, overwrite=True)),
        DecayFile(ParquetFile(folder / "decay_times.parquet", units=DOUBLE_PULSE_UNITS, overwrite=True)),
    ]


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
    # JSON has no word for what is not a number.
    facts["fit"] = {
        name: None if isinstance(value, float) and isnan(value) else value for name, value in facts["fit"].items()
    }
    try:
        (folder / "summary.txt").write_text(result.summary() + "\n", encoding="utf-8")
        (folder / "summary.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResourceError(error.errno, f"the summary cannot be saved: {error.strerror}", str(folder)) from error
