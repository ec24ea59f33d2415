"""Compile the kernels before they are needed, for the element types that waveforms come in."""

import numpy as np

from labdaq.kernels.double_pulse import DOUBLE_PULSE, find_double_pulse
from labdaq.kernels.edges import find_edges

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
    return 2 * len(_WAVEFORMS)
