"""A panel and plots in one layout."""

import base64
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from labdaq.pipeline import AttachedRun, DeclaredRing, Pipeline
from labdaq.ring import Ring
from labdaq.widgets.control_panel import Panel
from labdaq.widgets.extras import needed
from labdaq.widgets.histogram_plot import LiveHistogram
from labdaq.widgets.panel_picture import panel_height
from labdaq.widgets.picture import Picture, taken
from labdaq.widgets.plot import LivePlot
from labdaq.widgets.rates_plot import Rates
from labdaq.widgets.scope_plot import Scope

__all__ = ["Dashboard"]

_MOST_HISTOGRAMS = 2
_COLUMNS, _PLOT_HEIGHT = 2, 2.9


class Dashboard:
    """The panel of a run, a scope on its first waveforms, histograms of its last records, and strip charts.

    :func:`labdaq.dashboard` makes one.

    Parameters
    ----------
    daq
        A pipeline, or a run from :func:`labdaq.attach`.
    plots
        Other plots, instead of those that are chosen by themselves.

    Attributes
    ----------
    panel : Panel
    plots : list
    widget
        For layouts of ipywidgets.

    Examples
    --------
    >>> daq = Pipeline("tones", store=None)
    >>> raw = daq.ring("raw", "f4", (100,), capacity=8)
    >>> with Dashboard(daq) as view:
    ...     print(view.plots)
    [<scope of raw>, <rates of tones>]
    >>> daq.close()
    """

    def __init__(self, daq: Pipeline | AttachedRun, plots: Sequence[LivePlot] | None = None) -> None:
        self.panel = Panel(daq)
        self.plots = list(plots) if plots is not None else _chosen(daq)
        self.label = self.panel.label.replace("panel", "dashboard", 1)

    @cached_property
    def widget(self) -> Any:
        """All of it."""
        ipywidgets = needed("ipywidgets")
        boxes = [ipywidgets.Box([plot.widget], layout={"width": "100%", "min_width": "0"}) for plot in self.plots]
        columns = "repeat(auto-fit, minmax(min(100%, max(390px, 40%)), 1fr))"  # two at most
        grid = ipywidgets.GridBox(boxes, layout={"grid_template_columns": columns, "grid_gap": "10px 16px"})
        return ipywidgets.VBox([self.panel.widget, grid], layout={"width": "100%"})

    def snapshot(self) -> Picture:
        """A picture of the panel and of all plots now, which stays in the saved notebook."""
        self.panel.look_now()
        for plot in self.plots:
            plot.look_now()
        rows = -(-len(self.plots) // _COLUMNS)
        heights = [panel_height(self.panel.seen), *[_PLOT_HEIGHT] * rows]

        def draw(figure: Any) -> None:
            parts = figure.subfigures(1 + rows, 1, height_ratios=heights, squeeze=False)[:, 0]
            self.panel.draw_on(parts[0])
            for row, part in enumerate(parts[1:]):
                plots = self.plots[_COLUMNS * row : _COLUMNS * (row + 1)]
                places = part.subfigures(1, len(plots), squeeze=False)[0]
                for plot, place in zip(plots, places, strict=True):
                    plot.draw_on(place)

        return taken(draw, 11, sum(heights), f"<{self.label}: {self.panel.seen.state.lower()}>")

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = self.widget._repr_mimebundle_()
        data, about = shown if isinstance(shown, tuple) else (shown or {}, {})
        picture = base64.b64encode(self.snapshot().png).decode()
        return {**data, "text/plain": f"<{self.label}>", "image/png": picture}, about

    def close(self) -> None:
        """Show it no more."""
        self.panel.close()
        for plot in self.plots:
            plot.close()
        if "widget" in self.__dict__:
            self.widget.close()

    def __enter__(self) -> "Dashboard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.label}>"


def _chosen(daq: Pipeline | AttachedRun) -> list[LivePlot]:
    if callable(own := getattr(daq, "plots", None)):  # a suite of another program, which says what is to be shown
        return [*own(), Rates(daq)]
    rings: list[Ring | DeclaredRing]
    rings = list(daq.rings.values()) if isinstance(daq, Pipeline) else [daq.ring(name) for name in daq._rings]
    waves = [ring for ring in rings if not ring.dtype.names and len(ring.shape) in {1, 2}]
    records = [ring for ring in rings if ring.dtype.names and not ring.shape]
    found: list[LivePlot] = [Scope(waves[0])] if waves else []
    for ring in records[-1:]:
        fields = [
            name for name in ring.dtype.names or () if ring.dtype[name].kind == "f" and not ring.dtype[name].shape
        ]
        found += [LiveHistogram(ring, name) for name in fields[:_MOST_HISTOGRAMS]]
    return [*found, Rates(daq)]
