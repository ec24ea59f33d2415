"""A histogram of one quantity of the events of a ring, while it grows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.kernels import Histogram
from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye, Watched
from labdaq.widgets.plot import LivePlot, exactly
from labdaq.widgets.routing import answer_at_once
from labdaq.widgets.style import COLOURS, axis_label, new_figure

__all__ = ["LiveHistogram"]

Floats = npt.NDArray[np.float64]
Fit = Callable[[Floats, Floats], tuple[npt.ArrayLike, str]]

_MOST_AT_ONCE = 1000
_REMEMBERED = 100_000
"""So many values are kept, to fill them in again when the range is changed."""
_FEWEST_FOR_RANGE = 30
_FEW_OUTSIDE = 0.02


class LiveHistogram(LivePlot):
    """Counts values of events that it sees; :func:`labdaq.histogram` makes one.

    It observes: of a fast ring it sees a part, and says how many it missed. For one that counts every event let
    the pipeline have a sink, :class:`labdaq.pipeline.sinks.histograms.HistogramSink`.

    Parameters
    ----------
    ring
        A ring of events, or a tap on one.
    field
        Of the events; None for events that are numbers. Of arrays all values count.
    bins
        How many.
    limits
        Least and greatest value; by default those of the first events.
    log
        Whether counts are drawn on a logarithmic axis.
    fit
        ``fit(centres, counts) -> (curve, words)``: is drawn over it, once a second at most.

    Attributes
    ----------
    limits, log
        May be changed at any time; the last 100 000 values are filled in again.
    counts : Histogram
        What was counted; None before there is a range.

    Raises
    ------
    LayoutError
        These bins, or these limits, are not possible.
    NotFoundError
        The events have no such field.

    Examples
    --------
    >>> from labdaq import Ring
    >>> ring = Ring("heights", dtype=[("height", "f8")], capacity=8)
    >>> view = LiveHistogram(ring, "height", bins=4, limits=(0, 4))
    >>> with ring.writer() as writer:
    ...     for height in (0.5, 2.5, 2.6, 9.0):
    ...         with writer.reserve() as event:
    ...             event.data["height"] = height
    >>> view.look_now()
    >>> view.counts.counts.tolist(), view.status
    ([1, 0, 2, 0], '4 values, mean 3.65, deviation 3.2; outside 0 below, 1 above')
    >>> view.close(); ring.close()
    """

    looks_always = True

    def __init__(
        self,
        ring: Watched,
        field: str | None = None,
        *,
        bins: int = 100,
        limits: tuple[float, float] | None = None,
        log: bool = False,
        fit: Fit | None = None,
    ) -> None:
        self._eye = Eye(ring)
        self._field = self._eye.field(field)
        if int(bins) != bins or not 0 < bins <= 10_000:
            raise LayoutError(f"bins={bins!r}: a whole number from 1 to 10 000")
        self._bins, self._fit, self._log = int(bins), fit, log
        self._values: list[Floats] = []
        self._kept = self._seen = 0
        self._sums = np.zeros(3)
        self._range_at = float(_FEWEST_FOR_RANGE) if limits is None else np.inf
        self._curve: Floats | None = None
        self.counts: Histogram | None = None
        self._top = 0.0
        if limits is not None:
            self._set_edges(*limits)
        super().__init__(f"histogram of {self._quantity}", self._new_figure(), 5.0)

    @property
    def _quantity(self) -> str:
        return self._eye.name if self._field is None else f"{self._eye.name}.{self._field}"

    # ------------------------------------------------------------------------------------ settings

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and greatest value; None before the first events."""
        edges = self.counts.edges[0] if self.counts is not None else None
        return None if edges is None else (float(edges[0]), float(edges[-1]))

    @limits.setter
    def limits(self, wanted: tuple[float, float]) -> None:
        with self._lock:
            self._set_edges(*wanted)
            self._range_at = np.inf
            self._refill()

    def _set_edges(self, low: float, high: float) -> None:
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise LayoutError(f"limits=({low!r}, {high!r}): two finite numbers, the lesser first")
        self.counts = Histogram(np.linspace(low, high, self._bins + 1))

    def _refill(self) -> None:
        if self.counts is not None:
            for values in self._values:
                self.counts.fill(values)
            self._top = 0.0
            self._show_counts()

    @property
    def log(self) -> bool:
        """Whether counts are drawn on a logarithmic axis. Changing it makes a new figure."""
        return self._log

    @log.setter
    def log(self, wanted: bool) -> None:
        with self._lock:
            self._log, self._top = bool(wanted), 0.0
            self.figure = self.layout = self._new_figure()
            if "page" in self.__dict__:
                self.page.figure = self.figure
                self.redraw()
            self._show_counts()

    def clear(self) -> None:
        """Begin again."""
        with self._lock:
            self._values, self._kept, self._seen, self._top, self._curve = [], 0, 0, 0.0, None
            self._sums[:] = 0
            if self.counts is not None:
                self.counts.clear()
                self._show_counts()

    # -------------------------------------------------------------------------------------- seeing

    def _see(self) -> None:
        seen = self._eye.unseen(_MOST_AT_ONCE)
        if not seen:
            self.problem = self._last_words(self._eye) if self._seen else self._eye.trouble
            return
        of = [event.data if self._field is None else event.data[self._field] for event in seen]
        values = np.concatenate([np.ravel(one).astype(np.float64) for one in of])
        if len(seen) == _MOST_AT_ONCE:  # too fast to see all of them: go on with the newest
            self._eye.pass_over()
        self._remember(values)
        if self.counts is not None:
            self.counts.fill(values)
        if self._sums[0] >= self._range_at:
            self._find_range()
        self._show_counts()

    def _remember(self, values: Floats) -> None:
        good = values[np.isfinite(values)]
        self._sums += len(good), good.sum(), (good**2).sum()
        self._seen += len(values)
        self._values.append(values)
        self._kept += len(values)
        while self._kept > _REMEMBERED and len(self._values) > 1:
            self._kept -= len(self._values.pop(0))

    def _find_range(self) -> None:
        """From the first values, and again when there are four times as many and some are outside."""
        self._range_at = 4 * self._sums[0] if self._seen < _REMEMBERED / 8 else np.inf
        outside = 0 if self.counts is None else self.counts.with_flow[0] + self.counts.with_flow[-1]
        if self.counts is not None and outside < _FEW_OUTSIDE * self._seen:
            return
        values = np.concatenate(self._values)
        low, high = np.quantile(values[np.isfinite(values)], [0.0, 0.99])
        room = 0.1 * (high - low) or max(abs(low), 1.0)
        self._set_edges(min(low - room, 0.0) if low >= 0 > low - room else low - room, high + room)
        self._refill()

    def _words(self) -> str:
        count, total, squares = self._sums
        text = f"{self._seen} values"
        if count:
            mean = total / count
            text += f", mean {mean:.4g}, deviation {max(squares / count - mean**2, 0.0) ** 0.5:.3g}"
            text += f" {self._eye.unit(self._field)}".rstrip()
        if self.counts is not None:
            below, above = int(self.counts.with_flow[0]), int(self.counts.with_flow[-1])
            text += f"; outside {below} below, {above} above" if below or above else ""
            text += f"; {self.counts.missing} are no numbers" if self.counts.missing else ""
        part = self._eye.part_seen()
        text += f"; saw {100 * part:.0f} % of the events" if part < 0.995 else ""
        return text

    # ------------------------------------------------------------------------------------- drawing

    def _show_counts(self) -> None:
        if self.counts is None:
            self._say(f"{self._words()}; waiting for {_FEWEST_FOR_RANGE} to find a range")
            return
        edges, counts = self.counts.edges[0], self.counts.counts.astype(np.float64)
        words = self._words()
        centres = (edges[1:] + edges[:-1]) / 2
        self._curve = None
        if self._fit is not None and counts.any():
            try:
                curve, told = self._fit(centres, counts)
                self._curve, words = np.asarray(curve, np.float64), f"{words} | {told}"
            except Exception as error:  # noqa: BLE001 - the user's code; the histogram goes on
                words += f" | no fit: {type(error).__name__}: {error}"
        self._top = max(self._top, 1.15 * float(counts.max()), 2.0)
        if counts.max() > 0.95 * self._top:
            self._top *= 1.3
        floor = 0.5 if self._log else 0.0
        curve = np.full(len(centres), np.nan) if self._curve is None else self._curve
        self._show(
            {
                "bins": {"left": edges[:-1], "right": edges[1:], "count": np.maximum(counts, floor)},
                "curve": {"x": centres, "y": np.where(curve >= floor, curve, np.nan)},
            },
            {"status": {"text": words}, "x_range": exactly(edges[0], edges[-1]), "y_range": exactly(floor, self._top)},
        )

    def _new_figure(self) -> Any:
        models = needed("bokeh.models")
        name = axis_label(self._field or self._eye.name, self._eye.unit(self._field))
        settings: dict[str, Any] = {"y_axis_type": "log"} if self._log else {}
        if self._log:
            settings["y_range"] = models.Range1d(0.5, 10, name="y_range")
        figure = new_figure(self._quantity, name, "counts", **settings)
        nothing = np.zeros(0, np.float32)
        bins = models.ColumnDataSource(data={"left": nothing, "right": nothing, "count": nothing}, name="bins")
        curve = models.ColumnDataSource(data={"x": nothing, "y": nothing}, name="curve")
        drawn = figure.quad(
            left="left", right="right", top="count", bottom=0.5 if self._log else 0, source=bins, line_color="#FFFFFF",
            line_width=0.4, fill_color=COLOURS[0], fill_alpha=0.85,
        )  # fmt: skip
        figure.line("x", "y", source=curve, line_color=COLOURS[1], line_width=2)
        tips = [("from", "@left{0.000}"), ("to", "@right{0.000}"), ("count", "@count{0}")]
        figure.add_tools(models.HoverTool(renderers=[drawn], tooltips=tips))
        return figure

    def _controls(self) -> Sequence[Any]:
        ipywidgets = needed("ipywidgets")
        log = ipywidgets.ToggleButton(value=self._log, description="Log", layout={"width": "70px"})
        clear = ipywidgets.Button(description="Clear", icon="eraser", layout={"width": "80px"})
        log.tooltip, clear.tooltip = "Counts on a logarithmic axis", "Begin again"
        log.observe(lambda change: setattr(self, "log", change["new"]), "value")
        clear.on_click(lambda _: self.clear())
        answer_at_once(log, clear)
        return [log, clear]

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        if self.counts is not None:
            axes.stairs(self.counts.counts, self.counts.edges[0], fill=True, color=COLOURS[0], alpha=0.85)
            if self._curve is not None:
                edges = self.counts.edges[0]
                axes.plot((edges[1:] + edges[:-1]) / 2, self._curve, color=COLOURS[1])
            if self._log and self.counts.counts.any():  # of nothing there is no logarithm
                axes.set_yscale("log")
                axes.set_ylim(bottom=0.5)
        axes.set_xlabel(axis_label(self._field or self._eye.name, self._eye.unit(self._field)))
        axes.set_ylabel("counts")

    def _release(self) -> None:
        self._eye.close()
