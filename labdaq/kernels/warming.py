"""Compile the kernels before they are needed, for the element types that waveforms come in."""

import numpy as np

from labdaq.kernels.coincidences import group_peaks
from labdaq.kernels.decays import find_decays
from labdaq.kernels.dedispersion import dedisperse
from labdaq.kernels.double_pulse import DOUBLE_PULSE, find_double_pulse
from labdaq.kernels.edges import find_edges
from labdaq.kernels.folding import fold
from labdaq.kernels.histogram import Histogram
from labdaq.kernels.peaks import find_peaks
from labdaq.kernels.power import power
from labdaq.kernels.pulse_heights import analyse_pulses
from labdaq.kernels.pulse_shapes import match_template, normalised_pulse
from labdaq.kernels.pulse_timing import constant_fraction_time
from labdaq.kernels.quantise import quantise
from labdaq.kernels.triggers import find_triggers
from labdaq.kernels.unpack import unpack
from labdaq.roles import Trigger

__all__ = ["warm"]

_WAVEFORMS = ("float32", "float64", "int16", "int8", "uint8")


def warm() -> int:
    """Compile what is not in the cache yet; how many versions of kernels there are then."""
    record = np.zeros(1, DOUBLE_PULSE)
    for dtype in _WAVEFORMS:
        waveform = np.zeros(1000, dtype)
        waveform.flags.writeable = False  # as readers of a ring see it
        find_double_pulse(waveform, record)
        find_edges(waveform, threshold=1.0)
        find_triggers(waveform, Trigger(1.0))
        find_decays(
            waveform.reshape(1, 1, -1), [("+", "+")], first_prominence=1, second_prominence=1, sample_interval_ns=1
        )
    return 4 * len(_WAVEFORMS) + _warm_those_of_one_type()


def _warm_those_of_one_type() -> int:
    """Those whose Python face makes float64 of everything."""
    pulse = np.array([0.0, 1.0, 3.0, 1.0, 0.0])
    peaks = find_peaks(pulse, prominence=1)
    normalised_pulse(pulse, peaks[0], level=0.5)
    match_template(pulse, pulse)
    constant_fraction_time(pulse, 2)
    analyse_pulses(pulse.reshape(1, -1), (1, 4), (0, 1))
    group_peaks([peaks["index"]], window=1)
    Histogram([0, 1, 2]).fill(pulse)
    Histogram([0, 1, 2], [0, 1]).fill(pulse, pulse)
    unpack(quantise(pulse[:4], "i4").data, "i4")
    voltages = np.zeros((4, 2), np.complex64)
    dedisperse(power(voltages), [100.0, 200.0], 0.0, 1.0)
    fold(power(voltages), 1.0, period_s=2.0)
    return 13
