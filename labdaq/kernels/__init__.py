"""Numerics, one concept a file: a NumPy reference as the definition, a compiled version, one public name.

`edges`          where a waveform crosses a threshold
`double_pulse`   two pulses in one waveform: the delay between them
`lifetime`       an exponential over a flat background: likelihood and fit
`peaks`          local maxima by height, distance, prominence and width, equal to SciPy's
`peak_steps`     what peaks are, and how compiled code finds them
`peak_scan`      searching and sorting below that
`coincidences`   peaks of several channels that belong together
`signatures`     which channels must have seen what
`decays`         stopped muons in several channels: peaks, coincidences, signatures, decay time
`pulse_heights`  baseline, height and integral of pulses
`pulse_timing`   the time at a constant fraction of the height
`pulse_shapes`   normalised pulses, and their correlation with a template
`triggers`       where waveforms meet the condition of a trigger
`histogram`      counts of what comes in, in one or two dimensions
`quantise`       numbers as few-bit integers: scaled, rounded, clipped, packed
`unpack`         and back
`channelise`     voltages into frequency channels: Fourier transforms, polyphase filter bank
`power`          powers, products of polarisations, Stokes parameters
`integrate`      means of frames that follow each other
`beams`          beams of an array
`correlate`      visibilities of all pairs of its inputs
`dedispersion`   low frequencies come later: giving them their time back
`folding`        what repeats, by its phase
`warming`        compile all that before it is needed
`cuda`           the same for arrays on a GPU, chosen by the functions themselves
"""

from labdaq.kernels.beams import form_beams, steering_weights
from labdaq.kernels.channelise import Channeliser, channel_frequencies, channelise, pfb_window
from labdaq.kernels.coincidences import group_peaks, group_peaks_into
from labdaq.kernels.correlate import baseline_pairs, correlate
from labdaq.kernels.decays import (
    DECAY,
    DECAY_UNITS,
    DecayCut,
    decay_cut,
    decay_filter,
    decay_room,
    decide_decay,
    find_decays,
)
from labdaq.kernels.dedispersion import dedisperse, dispersion_delays
from labdaq.kernels.double_pulse import (
    DOUBLE_PULSE,
    DOUBLE_PULSE_UNITS,
    DoublePulseCut,
    double_pulse_filter,
    find_double_pulse,
)
from labdaq.kernels.edges import find_edges
from labdaq.kernels.folding import Profile, fold
from labdaq.kernels.histogram import Histogram
from labdaq.kernels.integrate import integrate
from labdaq.kernels.lifetime import LifetimeFit, fit_lifetime, lifetime_density, lifetime_nll
from labdaq.kernels.peak_steps import PEAK, PeakCut, find_peaks_into, peak_room
from labdaq.kernels.peaks import find_peaks, peak_cut
from labdaq.kernels.power import coherences, power, stokes
from labdaq.kernels.pulse_heights import PULSE, PulseWindow, analyse_pulses, measure_baseline, measure_pulse
from labdaq.kernels.pulse_shapes import NormalisedPulse, match_template, match_template_into, normalised_pulse
from labdaq.kernels.pulse_timing import constant_fraction_time, find_constant_fraction
from labdaq.kernels.quantise import Quantised, quantise
from labdaq.kernels.signatures import match_signatures, parse_signatures
from labdaq.kernels.triggers import find_triggers, find_triggers_into
from labdaq.kernels.unpack import unpack
from labdaq.kernels.warming import warm

__all__ = [
    "DECAY",
    "DECAY_UNITS",
    "DOUBLE_PULSE",
    "DOUBLE_PULSE_UNITS",
    "PEAK",
    "PULSE",
    "Channeliser",
    "DecayCut",
    "DoublePulseCut",
    "Histogram",
    "LifetimeFit",
    "NormalisedPulse",
    "PeakCut",
    "Profile",
    "PulseWindow",
    "Quantised",
    "analyse_pulses",
    "baseline_pairs",
    "channel_frequencies",
    "channelise",
    "coherences",
    "constant_fraction_time",
    "correlate",
    "decay_cut",
    "decay_filter",
    "decay_room",
    "decide_decay",
    "dedisperse",
    "dispersion_delays",
    "double_pulse_filter",
    "find_constant_fraction",
    "find_decays",
    "find_double_pulse",
    "find_edges",
    "find_peaks",
    "find_peaks_into",
    "find_triggers",
    "find_triggers_into",
    "fit_lifetime",
    "fold",
    "form_beams",
    "group_peaks",
    "group_peaks_into",
    "integrate",
    "lifetime_density",
    "lifetime_nll",
    "match_signatures",
    "match_template",
    "match_template_into",
    "measure_baseline",
    "measure_pulse",
    "normalised_pulse",
    "parse_signatures",
    "peak_cut",
    "peak_room",
    "pfb_window",
    "power",
    "quantise",
    "steering_weights",
    "stokes",
    "unpack",
    "warm",
]
