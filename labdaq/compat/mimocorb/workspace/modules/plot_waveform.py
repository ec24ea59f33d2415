"""Look at waveforms."""

from typing import Any

from labdaq.compat.mimocorb.plot_buffer import plot_buffer


def plot_waveform(
    source_list: Any = None, sink_list: Any = None, observe_list: Any = None, config_dict: Any = None, **rb_info: str
) -> None:
    """Follow the newest waveform."""
    plot_buffer(source_list, sink_list, observe_list, config_dict, **rb_info)()
