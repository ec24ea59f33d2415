"""A stream as a sink: events go out as its samples."""

from pathlib import Path
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.pipeline.declared import DeclaredRing
from labdaq.stream import OutputStream

__all__ = ["StreamSink"]


class StreamSink:
    """Sends each event as one sample of a stream.

    Samples are numbered as they come, without gaps. A stream that was not configured is opened with the dtype and
    shape of the ring, for processes of this machine and user. Closing it is up to who made it.

    Parameters
    ----------
    stream
        With policy ``block`` the pipeline waits for slow readers.
    ring
        Whose events they are.
    patience_s
        After so long without room it gives up, and the run drains and fails.

    Raises
    ------
    LayoutError
        The stream carries something else.
    """

    def __init__(self, stream: OutputStream, ring: DeclaredRing, patience_s: float = 10.0) -> None:
        if not stream.is_open:
            stream.configure(protocol="ipc", dtype=ring.dtype, shape=(-1, *ring.shape))
        parameters = stream.parameters
        if parameters.dtype != ring.dtype or (parameters.is_fixed and parameters.row_shape != ring.shape):
            raise LayoutError(
                f"the stream carries {parameters.dtype} of shape {parameters.row_shape} for each sample, and ring "
                f"{ring.name!r} holds {ring.dtype} of shape {ring.shape}: configure the stream so"
            )
        self._stream, self._patience_s = stream, patience_s
        self.name = parameters.name or "stream"

    def open(self, folder: Path) -> None:
        """Begin a run."""

    def write(self, events: Any) -> None:
        """Send a batch of events. Raises WaitTimeoutError when a reader is too slow for too long."""
        stamp = int(events.planes["timestamp_ns"][-1])
        self._stream.send(np.asarray(events.data), timestamp_ns=stamp, timeout=self._patience_s)

    def close(self) -> None:
        """Send what was collected."""
        if self._stream.is_open:
            self._stream.flush(self._patience_s)
