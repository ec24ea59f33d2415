# ruff: noqa: ARG001 - all functions of a suite take the same arguments
"""Find the pulses of a muon that stops and of the electron it decays to, and the time between them."""

from typing import Any

import numpy as np

from labdaq.compat.mimocorb.buffer_control import rbTransfer
from labdaq.kernels import find_peaks, group_peaks, match_signatures, parse_signatures

HALF_WINDOW = 20  # samples on each side of a peak that make its integral


class DecayFinder:
    """A filter: the parameters of both pulses, or None to drop the event."""

    def __init__(self, config: dict[str, Any], names: list[str], dtype: Any) -> None:
        self.names, self.dtype = names, dtype
        self.least = (config["first_prominence"], config["second_prominence"])
        self.cut = {"distance": config["peak_minimal_distance"], "width": config["peak_minimal_width"]}
        self.window = config["coincidence_window"]
        self.signatures = parse_signatures(config["signatures"])
        self.sample_time_ns = config["sample_time_ns"]

    def __call__(self, data: Any) -> list[Any] | None:
        """The parameters in a list of one, so that the waveforms go to the first sink."""
        peaks = [find_peaks(data[name], prominence=min(self.least), **self.cut) for name in self.names]
        groups = group_peaks([found["index"] for found in peaks], self.window)
        if len(groups) < 2:
            return None
        for group, least in zip(groups, self.least, strict=False):
            for channel, number in enumerate(group):
                if number >= 0 and peaks[channel][number]["prominence"] < least:
                    group[channel] = -1
        if match_signatures(groups, len(groups), self.signatures) < 0:
            return None
        return [self.parameters(data, peaks, groups)]

    def parameters(self, data: Any, peaks: list[Any], groups: Any) -> Any:
        """Heights, positions and integrals of all pulses, and the decay time in ns."""
        record = np.zeros(1, self.dtype)
        means = []
        for group, which in zip(groups, ("1st", "2nd"), strict=False):
            positions = []
            for channel, name in enumerate(self.names):
                if group[channel] < 0:
                    continue
                peak = peaks[channel][group[channel]]
                position = int(peak["index"])
                around = data[name][max(position - HALF_WINDOW, 0) : position + HALF_WINDOW]
                record[f"{which}_{name}_h"] = peak["prominence"]
                record[f"{which}_{name}_p"] = position
                record[f"{which}_{name}_int"] = around.sum()
                positions.append(position)
            means.append(np.mean(positions))
        record["decay_time"] = (means[1] - means[0]) * self.sample_time_ns
        return record


def calculate_decay_time(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Put double pulses into the first sink, and their parameters into the second."""
    names = [field[0] for field in source_list[0]["dtype"]]
    finder = DecayFinder(config_dict, names, sink_list[1]["dtype"])
    rbTransfer(source_list, sink_list, config_dict, finder, **rb_info)()
