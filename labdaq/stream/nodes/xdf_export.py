"""Recorded streams as an XDF file, for the programs that read those of Lab Streaming Layer."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labdaq.files.table import PathLike
from labdaq.files.xdf import XdfFile
from labdaq.stream.lsl import carried_dtype
from labdaq.stream.nodes.recordings import RawRecording, Segment
from labdaq.stream.stages import scaled

__all__ = ["export_xdf"]


def export_xdf(path: PathLike, recordings: Mapping[str, RawRecording], *, overwrite: bool = False) -> None:
    """Write recordings into one XDF file; gaps show in the times of samples.

    Times are UTC in seconds by each sender's clock, and what has to be added to them for the clock of the recorder
    goes into the file too. Values are scaled where the stream said so.

    Parameters
    ----------
    path
        The file.
    recordings
        By the names that their streams get in the file.
    overwrite
        Replace an existing file; without it that is an error.

    Raises
    ------
    LayoutError
        XDF has no such values.
    ResourceError
        If the file exists, or the system refuses to write it.
    """
    with XdfFile(path, overwrite=overwrite) as file:
        for name, recording in recordings.items():
            parameters = recording.parameters
            dtype = np.dtype(float) if parameters.is_scaled else carried_dtype(parameters.dtype)
            number = file.add_stream(
                name,
                dtype,
                int(np.prod(parameters.row_shape, dtype=int)),
                sample_rate=0.0 if parameters.streamtype == "event" else parameters.sample_rate,
                kind=parameters.streamtype,
                channels=parameters.channels,
                units=parameters.units,
            )
            for segment in recording.segments:
                data = recording.data[segment.row : segment.row + segment.rows]
                values = scaled(data, parameters) if parameters.is_scaled else data.astype(dtype)
                file.append(number, values.reshape(len(values), -1), _times_s(recording, segment))
            for offset in recording.clock_offsets:
                at_s = recording.times[0][1] / 1e9 if recording.times else 0.0
                file.add_clock_offset(number, at_s, -offset.offset_ns / 1e9)


def _times_s(recording: RawRecording, segment: Segment) -> NDArray[np.float64]:
    """Of the samples of a segment: from the mark at or before each, and the sample rate."""
    rows = np.arange(segment.row, segment.row + segment.rows)
    marks = np.array([mark for mark in recording.times if segment.row <= mark[0] < segment.row + segment.rows])
    last = np.searchsorted(marks[:, 0], rows, side="right") - 1
    times: NDArray[np.float64] = marks[last, 1] / 1e9 + (rows - marks[last, 0]) / recording.parameters.sample_rate
    return times
