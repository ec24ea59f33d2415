"""Streams recorded in scans.

A stream recorded as ``eeg`` becomes ``eeg``, or ``eeg.<field>`` for each field of its dtype: its samples; and
``eeg.chunks``: for each chunk the index after it, its samples, the time of its end (UTC, ns) and how many samples are
missing before it. So gaps and times are kept, and `follow_scan` gives them back.
"""

from typing import Any

import numpy as np

from labdaq.errors import EndOfDataError, WaitTimeoutError
from labdaq.store import NumericStreamEncoder, Scan
from labdaq.stream import InputStream, StreamParameters
from labdaq.stream.carrying import Carrying

__all__ = ["StreamRecording", "record_stream"]

_SLICE_S = 0.1


def record_stream(stream: InputStream, scan: Scan, name: str = "stream", *, raw: bool = False) -> "StreamRecording":
    """Record a stream from now on, until it ends or the recording is closed.

    Parameters
    ----------
    stream
        Connected, of a known shape. It belongs to the recording until that ends.
    scan
        Where to; the streams are declared at once, so do this before the scan is prepared.
    name
        Of what is kept.
    raw
        Whether the stream was made with ``raw=True``: then values are kept as they were sent.

    Returns
    -------
    StreamRecording
        A context manager: leaving it ends the recording. ``wait()`` waits for the end of the stream.

    Raises
    ------
    LayoutError
        The scan cannot keep such values.

    Examples
    --------
    >>> import labdaq
    >>> store = labdaq.DataStore("memory://")
    >>> scan = store.create_scan({"name": "eeg", "number": 1, "data_policy": "none"})
    >>> out = labdaq.OutputStream().configure(protocol="inproc", dtype="f4", shape=(-1, 2))
    >>> with labdaq.InputStream().connect(out) as inp, record_stream(inp, scan, "eeg") as recording:
    ...     scan.prepare(); scan.start()
    ...     _ = out.send(np.ones((3, 2), "f4"))
    ...     out.close()
    ...     print(recording.wait(30))
    3
    >>> scan.stop(); scan.close()
    >>> scan.streams["eeg"][:].shape
    (3, 2)
    >>> store.close()
    """
    return StreamRecording(stream, scan, name, raw)


class StreamRecording(Carrying):
    """What `record_stream` returns.

    Attributes
    ----------
    missed : int
        Samples that are missing in what was recorded.
    """

    def __init__(self, stream: InputStream, scan: Scan, name: str, raw: bool) -> None:
        super().__init__()
        self.missed = 0
        self._stream = stream
        parameters = stream.parameters
        if parameters.is_scaled and not raw:
            parameters = parameters.changed(dtype=float, scale=None, offset=None)
        self._fields = fields_of(parameters)
        info = {"stream": parameters.to_json()}
        self._kept = {
            field: scan.create_stream(
                f"{name}.{field}" if field else name,
                NumericStreamEncoder(kind.base, (*parameters.row_shape, *kind.shape)),
                info,
            )
            for field, kind in self._fields.items()
        }
        self._chunks = scan.create_stream(f"{name}.chunks", NumericStreamEncoder("i8", (4,)), info)
        self._begin(f"record {name}")

    def _carry(self) -> None:
        while True:
            try:
                index, data = self._stream.recv(0.0 if self._is_over.is_set() else _SLICE_S)
            except WaitTimeoutError:
                if self._is_over.is_set():
                    return
                continue
            self._keep(index, data)

    def _keep(self, index: int, data: Any) -> None:
        last = self._stream.last
        if last is None:
            raise EndOfDataError("the stream was closed")
        for field, kept in self._kept.items():
            kept.send(np.ascontiguousarray(data[field] if field else data))
        self._chunks.send(np.array([index, len(data), last.timestamp_ns, last.missed_samples], np.int64))
        self.nsample += len(data)
        self.missed += last.missed_samples


def fields_of(parameters: StreamParameters) -> dict[str, np.dtype[Any]]:
    """The fields that a sample has, by name; one without a name for plain values."""
    dtype: np.dtype[Any] = parameters.dtype
    return {"": dtype} if dtype.names is None else {name: dtype[name] for name in dtype.names}
