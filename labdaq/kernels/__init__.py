"""Numerics, one concept a file: a NumPy reference as the definition, a compiled version, one public name.

`edges`         where a waveform crosses a threshold
`double_pulse`  two pulses in one waveform: the delay between them
`lifetime`      an exponential over a flat background: likelihood and fit
"""

from labdaq.kernels.double_pulse import (
    DOUBLE_PULSE,
    DOUBLE_PULSE_UNITS,
    DoublePulseCut,
    double_pulse_filter,
    find_double_pulse,
)
from labdaq.kernels.edges import find_edges
from labdaq.kernels.lifetime import LifetimeFit, fit_lifetime, lifetime_density, lifetime_nll
from labdaq.kernels.warming import warm

__all__ = [
    "DOUBLE_PULSE",
    "DOUBLE_PULSE_UNITS",
    "DoublePulseCut",
    "LifetimeFit",
    "double_pulse_filter",
    "find_double_pulse",
    "find_edges",
    "fit_lifetime",
    "lifetime_density",
    "lifetime_nll",
    "warm",
]
