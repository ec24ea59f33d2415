"""Histograms of the scalars in a buffer, for a display.

In the kernel of a notebook they are labdaq's live histograms; without a page nothing is drawn. What is out of range is
counted too.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.copying import as_records
from labdaq.compat.mimocorb.displays import has_page, histograms_of, show
from labdaq.compat.mimocorb.exporters import rbExport
from labdaq.compat.mimocorb.roles import logger
from labdaq.errors import LayoutError
from labdaq.kernels import Histogram

__all__ = ["animHists", "histogram_buffer", "plot_Histograms"]

_MOST = 1024


class animHists:  # noqa: N801
    """Some histograms.

    Parameters
    ----------
    Hdescr
        For each ``[min, max, nbins, ymax, name, 0 or 1 for a logarithmic scale]``.
    name
        Of all together.
    fig
        Not used.

    Raises
    ------
    LayoutError
        For a description that is none.

    Examples
    --------
    >>> shown = animHists([[0, 10, 5, 1.0, "height (mV)", 0]])
    >>> shown([[1.0, 3.0, 12.0]])
    >>> shown.histograms[0].counts.tolist(), shown.entries, shown.outside
    ([1, 1, 0, 0, 0], [2], [1])
    >>> shown.mean_and_width(0)
    (2.0, 1.0)
    """

    def __init__(
        self,
        Hdescr: Sequence[Sequence[Any]],  # noqa: N803
        name: str = "Histograms",
        fig: object = None,  # noqa: ARG002
    ) -> None:
        self.name = name
        self.nHist = len(Hdescr)
        for given in Hdescr:
            if len(given) < 6 or not float(given[0]) < float(given[1]) or int(given[2]) < 1:
                raise LayoutError(f"a histogram is [min, max, nbins, ymax, name, 0 or 1 (log)], not {list(given)}")
        self.histograms = [Histogram(np.linspace(h[0], h[1], int(h[2]) + 1)) for h in Hdescr]
        self.ymxs = [float(h[3]) for h in Hdescr]
        self.names = [str(h[4]) for h in Hdescr]
        self.types = [int(h[5]) for h in Hdescr]

    @property
    def entries(self) -> list[int]:
        """How many values were in range, for each."""
        return [int(one.counts.sum()) for one in self.histograms]

    @property
    def outside(self) -> list[int]:
        """How many were out of range or no number, for each."""
        return [one.entries - int(one.counts.sum()) for one in self.histograms]

    @property
    def frqs(self) -> list[npt.NDArray[np.int64]]:
        """Counts of the bins, for each."""
        return [one.counts for one in self.histograms]

    def mean_and_width(self, number: int) -> tuple[float, float]:
        """Mean and standard deviation of one, from its bins; NaN when it is empty."""
        counts, edges = self.histograms[number].counts, self.histograms[number].edges[0]
        if not counts.any():
            return np.nan, np.nan
        centres = 0.5 * (edges[:-1] + edges[1:])
        mean = np.average(centres, weights=counts)
        return float(mean), float(np.sqrt(np.average((centres - mean) ** 2, weights=counts)))

    def __call__(self, vals: Sequence[npt.ArrayLike] | None) -> None:
        """Count values, an array for each histogram; None changes nothing."""
        for one, values in zip(self.histograms, vals or (), strict=False):
            one.fill(values)


def plot_Histograms(  # noqa: N802
    Q: Any,  # noqa: N803
    Hdescripts: Sequence[Sequence[Any]],  # noqa: N803
    interval: float,  # noqa: ARG001 - of updates, in seconds: those who draw it ask when they like
    name: str = "Histograms",
) -> animHists:
    """Histograms of what comes through a queue: lists of arrays; None ends it."""
    shown = animHists(Hdescripts, name)
    while (values := Q.get()) is not None:
        shown(values)
    return shown


class histogram_buffer:  # noqa: N801
    """Read a buffer and count what is in it.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer, in a list. Of each event its first value counts.
    sink_list, observe_list
        Not used.
    config_dict
        ``title`` and ``histograms``: ``{field: [min, max, nbins, ymax, label, 0 or 1 (log)]}``. A field that
        the buffer has not is left out, with a warning.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to read, or a histogram is not possible.

    Attributes
    ----------
    hists : animHists
        What is to be shown.
    count : int
        Events read so far.
    last_event_number : int
        The counter of the last one.
    """

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        sink_list: object = None,  # noqa: ARG002
        observe_list: object = None,  # noqa: ARG002
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        self.readData = rbExport(source_list=source_list, config_dict=config_dict, **rb_info)
        source = self.readData.source
        self.active_event, self.paused_event = source._active, source._paused
        fields = as_records(np.empty(0, np.dtype(source.dtype))).dtype.names or ()
        wanted = dict((config_dict or {}).get("histograms") or {})
        for name in set(wanted) - set(fields):
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(fields)}"
            logger.warning("no histogram of %r: the buffer has no such field%s", name, hint)
        self.varnams = [name for name in wanted if name in fields]
        self.nHist = len(self.varnams)
        self.title = str((config_dict or {}).get("title", "Histograms"))
        self.hists = animHists([wanted[name] for name in self.varnams], self.title)
        self.count, self.deadtime_f, self.last_event_number = 0, 0.0, 0
        self._wanted = wanted

    def views(self) -> list[Any]:
        """Live histograms, for a notebook."""
        return histograms_of(self.readData.source._ring, self._wanted)

    @property
    def mean_deadtime(self) -> float:
        """Of the events read so far, 0 to 1."""
        return self.deadtime_f / max(1, self.count)

    def __call__(self) -> None:
        """Count events until there are no more."""
        for view in self.views() if has_page() else ():
            show(view)
        source = self.readData.source
        most = min(_MOST, max(1, source.number_of_slots // 2))
        with source:
            while source._active.is_set():
                try:
                    events = source.get_batch(most)
                except SystemExit:
                    break
                records = as_records(events.data[:, 0])
                self.hists([records[name] for name in self.varnams])
                self.count += len(events)
                self.deadtime_f += float(events.planes["deadtime"].sum())
                self.last_event_number = int(events.planes["counter"][-1])
