"""Rings are kept here: one line records a ring, or what an observer sees of it, as streams of a scan.

A ring of events named ``raw`` becomes

- ``raw``, or ``raw.<field>`` for each field of its dtype: the frames, numbers or vectors;
- ``raw.index``: the ring's frame numbers, in which a gap is what was lost or not seen;
- ``raw.counter``, ``raw.timestamp_ns``, ``raw.deadtime`` and the ring's other planes.

A ring of bytes becomes ``raw``, its bytes one after the other, and ``raw.sequences``: for each sequence its
``name``, ``time_tag``, ``header``, ``tensor``, where it begins and ends in ``raw``, and where frames are missing.

Points of one frame have one index in all streams. Where a writer was killed, the shortest stream counts.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import EndOfDataError, LayoutError, NotFoundError, WaitTimeoutError
from labdaq.store.encoding import JsonStreamEncoder, NumericStreamEncoder
from labdaq.store.scan import Scan
from labdaq.store.stream import Stream
from labdaq.store.waiting import limit_s

if TYPE_CHECKING:
    from labdaq.ring import Ring

__all__ = ["KeptSequence", "Recording", "kept_sequences", "record"]

_SLICE_S = 0.05
_BATCH_NBYTES = 2**20


def record(ring: "Ring", scan: Scan, name: str | None = None, *, guarantee: bool = True) -> "Recording":
    """Record a ring from now on, in a thread of its own, until it ends or `Recording.stop` is called.

    Parameters
    ----------
    ring
        Of events, or of bytes.
    scan
        Where to; the streams are declared at once, so do this before the scan is prepared.
    name
        Of the streams; that of the ring by default.
    guarantee
        True: writers wait for the recording, and it loses nothing. False: they do not, it observes, and
        `Recording.nskipped` says what it missed.

    Examples
    --------
    >>> import labdaq
    >>> store = labdaq.store.DataStore("memory://")
    >>> scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    >>> with labdaq.Ring("raw", dtype="f4", shape=(3,), capacity=8) as ring, ring.writer() as writer:
    ...     recording = record(ring, scan)
    ...     scan.prepare(); scan.start()
    ...     writer.put(np.arange(3, dtype="f4"), counter=7)
    ...     ring.end()
    ...     print(recording.wait())
    1
    >>> scan.stop(); scan.close()
    >>> scan.streams["raw"][0], scan.streams["raw.counter"][0]
    (array([0., 1., 2.], dtype=float32), np.int64(7))
    >>> store.close()
    """
    return (EventRecording if ring.is_typed else SequenceRecording)(ring, scan, name or ring.name, guarantee)


class Recording(ABC):
    """A ring that is being recorded; a context manager that stops it.

    Attributes
    ----------
    streams : dict of str to Stream
        What it writes.
    nframe : int
        Frames (bytes, for a ring of bytes) that were kept so far.
    nskipped : int
        Frames that it did not get: overwritten before it saw them, or gone before it began.
    error : Exception or None
        What ended it, when it was not the end of the ring.
    """

    def __init__(self, ring: "Ring", scan: Scan, name: str, guarantee: bool) -> None:
        self.name = name
        self.nframe = 0
        self.nskipped = 0
        self.error: Exception | None = None
        self._guarantee = guarantee
        self._is_stopping = threading.Event()
        self._ring = ring
        self._most = 0
        self.streams = self._declare(ring, scan)
        self._reader = self._open(ring)
        self._thread = threading.Thread(target=self._run, name=f"record {name}", daemon=True)
        self._thread.start()

    @abstractmethod
    def _declare(self, ring: "Ring", scan: Scan) -> dict[str, Stream]:
        """The streams that it writes, declared."""

    @abstractmethod
    def _open(self, ring: "Ring") -> Any:
        """A reader or an observer of the ring."""

    @abstractmethod
    def _take(self) -> bool:
        """Keep what comes within a moment; whether anything did. Raises EndOfDataError at the end of the ring."""

    def _run(self) -> None:
        try:
            with self._reader:
                while (self._take() or not self._is_stopping.is_set()) and not self._is_done():
                    pass
        except EndOfDataError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, `wait` and `stop` hand it on
            self.error = error

    def wait(self, timeout: float | None = 0) -> int:
        """Wait until the ring has ended and all was kept, 0: for ever; how many frames that were.

        Raises
        ------
        WaitTimeoutError
            It goes on after ``timeout`` seconds.
        LabdaqError
            What ended it, when that was not the end of the ring.
        """
        self._thread.join(limit_s(timeout))
        if self._thread.is_alive():
            raise WaitTimeoutError(f"{self.name!r} is still being recorded, {self.nframe} frames so far")
        if self.error is not None:
            raise self.error
        return self.nframe

    def stop(self, timeout: float | None = 0) -> int:
        """Keep what is in the ring now, then end; how many frames were kept. Errors are those of `wait`."""
        self._most = self.nframe + self._ring.capacity  # the ring does not hold more at this moment
        self._is_stopping.set()
        return self.wait(timeout)

    def _is_done(self) -> bool:
        """Whether everything is kept that was in the ring when it was stopped."""
        return self._is_stopping.is_set() and self.nframe >= self._most

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "on" if self._thread.is_alive() else "ended"
        return f"<recording of {self.name!r}, {state}, {self.nframe} frames>"


class EventRecording(Recording):
    """Of a ring of events."""

    def _declare(self, ring: "Ring", scan: Scan) -> dict[str, Stream]:
        fields = {"": ring.dtype} if ring.dtype.names is None else {n: ring.dtype[n] for n in ring.dtype.names}
        kinds = {field: (dtype.base, ring.shape + dtype.shape) for field, dtype in fields.items()}
        beside = {"index": (np.dtype("i8"), ()), **ring.planes}
        common = sorted(set(kinds) & set(beside))
        if common:
            raise LayoutError(f"a field and a plane of ring {self.name!r} are both called {', '.join(common)}")
        self._fields, self._planes = tuple(kinds), tuple(ring.planes)
        info = {"ring": ring.name}
        nbytes = max(ring.dtype.itemsize * math.prod(ring.shape), 1)
        self._batch = max(1, min(_BATCH_NBYTES // nbytes, ring.contiguous))
        return {
            key: scan.create_stream(
                f"{self.name}.{key}" if key else self.name, NumericStreamEncoder(dtype, shape), info
            )
            for key, (dtype, shape) in {**kinds, **beside}.items()
        }

    def _open(self, ring: "Ring") -> Any:
        if not self._guarantee:
            return ring.observer(label="recording")
        reader = ring.reader(label="recording")
        self.nskipped = reader.missed
        return reader

    def _take(self) -> bool:
        try:
            return self._take_span() if self._guarantee else self._take_seen()
        except WaitTimeoutError:
            return False

    def _take_span(self) -> bool:
        span = self._reader.read_span(self._batch, timeout=_SLICE_S)
        index = np.arange(span.index, span.index + span.nframe)
        self._keep(span.data, index, span.planes)
        self._reader.release()
        return True

    def _take_seen(self) -> bool:
        event = self._reader.read(_SLICE_S)
        self.nskipped = self._reader.skipped + self._reader.overwritten
        planes = {name: np.asarray(event.plane(name))[None] for name in self._planes}
        self._keep(event.data[None], np.array([event.index]), planes)
        return True

    def _keep(self, data: Any, index: Any, planes: Mapping[str, Any]) -> None:
        for field in self._fields:
            self.streams[field].send(np.ascontiguousarray(data[field] if field else data))
        for name in self._planes:
            self.streams[name].send(np.ascontiguousarray(planes[name]))
        self.streams["index"].send(index)
        self.nframe += len(index)


class SequenceRecording(Recording):
    """Of a ring of bytes."""

    def _declare(self, ring: "Ring", scan: Scan) -> dict[str, Stream]:
        self._sequence: Any = None
        self._gulp = _BATCH_NBYTES
        return {
            "": scan.create_stream(self.name, NumericStreamEncoder("u1"), {"ring": ring.name}),
            "sequences": scan.create_stream(f"{self.name}.sequences", JsonStreamEncoder(), {"ring": ring.name}),
        }

    def _open(self, ring: "Ring") -> Any:
        return ring.read(guarantee=self._guarantee)

    def _take(self) -> bool:
        try:
            if self._sequence is None:
                self._begin(self._reader.next_sequence(timeout=_SLICE_S))
            return self._read()
        except WaitTimeoutError:
            if self._is_stopping.is_set() and self._sequence is not None:
                self._finish()
            return False

    def _begin(self, sequence: Any) -> None:
        if sequence is None:
            raise EndOfDataError(f"ring {self.name!r} has ended")
        self._sequence, self._position, self._begun = sequence, 0, self.nframe
        self._gaps: list[tuple[int, int]] = []
        self._frame = sequence._setup.frame
        self._gulp = max(1, min(_BATCH_NBYTES, self._ring.contiguous // 2) // self._frame)

    def _read(self) -> bool:
        """Keep whole gulps while they come; when they do not, what there is of one, in halves of halves."""
        gulp, patience_s = self._gulp, _SLICE_S
        while True:
            try:
                for span in self._sequence.read(gulp, begin=self._position, timeout=patience_s):
                    self._keep(span)
                    if self._is_done():
                        break
            except WaitTimeoutError:
                if gulp == 1:
                    raise
                gulp, patience_s = gulp // 2, 0.0
            else:
                self._finish()
                return True

    def _keep(self, span: Any) -> None:
        missed = span.frame_offset - self._position  # skipped, or written over while they were copied
        if missed:
            self._gaps.append(((self.nframe - self._begun) // self._frame, missed))
            self.nskipped += missed * self._frame
        data = np.ascontiguousarray(span.data_view(np.uint8)).reshape(-1)
        if len(data):
            self.streams[""].send(data)
        self._position = span.frame_offset + span.nframe
        self.nframe += len(data)

    def _finish(self) -> None:
        sequence = self._sequence
        self.streams["sequences"].send(
            {
                "name": sequence.name,
                "time_tag": sequence.time_tag,
                "header": dict(sequence.header),
                "tensor": sequence._setup.tensor,
                "begin": self._begun,
                "end": self.nframe,
                "gaps": self._gaps,
                "truncated": sequence.truncated or sequence.nframe != self._position,
            }
        )
        self._sequence = None


@dataclass(frozen=True)
class KeptSequence:
    """A sequence that was recorded."""

    name: str
    time_tag: int
    header: Mapping[str, Any]
    truncated: bool
    """Whether it went on, or should have: its writer died, or the recording was stopped before its end."""
    data: Any
    """Its frames: of the tensor's dtype and shape, or bytes."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Where frames are missing, which a recording without a guarantee did not get: index in `data` of the frame
    before which they would be, and how many they were."""


def kept_sequences(scan: Scan, name: str) -> Iterator[KeptSequence]:
    """The sequences of a ring of bytes that was recorded under a name, one after the other.

    Raises
    ------
    NotFoundError
        No ring of bytes was recorded under this name.
    """
    from labdaq.ring.tensor import Tensor

    streams = scan.streams
    if f"{name}.sequences" not in streams:
        raise NotFoundError(f"no sequences were recorded as {name!r}; the streams are {', '.join(streams) or 'none'}")
    for kept in streams[f"{name}.sequences"][:]:
        data = streams[name][kept["begin"] : kept["end"]]
        if kept["tensor"]:
            tensor = Tensor.parse(kept["tensor"])
            data = data.view(tensor.stored_dtype).reshape(-1, *tensor.stored_shape)
        gaps = tuple((index, count) for index, count in kept["gaps"])
        yield KeptSequence(kept["name"], kept["time_tag"], kept["header"], kept["truncated"], data, gaps)
