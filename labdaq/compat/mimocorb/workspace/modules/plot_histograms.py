"""Look at the distributions of pulse parameters."""

from typing import Any

from labdaq.compat.mimocorb.histogram_buffer import histogram_buffer


def plot_histograms(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Count what comes in."""
    histogram_buffer(source_list, sink_list, observe_list, config_dict, **rb_info)()
