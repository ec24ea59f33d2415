# ruff: noqa: ARG001, NPY002 - all functions of a suite take the same arguments; one seed for pulseSimulator
"""A source of simulated waveforms."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from labdaq.compat.mimocorb.buffer_control import rbImport
from labdaq.compat.mimocorb.pulseSimulator import pulseSimulator


def simulation_source(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Put simulated waveforms into a buffer until the run ends."""
    names = [field[0] for field in sink_list[0]["dtype"]]
    np.random.seed(config_dict.get("seed"))
    pulses = pulseSimulator(config_dict)
    pulses.init(len(names), sink_list[0]["values_per_slot"], names)

    def events() -> Iterator[tuple[Any, None]]:
        while True:
            yield pulses(), None

    rbImport(sink_list, config_dict, events, **rb_info)()
