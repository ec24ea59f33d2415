"""Histograms as sinks: filled while a run goes on, looked at at any time, and kept at its end."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.pipeline.sinks.kept_histogram import KeptHistogram, empty_histogram, needed
from labdaq.roles import EventBatch

__all__ = ["HistogramSink"]

Values = npt.NDArray[np.float64]
Field = str | Callable[[Any], npt.ArrayLike] | None


class HistogramSink:
    """A sink that counts values in bins. Each run begins with an empty one, and keeps it in its folder.

    Give it to :meth:`Pipeline.sink`; :meth:`snapshot` shows it at any time, from any thread.

    Parameters
    ----------
    field
        Which field of the events, or which of ``counter``, ``timestamp_ns``, ``deadtime``; a function of a batch of
        events; None: the events themselves. Of arrays, all values count. Two of them in a tuple: two dimensions.
    bins
        How many; or their edges. For two dimensions a tuple of two.
    start, stop
        Range of the bins, in the unit of the field; ``stop`` itself is above it. For two dimensions tuples of two.
    weight
        A field, or function of a batch, by whose value each event counts.
    log
        Bins that widen by a factor; the range is above 0.
    name
        Of the sink and of its file, ``<name>.npz``; by default that of the field.
    ring
        Whose events they will be: tells the units, and whether there are such fields. `connect` does the same.

    Raises
    ------
    LayoutError
        These bins are not possible, or the ring has no such field.
    MissingExtraError
        boost-histogram is not installed.

    Examples
    --------
    >>> from labdaq.pipeline import Pipeline
    >>> daq = Pipeline("heights", store=None)
    >>> raw = daq.ring("raw", dtype="f8", capacity=16, header={"unit": "V"})
    >>> source = daq.source([0.1, 0.4, 0.45, 7.0], raw)
    >>> heights = daq.sink(HistogramSink(bins=2, start=0.0, stop=0.5, name="heights", ring=raw), raw)
    >>> result = daq.run()
    >>> heights.snapshot().values(flow=True)
    array([0., 1., 2., 1.])
    >>> heights.snapshot().errors().round(2)
    array([1.  , 1.41])
    >>> daq.close()
    """

    def __init__(
        self,
        field: Field | tuple[Field, Field] = None,
        bins: Any = 100,
        start: Any = None,
        stop: Any = None,
        *,
        weight: Field = None,
        log: bool = False,
        name: str | None = None,
        ring: Any = None,
    ) -> None:
        self._fields: tuple[Field, ...] = field if isinstance(field, tuple) else (field,)
        n = len(self._fields)
        if n not in {1, 2}:
            raise LayoutError(f"a histogram has one or two dimensions, not {n}")
        given = zip(_each(bins, n), _each(start, n), _each(stop, n), strict=True)
        self._edges = tuple(_edges(*one, log) for one in given)
        self._weight, self._is_log = weight, log
        self.axes = tuple(_label(one) for one in self._fields)
        self.units = ("",) * n
        file = name or "_".join(self.axes)
        if not file.isprintable() or set(file) & set("/\\:"):
            raise LayoutError(f"name={file!r}: a name is a word that can be the name of a file")
        self.name = f"{file.removesuffix('.npz')}.npz"
        self._boost = needed("boost_histogram")
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self.clear()
        if ring is not None:
            self.connect(ring)

    def connect(self, ring: Any) -> None:
        """Take the units from a ring, and look whether its events have these fields."""
        header: Mapping[str, Any] = getattr(ring, "header", None) or {}
        there = (*(ring.dtype.names or ()), "counter", "timestamp_ns", "deadtime")
        for one in (*self._fields, self._weight):
            if isinstance(one, str) and one not in there:
                raise LayoutError(f"ring {ring.name!r} has no field {one!r}; there are {', '.join(there)}")
            if one is None and ring.dtype.names and one in self._fields:
                raise LayoutError(f"which field of ring {ring.name!r} is to be counted? There are {', '.join(there)}")
        known = {"timestamp_ns": "ns", **dict(header.get("units") or {})}
        whole = "" if ring.dtype.names else str(header.get("unit", ""))
        self.units = tuple(str(known.get(one, "")) if isinstance(one, str) else whole for one in self._fields)

    def clear(self) -> None:
        """Forget everything that was counted."""
        with self._lock:
            self._filled = empty_histogram(self._boost, self._edges, self._is_log, self.axes)
            self._nan = 0

    def snapshot(self) -> KeptHistogram:
        """What was counted up to now; a copy. Only whole batches are in it."""
        with self._lock:
            view, nan = self._filled.view(flow=True), self._nan
            counts, variances = np.array(view["value"]), np.array(view["variance"])
        return KeptHistogram(self._edges, counts, variances, self.axes, self.units, nan, self._is_log)

    # ---------------------------------------------------------------------------------- as a sink

    def open(self, folder: Path) -> None:
        """A run begins, with an empty histogram."""
        self.clear()
        self._folder = Path(folder)

    def write(self, events: EventBatch) -> None:
        """Count a batch."""
        wanted = self._fields if self._weight is None else (*self._fields, self._weight)
        columns = self._columns([_values(events, one) for one in wanted])
        good = ~np.isnan(columns).any(axis=0)
        missing = int(good.size - np.count_nonzero(good))
        if missing:
            columns = [column[good] for column in columns]
        weights = {"weight": columns.pop()} if self._weight is not None else {}
        with self._lock:
            self._nan += missing
            self._filled.fill(*columns, **weights)

    def _columns(self, values: list[npt.NDArray[Any]]) -> list[Values]:
        """Numbers in rows; what there is once for an event goes with each of its values."""
        ndim = max(one.ndim for one in values)
        padded = [one.reshape(one.shape + (1,) * (ndim - one.ndim)) for one in values]
        try:
            return [np.ravel(one).astype(np.float64) for one in np.broadcast_arrays(*padded)]
        except ValueError as error:
            shapes = ", ".join(str(one.shape) for one in values)
            raise LayoutError(f"{self.name}: values and weights differ in shape: {shapes}") from error

    def close(self) -> None:
        """The run is over: keep the histogram in its folder."""
        folder, self._folder = self._folder, None
        if folder is not None:
            self.snapshot().save(folder / self.name)

    def to_hist(self) -> Any:
        """See :meth:`KeptHistogram.to_hist`."""
        return self.snapshot().to_hist()

    def __repr__(self) -> str:
        return repr(self.snapshot())


def _each(given: Any, n: int) -> Sequence[Any]:
    """A setting for each axis."""
    if n == 1:
        return (given,)
    return given if isinstance(given, tuple) and len(given) == n else (given,) * n


def _edges(bins: Any, start: Any, stop: Any, log: bool) -> Values:
    """Edges of the bins of an axis."""
    if isinstance(bins, int | np.integer) and not isinstance(bins, bool):
        if start is None or stop is None or bins < 1 or not -math.inf < start < stop < math.inf or (log and start <= 0):
            raise LayoutError(
                f"bins={bins}, start={start}, stop={stop}, log={log}: give a range that rises, above 0 if log, and at "
                "least one bin; or the edges of the bins"
            )
        return np.geomspace(start, stop, int(bins) + 1) if log else np.linspace(start, stop, int(bins) + 1)
    edges = np.array(bins, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0) or start is not None or stop is not None:
        raise LayoutError(f"bins={bins!r:.60}: a number of bins with start and stop, or edges that rise without")
    return edges


def _label(field: Field) -> str:
    if field is None:
        return "data"
    return field if isinstance(field, str) else getattr(field, "__name__", "value").strip("<>")


def _values(events: EventBatch, field: Field) -> npt.NDArray[Any]:
    """The values of a batch that count."""
    if callable(field):
        return np.asarray(field(events.data))
    if field is None:
        return np.asarray(events.data)
    if field in (events.data.dtype.names or ()):
        return np.asarray(events.data[field])
    if field in events.planes:
        return np.asarray(events.planes[field])
    there = ", ".join([*(events.data.dtype.names or ()), *events.planes])
    raise LayoutError(f"the events have no {field!r}; there are {there}")
