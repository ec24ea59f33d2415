"""What is seen in a notebook: the control panel of a run, and live plots of its rings.

`wire`, `page`, `routing`    frames to the pages that look, no faster than they paint; bokeh in one widget
`painter`, `eye`             one thread that draws; looking at a ring without holding anyone back
`plot`, `style`, `cells`     what all plots have in common  `picture`  without a page    `colab`  where pages ask
`*_plot`, `scope_controls`   the plots            `envelope`, `power`  what they compute
`*subject*`, `control_panel`, `panel_html`, `parameter_controls`    a run as its panel shows it
`overview`                   panel and plots together
`scan_*`                     scans that were kept: searched, chosen, drawn, compared
`magics`                     ``%daq``, after ``%load_ext labdaq``
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from labdaq.roles import Parameter, Trigger

if TYPE_CHECKING:
    from labdaq.pipeline import AttachedRun, DeclaredRing, Pipeline, Tap
    from labdaq.ring import Ring
    from labdaq.store import DataStore
    from labdaq.widgets.control_panel import Panel
    from labdaq.widgets.histogram_plot import LiveHistogram
    from labdaq.widgets.overview import Dashboard
    from labdaq.widgets.plot import LivePlot
    from labdaq.widgets.rates_plot import Rates
    from labdaq.widgets.scan_browser import ScanBrowser
    from labdaq.widgets.scope_plot import Scope
    from labdaq.widgets.spectrum_plot import Spectrum
    from labdaq.widgets.waterfall_plot import Waterfall
    from labdaq.widgets.xy_plot import XYPlot

__all__ = ["browse", "dashboard", "histogram", "panel", "rates", "scope", "spectrum", "waterfall", "xy"]


def panel(daq: "Pipeline | AttachedRun") -> "Panel":
    """A control panel: buttons, limits, numbers, parameters, notes and a log.

    Parameters
    ----------
    daq
        A pipeline, or a run of another process from :func:`labdaq.attach`.

    Returns
    -------
    Panel
        Shows itself at the end of a cell; its ``widget`` fits into layouts of ipywidgets.
    """
    from labdaq.widgets.control_panel import Panel

    return Panel(daq)


def scope(
    ring: "Ring | DeclaredRing | Tap",
    trigger: int | str | Trigger | None = None,
    level: float | Parameter = 0.0,
    *,
    edge: str = "rising",
    mode: str = "auto",
    channels: Sequence[int | str] | None = None,
    frames_per_s: float = 30.0,
) -> "Scope":
    """An oscilloscope; see :class:`labdaq.widgets.scope_plot.Scope`.

    Returns
    -------
    Scope
        Its ``figure`` is one of bokeh; ``snapshot()`` gives a picture.
    """
    from labdaq.widgets.scope_plot import Scope

    return Scope(ring, trigger, level, edge=edge, mode=mode, channels=channels, frames_per_s=frames_per_s)


def histogram(
    ring: "Ring | DeclaredRing | Tap",
    field: str | None = None,
    *,
    bins: int = 100,
    limits: tuple[float, float] | None = None,
    log: bool = False,
    fit: Callable[..., Any] | None = None,
) -> "LiveHistogram":
    """A live histogram; see :class:`labdaq.widgets.histogram_plot.LiveHistogram`."""
    from labdaq.widgets.histogram_plot import LiveHistogram

    return LiveHistogram(ring, field, bins=bins, limits=limits, log=log, fit=fit)


def rates(daq: "Pipeline | AttachedRun") -> "Rates":
    """Strip charts of rates and fill levels; see :class:`labdaq.widgets.rates_plot.Rates`."""
    from labdaq.widgets.rates_plot import Rates

    return Rates(daq)


def spectrum(
    ring: "Ring | DeclaredRing | Tap",
    channels: Sequence[int | str] | None = None,
    *,
    length: int | None = None,
    mean_over: float = 10.0,
) -> "Spectrum":
    """A power spectrum, after Welch; see :class:`labdaq.widgets.spectrum_plot.Spectrum`."""
    from labdaq.widgets.spectrum_plot import Spectrum

    return Spectrum(ring, channels, length=length, mean_over=mean_over)


def waterfall(
    ring: "Ring | DeclaredRing | Tap",
    channel: int | str = 0,
    *,
    transform: str = "spectrum",
    rows: int = 96,
    rows_per_s: float = 5.0,
    length: int | None = None,
) -> "Waterfall":
    """Rows of colour over time; see :class:`labdaq.widgets.waterfall_plot.Waterfall`."""
    from labdaq.widgets.waterfall_plot import Waterfall

    return Waterfall(ring, channel, transform=transform, rows=rows, rows_per_s=rows_per_s, length=length)


def xy(ring: "Ring | DeclaredRing | Tap", x: int | str = 0, y: int | str = 1) -> "XYPlot":
    """One channel or field over another; see :class:`labdaq.widgets.xy_plot.XYPlot`."""
    from labdaq.widgets.xy_plot import XYPlot

    return XYPlot(ring, x, y)


def dashboard(daq: "Pipeline | AttachedRun", plots: "Sequence[LivePlot] | None" = None) -> "Dashboard":
    """Panel and plots in one layout; see :class:`labdaq.widgets.overview.Dashboard`."""
    from labdaq.widgets.overview import Dashboard

    return Dashboard(daq, plots)


def browse(store: "DataStore | str | os.PathLike[str]" = "runs", text: str = "", *, most: int = 200) -> "ScanBrowser":
    """Search scans and runs that were kept, draw and compare them.

    See :class:`labdaq.widgets.scan_browser.ScanBrowser`.

    Parameters
    ----------
    store
        A store, its folder, or its URL; by default the folder of the runs of pipelines.
    text
        What to search for first.
    most
        At most so many scans are listed, the newest.
    """
    from labdaq.widgets.scan_browser import ScanBrowser

    return ScanBrowser(store, text, most=most)
