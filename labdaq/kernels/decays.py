"""Stopped muons in stacked detectors: two groups of peaks in coincidence, with a known signature.

In each channel peaks are found by prominence, width and distance; peaks of several channels are grouped by
coincidence. A first peak counts from `first_prominence` on, a second one from `second_prominence` on. The event
is accepted if its first two groups (more, if the signatures have more words) have one of the signatures; the
first that fits counts. The decay time is the distance of the mean positions of the two groups. This is the
decision of mimoCoRB's muon experiment, which takes the last signature that fits instead of the first.

For one detector without prominences, and some times quicker: :mod:`labdaq.kernels.double_pulse`.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.kernels.coincidences import group_peaks_into
from labdaq.kernels.decay_advice import NothingFoundWarning, why_nothing
from labdaq.kernels.peak_steps import PeakCut, PeakRoom, find_peaks_into, peak_room
from labdaq.kernels.peaks import peak_cut
from labdaq.kernels.signatures import match_signatures, parse_signatures
from labdaq.native import inlined, jit

__all__ = [
    "DECAY",
    "DECAY_UNITS",
    "DecayCut",
    "DecayRoom",
    "decay_cut",
    "decay_filter",
    "decay_room",
    "decide_decay",
    "find_decays",
]

_FIELDS = {
    "signature": ("i8", ""),
    "groups": ("i8", ""),
    "decay_time": ("f8", "us"),
    "first_position": ("f8", "samples"),
    "second_position": ("f8", "samples"),
    "first_height": ("f8", "V"),
    "second_height": ("f8", "V"),
}

DECAY = np.dtype([(name, kind) for name, (kind, _) in _FIELDS.items()])
"""One event: the number of its signature (-1: dropped), how many groups of peaks it has, the decay time, the
mean positions of the first two groups, and the greatest prominence in each. NaN where there is no such group."""

_MANY = 10
"""Of so many events, that none is accepted is worth a word."""

DECAY_UNITS = {name: unit for name, (_, unit) in _FIELDS.items()}
"""The units of the fields of :data:`DECAY`, for waveforms in volts."""


class DecayCut(NamedTuple):
    """What makes an event a decay. Made by :func:`decay_cut`."""

    peaks: PeakCut
    """What counts as a peak at all."""
    first_prominence: float
    """Least prominence of peaks of the first group, in the unit of the waveform."""
    second_prominence: float
    """Least prominence of peaks of the second group, likewise."""
    window: float
    """Peaks of a group come less than this many samples after its first one."""
    polarity: float
    """1.0 for pulses that go up, -1.0 for pulses that go down."""
    sample_interval_ns: float
    """Time between two samples."""


class DecayRoom(NamedTuple):
    """What the decision needs meanwhile. Made by :func:`decay_room`."""

    search: PeakRoom
    samples: Any
    positions: Any
    prominences: Any
    counts: Any
    used: Any
    groups: Any


def decay_cut(
    first_prominence: float,
    second_prominence: float,
    *,
    sample_interval_ns: float,
    distance: float = 10,
    width: float = 10,
    window: float = 20,
    polarity: int = 1,
) -> DecayCut:
    """Settings for :func:`decide_decay`, checked. The arguments are explained at :func:`find_decays`.

    Examples
    --------
    >>> decay_cut(0.09, 0.035, sample_interval_ns=8).peaks.min_prominence
    0.035
    """
    if polarity not in {1, -1} or not window > 0 or not sample_interval_ns > 0:
        raise LayoutError(
            "polarity must be 1 or -1, window and sample_interval_ns positive; "
            f"given: {polarity=}, {window=}, {sample_interval_ns=}"
        )
    least = min(first_prominence, second_prominence)
    return DecayCut(
        peaks=peak_cut(prominence=least, distance=distance, width=width),
        first_prominence=float(first_prominence),
        second_prominence=float(second_prominence),
        window=float(window),
        polarity=float(polarity),
        sample_interval_ns=float(sample_interval_ns),
    )


@jit
def decay_room(channels: int, samples: int, rows: int) -> DecayRoom:
    """Room for the decision on events of so many channels and samples, and signatures of so many words."""
    search = peak_room(samples)
    most = search.peaks.shape[0]
    return DecayRoom(
        search,
        np.empty(samples),
        np.empty((channels, most), np.int64),
        np.empty((channels, most)),
        np.empty(channels, np.int64),
        np.empty(channels, np.int64),
        np.empty((max(rows, 2), channels), np.int64),
    )


@inlined
def _find_all_peaks(data: Any, cut: DecayCut, room: DecayRoom) -> None:
    for channel in range(data.shape[0]):
        waveform = data[channel]
        for i in range(waveform.shape[0]):
            room.samples[i] = cut.polarity * waveform[i]
        found = find_peaks_into(room.samples, cut.peaks, room.search)
        room.counts[channel] = found
        for i in range(found):
            room.positions[channel, i] = room.search.peaks[i]["index"]
            room.prominences[channel, i] = room.search.peaks[i]["prominence"]


@inlined
def _measure_group(row: int, least: float, room: DecayRoom) -> tuple[float, float]:
    """Take what is too low out of a group; mean position and greatest prominence of the rest."""
    n, total, height = 0, 0.0, np.nan
    for channel in range(room.counts.shape[0]):
        peak = room.groups[row, channel]
        if peak >= 0 and room.prominences[channel, peak] < least:
            room.groups[row, channel] = -1
        elif peak >= 0:
            n += 1
            total += room.positions[channel, peak]
            prominence = room.prominences[channel, peak]
            height = height if height > prominence else prominence  # noqa: FURB136 - it may be NaN
    return total / n, height


@jit
def decide_decay(data: Any, cut: DecayCut, signatures: Any, room: DecayRoom, out: Any) -> int:
    """Decide on one event, and measure its decay time: a step, compiled, without allocation.

    Parameters
    ----------
    data : ndarray, shape (channels, samples)
        Waveforms, real.
    cut : DecayCut
        From :func:`decay_cut`.
    signatures : ndarray of int8, shape (signatures, groups, channels)
        From :func:`labdaq.kernels.parse_signatures`.
    room : DecayRoom
        From :func:`decay_room`, for exactly these channels and samples.
    out : ndarray of DECAY, shape (1 or more,)
        The first element is written, in any case.

    Returns
    -------
    int
        1 for an accepted event, 0 for one to be dropped.
    """
    _find_all_peaks(data, cut, room)
    found = group_peaks_into(room.positions, room.counts, cut.window, room.groups, room.used)
    first, first_height = _measure_group(0, cut.first_prominence, room) if found > 0 else (np.nan, np.nan)
    second, second_height = _measure_group(1, cut.second_prominence, room) if found > 1 else (np.nan, np.nan)
    signature = match_signatures(room.groups, found, signatures) if found > 1 else -1
    out[0]["signature"], out[0]["groups"] = signature, found
    out[0]["first_position"], out[0]["second_position"] = first, second
    out[0]["first_height"], out[0]["second_height"] = first_height, second_height
    out[0]["decay_time"] = 1e-3 * cut.sample_interval_ns * (second - first)
    return 1 if signature >= 0 else 0


def decay_filter(
    signatures: Sequence[Sequence[str]], first_prominence: float, second_prominence: float, **settings: Any
) -> Callable[[Any, Any], int]:
    """Make a compiled filter ``f(data, out) -> n`` of :func:`decide_decay`, with its settings built in.

    Examples
    --------
    >>> decide = decay_filter([("+", "+")], 3.0, 2.0, width=0, sample_interval_ns=8)
    >>> event, out = np.zeros((1, 1000)), np.zeros(1, DECAY)
    >>> event[0, [100, 350]] = 5.0
    >>> decide(event, out), out["decay_time"].item()
    (1, 2.0)
    """
    cut = decay_cut(first_prominence, second_prominence, **settings)
    wanted = parse_signatures(signatures)

    @jit
    def decide(data: Any, out: Any) -> int:
        if data.shape[0] != wanted.shape[2]:
            raise LayoutError("an event needs a channel for each letter of the signatures")
        room = decay_room(data.shape[0], data.shape[1], wanted.shape[1])
        return decide_decay(data, cut, wanted, room, out)

    return decide


@jit
def _decide_all(waveforms: Any, cut: DecayCut, signatures: Any, out: Any) -> None:
    room = decay_room(waveforms.shape[1], waveforms.shape[2], signatures.shape[1])
    for event in range(waveforms.shape[0]):
        decide_decay(waveforms[event], cut, signatures, room, out[event : event + 1])


def find_decays(
    waveforms: npt.ArrayLike,
    signatures: Sequence[Sequence[str]],
    *,
    first_prominence: float,
    second_prominence: float,
    sample_interval_ns: float,
    distance: float = 10,
    width: float = 10,
    window: float = 20,
    polarity: int = 1,
) -> npt.NDArray[Any]:
    """Find the muon decays in a batch of events.

    Parameters
    ----------
    waveforms : array_like, shape (events, channels, samples)
        Integer or real.
    signatures : sequence of sequence of str
        As in :mod:`labdaq.kernels.signatures`; the first that fits counts.
    first_prominence, second_prominence : float
        Least prominence of the peaks in the first group and in the second, in the unit of the waveforms.
    sample_interval_ns : float
        Time between two samples.
    distance, width : float
        Least distance between peaks of a channel, and least width at half prominence, in samples.
    window : float
        Peaks of different channels that are less than so many samples apart belong together.
    polarity : {1, -1}
        1 for pulses that go up, -1 for pulses that go down.

    Returns
    -------
    ndarray of DECAY, shape (events,)
        Accepted are those with ``signature >= 0``.

    Warns
    -----
    NothingFoundWarning
        Not one of ten events or more was accepted, and their pulses are narrower, lower or of another polarity
        than the settings ask for; says which.

    Raises
    ------
    LayoutError
        If the waveforms are not so, or do not have a channel for each letter of the signatures.

    Examples
    --------
    >>> events = np.zeros((2, 2, 1000))
    >>> events[0, :, 100] = events[0, 1, 350] = events[1, 0, 100] = 5.0
    >>> found = find_decays(events, [("++", "0+")], first_prominence=3, second_prominence=2, width=0,
    ...                     sample_interval_ns=8)
    >>> found["signature"].tolist(), found["decay_time"].tolist()
    ([0, -1], [2.0, nan])
    """
    events, wanted = np.asarray(waveforms), parse_signatures(signatures)
    if events.ndim != 3 or events.dtype.kind not in "iuf" or events.shape[1] != wanted.shape[2]:
        raise LayoutError(
            f"waveforms are real, with shape (events, {wanted.shape[2]} channels, samples), as the signatures have "
            f"{wanted.shape[2]} letters; given: {events.dtype}{events.shape}"
        )
    cut = decay_cut(
        first_prominence,
        second_prominence,
        sample_interval_ns=sample_interval_ns,
        distance=distance,
        width=width,
        window=window,
        polarity=polarity,
    )
    out = np.zeros(len(events), DECAY)
    events = events.view()
    events.flags.writeable = False
    _decide_all(events, cut, wanted, out)
    if len(out) >= _MANY and (out["signature"] < 0).all() and (reason := why_nothing(events, cut)):
        warnings.warn(f"none of {len(out)} events was accepted: {reason}", NothingFoundWarning, stacklevel=2)
    return out
