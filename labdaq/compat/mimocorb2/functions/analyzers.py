"""Peaks of waveforms."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb2.base import SetupError
from labdaq.compat.mimocorb2.mimo_worker import BufferIO
from labdaq.compat.mimocorb2.worker_templates import Processor

__all__ = ["pha"]

_NEEDS = {
    "position": "",
    "peak_heights": "height",
    "left_thresholds": "threshold",
    "right_thresholds": "threshold",
    "prominences": "prominence",
    "left_bases": "prominence",
    "right_bases": "prominence",
    "widths": "width",
    "width_heights": "width",
    "left_ips": "width",
    "right_ips": "width",
    "plateau_sizes": "plateau_size",
    "left_edges": "plateau_size",
    "right_edges": "plateau_size",
}
"""What can be found of a peak, and the setting that it takes."""

_SETTINGS = ("height", "threshold", "distance", "prominence", "width", "wlen", "plateau_size")


def pha(buffer_io: BufferIO) -> None:
    """Find the peaks of a channel, and write one event for each peak, from the first to the last.

    The fields of the sink say what is wanted: ``position`` [samples], and what :func:`scipy.signal.find_peaks`
    tells: ``peak_heights``, ``prominences``, ``widths`` and so on.

    Settings: ``channel`` (the first one by default), and those of ``find_peaks``: ``height``, ``threshold``,
    ``distance``, ``prominence``, ``width``, ``wlen``, ``rel_height``, ``plateau_size``.

    Raises
    ------
    SetupError
        When a field of the sink cannot be had with these settings, there is no such channel, or the sink has
        events of several values.
    """
    processor = Processor(buffer_io)
    find = _finder(processor)
    source, sink = buffer_io.read[0], buffer_io.write[0]
    while True:
        with source as (metadata, data):
            if data is None:
                break
            for record in find(data):
                processor.send(sink, metadata, record)
    buffer_io.shutdown_sinks()


def _finder(processor: Processor) -> Any:
    from scipy.signal import find_peaks

    io = processor.io
    names = io.data_in_examples[0].dtype.names or ()
    channel = io.get("channel", names[0] if names else "")
    if channel not in names:
        raise SetupError(processor, f"there is no channel {channel!r}; there are: {', '.join(names)}")
    if len(io.write) != 1 or io.data_out_examples[0].size != 1:
        raise SetupError(processor, "peaks go to one sink, with data_length 1")
    dtype = io.data_out_examples[0].dtype
    for field in dtype.names or ("",):
        if field not in _NEEDS:
            raise SetupError(processor, f"the sink has a field {field!r}; of a peak there are: {', '.join(_NEEDS)}")
        if _NEEDS[field] and io.get(_NEEDS[field]) is None:
            raise SetupError(processor, f"the field {field!r} of the sink needs the setting {_NEEDS[field]!r}")
    settings = {name: io.get(name) for name in _SETTINGS} | {"rel_height": io.get("rel_height", 0.5)}

    def find(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        positions, found = find_peaks(data[channel], **settings)
        records = np.zeros(len(positions), dtype)
        for field in dtype.names or ():
            records[field] = positions if field == "position" else found[field]
        return records

    return find
