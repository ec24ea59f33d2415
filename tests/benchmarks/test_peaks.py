"""CPU time of finding peaks and of deciding on double pulses, against SciPy on the same waveforms.

mimoCoRB's muon example spends 550 us on an event of four channels with 4250 samples; nearly all of it is SciPy's.
The waveforms here have its noise and pulses, and the settings are those of its filter.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from labdaq.kernels import (
    DECAY,
    decay_cut,
    decay_room,
    decide_decay,
    find_peaks,
    find_peaks_into,
    parse_signatures,
    peak_cut,
    peak_room,
)
from labdaq.native import jit
from tests.benchmarks.harness import in_turns, line, median, median_ratio, report

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

EVENTS, CHANNELS, SAMPLES = 200, 4, 4250
REPEATS = 7
TARGET_US = 25.0
SIGNATURES = [("++--", "0+--"), ("++--", "--+0")]
CUT = {"prominence": 35, "distance": 10, "width": 10}


def simulated_events():
    """Events of four layers in millivolts: noise, a first pulse in two to four layers, now and then a second one."""
    rng = np.random.default_rng(1)
    events = rng.normal(0, 4, (EVENTS, CHANNELS, SAMPLES)).astype(np.float32)
    shape = np.exp(-np.arange(100) / 25)
    for number, event in enumerate(events):
        is_stopped = number % 10 == 0
        hits = [(layer, 200) for layer in range(2 if is_stopped else 4)]
        hits += [(1, 200 + int(rng.exponential(275)) + 50)] if is_stopped else []
        for layer, begin in hits:
            event[layer, begin : begin + 100] += rng.normal(250, 30) * shape[: SAMPLES - begin]
    return events


def cpu_us_each(run, count):
    """A measurement for :func:`in_turns`."""

    def measure():
        begin = time.thread_time()
        run()
        return (time.thread_time() - begin) / count * 1e6

    return measure


def scipy_each(waveforms):
    return sum(len(signal.find_peaks(waveform, **CUT)[0]) for waveform in waveforms)


def face_each(waveforms):
    return sum(len(find_peaks(waveform, **CUT)) for waveform in waveforms)


@jit(cache=False)
def _steps_each(waveforms, cut, room):
    found = 0
    for i in range(waveforms.shape[0]):
        found += find_peaks_into(waveforms[i], cut, room)
    return found


def test_peaks():
    """One waveform: the compiled step, and the function that is called from Python."""
    waveforms = simulated_events().reshape(-1, SAMPLES)
    doubles, cut, room = waveforms.astype(np.float64), peak_cut(**CUT), peak_room(SAMPLES)
    assert scipy_each(waveforms) == face_each(waveforms) == _steps_each(doubles, cut, room)
    cost = in_turns(
        REPEATS,
        compiled=cpu_us_each(lambda: _steps_each(doubles, cut, room), len(waveforms)),
        python=cpu_us_each(lambda: face_each(waveforms), len(waveforms)),
        scipy=cpu_us_each(lambda: scipy_each(waveforms), len(waveforms)),
    )
    report(
        "peaks_of_a_waveform",
        median(cost["compiled"]),
        "us CPU",
        target=TARGET_US,
        samples=SAMPLES,
        find_peaks_us=median(cost["python"]),
        scipy_us=median(cost["scipy"]),
        scipy_over_compiled=median_ratio(cost["scipy"], cost["compiled"]),
        scipy_over_find_peaks=median_ratio(cost["scipy"], cost["python"]),
        repeats=REPEATS,
    )


@jit(cache=False)
def _decide_each(events, cut, signatures, room, out):
    accepted = 0
    for i in range(events.shape[0]):
        accepted += decide_decay(events[i], cut, signatures, room, out)
    return accepted


def report_decision(name, events, cut, signatures):
    """The whole decision, against no more than SciPy's share of it."""
    signatures, out = parse_signatures(signatures), np.zeros(1, DECAY)
    room = decay_room(*events.shape[1:], signatures.shape[1])
    accepted = _decide_each(events, cut, signatures, room, out)
    waveforms = cut.polarity * events.reshape(-1, events.shape[-1])
    settings = {"prominence": cut.peaks.min_prominence, "distance": cut.peaks.distance, "width": cut.peaks.min_width}
    cost = in_turns(
        REPEATS,
        compiled=cpu_us_each(lambda: _decide_each(events, cut, signatures, room, out), len(events)),
        scipy=cpu_us_each(lambda: [signal.find_peaks(one, **settings) for one in waveforms], len(events)),
    )
    report(
        name,
        median(cost["compiled"]),
        "us CPU",
        target=TARGET_US,
        shape=list(events.shape),
        accepted=accepted,
        scipy_us=median(cost["scipy"]),
        scipy_over_compiled=median_ratio(cost["scipy"], cost["compiled"]),
        repeats=REPEATS,
    )


def test_decision():
    """Four layers, as mimoCoRB's muon example has them."""
    cut = decay_cut(90, 35, sample_interval_ns=8)
    report_decision("decision_on_four_channels", simulated_events(), cut, SIGNATURES)


def test_decision_on_recorded_events():
    """Two panels."""
    folder = os.environ.get("LABDAQ_REAL_DATA")
    if not folder:
        pytest.skip("needs recorded data: set LABDAQ_REAL_DATA to their folder")
    with np.load(Path(folder) / "muon/cosmo_180514_waveforms.npz") as file:
        events = file["levels"][file["index"]]
    cut = decay_cut(0.03, 0.03, sample_interval_ns=4, width=4, polarity=-1)
    report_decision("decision_on_recorded_events", events, cut, [("+0", "+0"), ("+0", "0+")])


def test_histogram_is_not_what_takes_time():
    """Filling, against NumPy."""
    from labdaq.kernels import Histogram

    values, edges = np.random.default_rng(1).normal(size=100_000), np.linspace(-3, 3, 101)
    histogram = Histogram(edges)
    cost = in_turns(
        REPEATS,
        compiled=cpu_us_each(lambda: histogram.fill(values), len(values)),
        numpy=cpu_us_each(lambda: np.histogram(values, 100, (-3, 3)), len(values)),
    )
    line(
        "histogram_fill",
        value=1e3 * median(cost["compiled"]),
        unit="ns CPU per value",
        numpy_ns=1e3 * median(cost["numpy"]),
        numpy_over_compiled=median_ratio(cost["numpy"], cost["compiled"]),
    )
