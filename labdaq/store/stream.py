"""Streams: points that are only ever appended, read by index or through cursors."""

import contextlib
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labdaq.errors import EndOfStream, IndexNoMoreThereError, LayoutError, NoWritePermission, StateError
from labdaq.store.encoding import encoder_of
from labdaq.store.engine import Engine, Extent, Log, LogWriter, StreamRecord
from labdaq.store.slicing import one_index, span_of
from labdaq.store.waiting import deadline_of, limit_s, patiently

if TYPE_CHECKING:
    from labdaq.store.cursor import Cursor

__all__ = ["Stream"]

_PIECE_NBYTES = 2**24
_PIECE_NPOINT = 1000


class Stream:
    """A stream of a scan; made by `Scan.create_stream`, `Scan.streams` and `DataStore.open_stream`.

    It behaves like a sequence of points. Indexing by an integer gives a point, by a slice what is there of it: an
    array for numbers of a fixed shape (read-only; of an embedded store it is a view of the file), else a list.
    Negative indices count from the end, which there is when the stream is sealed.

    Attributes
    ----------
    key, name : str
    info : mapping
        What was said about it when it was made: units, labels.
    encoder : Encoder
        What its points are.

    Raises
    ------
    IndexNotYetThereError, IndexWontBeThereError, IndexNoMoreThereError
        The point may come, will not come, was trimmed. All are IndexErrors.
    """

    def __init__(self, engine: Engine, record: StreamRecord, *, writable: bool = False) -> None:
        self.key = record.key
        self.name = record.name
        self.info: Mapping[str, Any] = copy.deepcopy(dict(record.info))
        self.encoder = encoder_of(record.encoding)
        self.record = record
        self._engine = engine
        self._writable = writable
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._writer: LogWriter | None = None
        self._reader: Log | None = None

    # ------------------------------------------------------------------------------------ reading

    @property
    def log(self) -> Log:
        """The engine's side of it."""
        with self._opening:
            if self._reader is None:
                self._reader = self._engine.open_log(self.record)
            return self._reader

    @property
    def engine(self) -> Engine:
        """Who keeps it."""
        return self._engine

    @property
    def dtype(self) -> Any:
        """The dtype of its points; None for JSON."""
        return getattr(self.encoder, "dtype", None)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of a point, -1 where it varies; None for JSON."""
        return getattr(self.encoder, "shape", None)

    def extent(self) -> Extent:
        """Which points there are: the first that was not trimmed, how many were written, whether it is sealed."""
        return self.log.extent()

    def __len__(self) -> int:
        return self.log.extent().length

    def is_sealed(self) -> bool:
        """Whether no more points will come."""
        return self.log.extent().is_sealed

    def wait_seal(self, timeout: float | None = 0) -> bool:
        """Wait until it is sealed; False when it is not within ``timeout`` seconds (0: for ever).

        Raises
        ------
        EndOfStream
            Its writer died, and nobody will seal it.
        """
        return patiently(self._engine, self.is_sealed, [self.key], deadline_of(timeout), self.log.lost_writer)

    def __getitem__(self, index: Any) -> Any:
        extent = self.log.extent()
        if isinstance(index, slice):
            wanted = span_of(index, extent)
            if not wanted:
                return self.encoder.decode([], 0, 0)
            first, last = sorted((wanted[0], wanted[-1]))
            return self.points(first, last + 1, extent)[:: wanted.step]
        number = one_index(index, extent)
        return self.points(number, number + 1, extent)[0]

    def points(self, start: int, stop: int, extent: Extent) -> Any:
        """The points from start to stop, which are within the extent.

        Raises
        ------
        IndexNoMoreThereError
            Some of them were trimmed, and no file has them: see `labdaq.store.exchange.fallback`.
        """
        if start >= extent.first:
            try:
                return self.encoder.decode(self.log.read(start, stop), start, stop)
            except IndexNoMoreThereError:
                extent = self.log.extent()
                if start >= extent.first:
                    raise
        from labdaq.store.exchange.fallback import points_with_file

        return points_with_file(self, start, stop, extent)

    def cursor(self) -> "Cursor":
        """A reading head at the first point."""
        from labdaq.store.cursor import Cursor

        return Cursor(self)

    def whole_batches(self, start: int, stop: int, extent: Extent) -> Any:
        """The points from start to the end of the batch in which stop is, where batches can only be read whole.

        One point of JSON or of varying shape takes as long as all of its batch.
        """
        if start >= extent.first and self.encoder.point_nbytes is None:
            with contextlib.suppress(IndexNoMoreThereError):
                batches = self.log.read(start, stop)
                return self.encoder.decode(batches, start, batches[-1].start + batches[-1].npoint)
        return self.points(start, stop, extent)

    def __iter__(self) -> Iterator[Any]:
        """Point after point, waiting for those to come, until the stream is sealed.

        They are taken 16 MiB at a time; points that differ in size 1000 at a time, but always whole batches.
        """
        nbytes = self.encoder.point_nbytes
        count = _PIECE_NPOINT if nbytes is None else max(1, _PIECE_NBYTES // nbytes)
        cursor = self.cursor()
        while True:
            try:
                _index, points = cursor.read_batches(count)
            except EndOfStream:
                return
            yield from points

    # ------------------------------------------------------------------------------------ writing

    def send(self, data: Any) -> None:
        """Append one point, or a batch: an array of points; JSON streams take one value each time.

        With an embedded store the points are kept when this returns. With Redis they are on their way: see
        `join`.

        Raises
        ------
        LayoutError
            They are not points of this stream.
        BusyError
            Somebody else is writing it.
        StateError
            It is sealed.
        NoWritePermission
            It was opened to be read.
        ResourceError
            The disk is full, the server cannot be reached. The stream is as before.
        """
        payload, npoint = self.encoder.encode(data)
        with self._lock:
            (self._writer or self._claim()).append(payload, npoint)

    def send_many(self, points: Sequence[Any]) -> None:
        """Append points given one by one, as one batch; the only way for batches of JSON values."""
        try:
            listed = list(points)
        except TypeError:
            raise LayoutError(f"{points!r} is no sequence of points: send() takes a single one") from None
        payload, npoint = self.encoder.encode_many(listed)
        with self._lock:
            (self._writer or self._claim()).append(payload, npoint)

    def _check_writable(self) -> None:
        if not self._writable:
            raise NoWritePermission(
                f"stream {self.name!r} was opened to be read; to write it, get it from scan.get_writer_stream"
            )

    def _claim(self) -> LogWriter:
        self._check_writable()
        self._writer = self._engine.open_writer(self.record)
        return self._writer

    def join(self, timeout: float | None = 0) -> None:
        """Wait until every point is acknowledged by the store.

        Raises
        ------
        WaitTimeoutError, ResourceError
            They are not; the message says how many.
        """
        with self._lock:
            if self._writer is not None:
                self._writer.flush(limit_s(timeout))

    def seal(self, timeout: float | None = 0) -> int:
        """No more points will come; how many there are. Doing it again changes nothing.

        Raises
        ------
        BusyError
            Somebody else is writing it.
        """
        self._check_writable()
        with self._lock:
            if self._writer is None and (extent := self.log.extent()).is_sealed:
                return extent.length
            try:
                length = (self._writer or self._claim()).seal(limit_s(timeout))
            except StateError:  # perhaps somebody else sealed it since then
                extent = self.log.extent()
                if not extent.is_sealed:
                    raise
                length = extent.length
            self._writer = None
            return length

    def close(self) -> None:
        """Let go of it in this process; a stream that was not sealed can be written on later."""
        with self._lock, self._opening:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    # ------------------------------------------------------------------------------------- people

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<stream {self.name!r} of {self.encoder!r}>"

    def _repr_html_(self) -> str:
        from labdaq.store.pictures import stream_html

        return stream_html(self)
