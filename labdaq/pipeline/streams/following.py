"""Scans followed as streams: what is being recorded, or was, is sent to whoever connects."""

from typing import Any

import numpy as np

from labdaq.errors import EndOfStream, LabdaqError, NotFoundError, WaitTimeoutError
from labdaq.pipeline.streams.recording import fields_of
from labdaq.store import Cursor, Scan
from labdaq.stream import OutputStream, StreamParameters
from labdaq.stream.carrying import Carrying

__all__ = ["ScanFollower", "follow_scan"]

_SLICE_S = 0.1
_MOST_NBYTES = 1 << 20
_INHERITED = ("sample_rate", "units", "scale", "offset", "channels", "streamtype", "annotations")


def follow_scan(
    scan: Scan, name: str, output: OutputStream | None = None, *, readers: int = 1, **parameters: Any
) -> "ScanFollower":
    """Send the points of a scan as a stream, from the first on, and then those that come, until the scan has them all.

    What was recorded by `record_stream` comes with its indices, gaps and times; of anything else every point is a
    sample, and its index counts points.

    Parameters
    ----------
    scan
        Open, to be read or written.
    name
        Of what is sent: a stream of the scan, or what `record_stream` was called with.
    output
        Where to; a stream of its own by default, configured with the parameters.
    readers
        So many are waited for before anything is sent.
    **parameters
        See `OutputStream.configure`.

    Returns
    -------
    ScanFollower
        A context manager with an ``address``: leaving it ends the stream.

    Raises
    ------
    NotFoundError
        The scan has no such stream.

    Examples
    --------
    >>> import labdaq
    >>> store = labdaq.DataStore("memory://")
    >>> scan = store.create_scan({"name": "scan", "number": 1, "data_policy": "none"})
    >>> heights = scan.create_stream("heights", labdaq.store.NumericStreamEncoder("f8"))
    >>> scan.prepare(); scan.start(); heights.send(np.arange(3.0)); scan.stop(); scan.close()
    >>> with follow_scan(scan, "heights", protocol="inproc") as sender:
    ...     with labdaq.InputStream().connect(sender.address) as inp:
    ...         inp.recv(timeout=30)
    (3, array([0., 1., 2.]))
    >>> store.close()
    """
    return ScanFollower(scan, name, output, readers, parameters)


class ScanFollower(Carrying):
    """What `follow_scan` returns.

    Attributes
    ----------
    output : OutputStream
        The stream.
    """

    def __init__(
        self, scan: Scan, name: str, output: OutputStream | None, readers: int, parameters: dict[str, Any]
    ) -> None:
        super().__init__()
        streams = scan.streams
        chosen = {key: one for key, one in streams.items() if key == name or key.startswith(f"{name}.")}
        chunks = chosen.get(f"{name}.chunks")
        recorded = dict(chunks.info).get("stream") if chunks is not None else None
        if recorded is not None:
            known = StreamParameters.from_json(recorded)
            self._fields = fields_of(known)
            self._dtype, row = known.dtype, known.row_shape
            inherited = {key: getattr(known, key) for key in _INHERITED}
            keys = {field: f"{name}.{field}" if field else name for field in self._fields}
        elif name in streams:
            encoder: Any = streams[name].encoder
            self._dtype, row = np.dtype(encoder.dtype), tuple(encoder.shape)
            self._fields, keys, inherited, chunks = {"": self._dtype}, {"": name}, {}, None
        else:
            raise NotFoundError(f"the scan has no stream {name!r}; it has {', '.join(streams) or 'none'}")
        self._cursors = {field: Cursor(streams[key]) for field, key in keys.items()}
        self._chunks = Cursor(chunks) if chunks is not None else None
        self._row = row
        self._most = max(1, _MOST_NBYTES // max(1, int(self._dtype.itemsize * np.prod(row, dtype=np.int64))))
        settings = {"dtype": self._dtype, "shape": (-1, *row), **inherited, **parameters}
        self._is_own, self._readers = output is None, readers
        self.output = OutputStream().configure(**settings) if output is None else output
        self._begin(f"follow {name}")

    @property
    def address(self) -> str:
        """Where readers connect to."""
        return self.output.address

    def _carry(self) -> None:
        try:
            while not self._is_over.is_set():
                try:
                    self.output.wait_for_readers(self._readers, _SLICE_S)
                    break
                except WaitTimeoutError:
                    continue
            while not self._is_over.is_set():
                self._send_some()
        except EndOfStream:
            self._finish()

    def _send_some(self) -> None:
        if self._chunks is None:
            _first, data = self._cursors[""].read(timeout=_SLICE_S, count=self._most)
            if len(data):
                self._send(data, None, None)
            return
        _first, chunks = self._chunks.read(timeout=_SLICE_S)
        for index, count, stamp, _missed in chunks:
            self._send(self._samples(int(count)), int(index), int(stamp))

    def _samples(self, count: int) -> Any:
        """So many points of all fields: they were kept before their chunk was noted."""
        parts = {field: self._points(cursor, count) for field, cursor in self._cursors.items()}
        if self._dtype.names is None:
            return parts[""]
        data = np.empty((count, *self._row), self._dtype)
        for field, points in parts.items():
            data[field] = points
        return data

    def _points(self, cursor: Cursor, count: int) -> Any:
        found: list[Any] = []
        while (left := count - sum(map(len, found))) > 0:
            found.append(cursor.read(count=left)[1])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _send(self, data: Any, index: int | None, stamp: int | None) -> None:
        while not self._is_over.is_set():
            try:
                self.output.send(np.asarray(data, self._dtype), index, timestamp_ns=stamp, timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            self.nsample += len(data)
            return

    def _finish(self) -> None:
        """All was sent: readers learn that it ends when they have it."""
        while not self._is_over.is_set():
            try:
                self.output.drain(_SLICE_S)
            except WaitTimeoutError:
                continue
            break
        if self._is_own:
            self.output.close()

    def close(self) -> None:
        """End the stream. Twice is allowed."""
        try:
            super().close()
        except LabdaqError:
            if self._is_own:
                self.output.close()
            raise
        if self._is_own:
            self.output.close()
