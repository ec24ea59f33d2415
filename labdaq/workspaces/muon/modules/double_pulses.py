"""A filter: waveforms with two pulses, and the time between them."""

from typing import Any

import numpy as np

from labdaq.kernels import find_edges
from labdaq.roles import Parameter

PULSES = np.dtype([("decay_time", "f8"), ("height", "f4")])
"""As in the suite: the time between the pulses in us, and the height of the larger one in V."""


class DoublePulses:
    """Gives the waveform of a muon that stopped and decayed to one ring, and what was measured to another."""

    threshold = Parameter(0.035, "V", low=0.005, high=1.0)

    def __init__(self, sample_interval_ns: float = 4.0) -> None:
        self.sample_interval_ns = sample_interval_ns

    def __call__(self, event: Any) -> Any:
        """None drops a waveform that has a single pulse."""
        edges = find_edges(event.data, self.threshold, polarity=-1, release=0.8, width=3, dead_time=30)
        if len(edges) < 2:
            return None
        pulses = np.zeros((), PULSES)
        pulses["decay_time"] = 1e-3 * self.sample_interval_ns * (edges[-1] - edges[0])
        pulses["height"] = -event.data.min()
        return True, pulses
