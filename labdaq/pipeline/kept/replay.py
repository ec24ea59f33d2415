"""Recorded events once more, as a source: as fast as possible, as they came, or at a rate."""

import os
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.pipeline.kept.open_run import OpenRun
from labdaq.pipeline.kept.pacing import pace_of
from labdaq.pipeline.kept.recorded import Piece, recorded
from labdaq.roles import EventBatch, EventSlot

__all__ = ["Replay"]


class Replay:
    """A source of events that were recorded: the same data in the same order, byte by byte.

    Each run begins with the first event. Counters, time stamps and dead times are those that were recorded; where
    none were, or when the events are repeated, events are numbered and stamped as new ones.

    Parameters
    ----------
    source
        A run (:class:`OpenRun`, its folder, number or key), a file that a sink wrote (CSV, Parquet, HDF5, Zarr,
        npz), a tar archive of Parquet files as mimoCoRB writes it, a recording of picoCosmo, or an array whose
        first axis counts events.
    ring
        Which ring of a run, or entry of a file, when there are several.
    timing
        ``"fast"``: as fast as they are taken. ``"original"``: with the time between them that was recorded. A
        number: so many per second.
    poisson
        At a rate: at random times instead of equal intervals.
    seed
        Of the random times.
    speed
        Of the original timing: 2 is twice as fast.
    loop
        Begin again at the end, for ever.
    store
        Where a run is looked for.

    Attributes
    ----------
    dtype : numpy.dtype
        Of one event.
    shape : tuple of int
        Of one event.
    header : dict
        What is known of the data: unit, channels, ``sample_interval_ns``.

    Raises
    ------
    LayoutError
        A setting is not possible, or ``source`` is nothing of these.
    NotFoundError, DataError, ResourceError, MissingExtraError
        It is not there, damaged, cannot be read, or needs a package that is not installed.

    Notes
    -----
    As with :func:`labdaq.sim.clocked`, what was held up, by a full ring or a pause, is caught up if it was for less
    than a second.

    Examples
    --------
    >>> from labdaq.pipeline import Pipeline
    >>> daq = Pipeline("again", store=None)
    >>> raw = daq.ring("raw", dtype="i4", shape=(2,), capacity=16)
    >>> source = daq.source(Replay(np.arange(6, dtype="i4").reshape(3, 2)), raw)
    >>> seen = []
    >>> sink = daq.sink(lambda event: seen.append(event.data.tolist()), raw)
    >>> daq.run().events, seen
    (3, [[0, 1], [2, 3], [4, 5]])
    >>> daq.close()
    """

    def __init__(
        self,
        source: Any,
        *,
        ring: str | None = None,
        timing: str | float = "fast",
        poisson: bool = False,
        seed: int = 0,
        speed: float = 1.0,
        loop: bool = False,
        store: str | os.PathLike[str] = "runs",
    ) -> None:
        self._source = source
        self._settings: dict[str, Any] = {"ring": ring, "timing": timing, "poisson": poisson, "seed": seed}
        self._settings |= {"speed": speed, "loop": loop, "store": store}
        self._pace = pace_of(timing, poisson, seed, speed)
        self._recorded = recorded(source, ring, store)
        if timing == "original" and "timestamp_ns" not in self._recorded.planes:
            raise LayoutError("timing='original': no times were recorded; give a rate in Hz instead")
        self.dtype, self.shape = self._recorded.dtype, self._recorded.shape
        self.header = dict(self._recorded.header)
        self.seed = seed
        self._loops = loop
        self._pieces: Generator[Piece] | None = None
        self._piece, self._at = Piece(np.empty((0, *self.shape), self.dtype), {}), 0

    def __reduce__(self) -> tuple[Any, ...]:
        source = self._source.folder if isinstance(self._source, OpenRun) else self._source
        return partial(Replay, **self._settings), (source,)

    def __repr__(self) -> str:
        source, timing = self._source, self._settings["timing"]
        what = f"array of shape {source.shape}" if isinstance(source, np.ndarray) else repr(source)
        return f"<replay of {what}, {timing if isinstance(timing, str) else f'{timing:g} Hz'}>"

    def open(self) -> None:
        """Begin with the first event."""
        self.rewind()

    def rewind(self) -> None:
        """The next event is the first one."""
        self.close()
        self._pace.begin()

    def close(self) -> None:
        """Let go of files."""
        if self._pieces is not None:
            self._pieces.close()
        self._pieces = None
        self._piece, self._at = Piece(self._piece.data[:0], {}), 0

    def interrupt(self) -> None:
        """End waiting for the next event, from another thread."""
        self._pace.interrupt()

    # -------------------------------------------------------------------------------------- reading

    def skip(self, count: int) -> None:
        """Pass over so many events without waiting for their times; those that follow are due as after a beginning.

        Raises
        ------
        EndOfDataError
            There are no more.
        """
        while count > 0:
            if self._at == len(self._piece):
                self._next_piece()
            n = min(count, len(self._piece) - self._at)
            self._at, count = self._at + n, count - n
        self._pace.begin()
        if left := len(self._piece) - self._at:
            times_ns = self._piece.planes.get("timestamp_ns")
            self._pace.plan(left, None if times_ns is None else times_ns[self._at :])

    def acquire(self, event: EventSlot) -> None:
        """Fill the next event, when it is due.

        Raises
        ------
        EndOfDataError
            There are no more, or somebody called `interrupt`.
        """
        piece, at, _ = self._due(1)
        event.data[...] = piece.data[at]
        for name, plane in self._kept(piece).items():
            setattr(event, name, plane[at].item())

    def acquire_batch(self, events: EventBatch) -> int:
        """Fill as many events as are due, and wait for the first; how many.

        Raises
        ------
        EndOfDataError
            There are no more, or somebody called `interrupt`.
        """
        piece, at, n = self._due(len(events))
        events.data[:n] = piece.data[at : at + n]
        planes = events.planes
        for name, plane in self._kept(piece).items():
            planes[name][:n] = plane[at : at + n]
        return n

    def _kept(self, piece: Piece) -> Mapping[str, npt.NDArray[Any]]:
        """What was kept of each event; of no use when there are several of a number."""
        return {} if self._loops else piece.planes

    def _due(self, most: int) -> tuple[Piece, int, int]:
        """Wait for the next event: its piece, where it is in there, and how many are due."""
        if self._at == len(self._piece):
            self._next_piece()
        piece, at = self._piece, self._at
        n = self._pace.wait(min(most, len(piece) - at))
        self._at += n
        return piece, at, n

    def _next_piece(self) -> None:
        is_new = self._pieces is None
        while True:
            self._pieces = self._pieces or self._recorded.pieces()
            for piece in self._pieces:
                if len(piece):
                    self._piece, self._at = piece, 0
                    self._pace.plan(len(piece), piece.planes.get("timestamp_ns"))
                    return
            if is_new or not self._loops:
                raise EndOfDataError("everything that was recorded was replayed")
            self._pieces, is_new = None, True
            self._pace.lap()
