"""How everything looks: colours that remain apart for all eyes, and plain figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from labdaq.widgets.extras import needed

__all__ = ["COLOURS", "GREY", "INK", "add_legend", "axis_label", "colour", "new_figure", "scaled_time"]

COLOURS: Sequence[str] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22262B", "#8C6D31")
"""Blue, vermilion, green, purple, orange, sky, ink, brown (after Okabe and Ito)."""
GREY, INK = "#8A8F98", "#22262B"
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def colour(number: int) -> str:
    """Of the n-th line."""
    return COLOURS[number % len(COLOURS)]


def axis_label(name: str, unit: str = "") -> str:
    """A quantity with its unit.

    Examples
    --------
    >>> axis_label("height", "mV"), axis_label("counter")
    ('height (mV)', 'counter')
    """
    return f"{name} ({unit})" if unit else name


def scaled_time(interval_s: float | None, samples: int) -> tuple[float, str]:
    """The time between two samples in a unit that fits so many, and the unit.

    Examples
    --------
    >>> scaled_time(1e-8, 4250), scaled_time(None, 10)
    ((0.01, 'µs'), (1.0, 'samples'))
    """
    if not interval_s:
        return 1.0, "samples"
    span_s = interval_s * max(samples, 1)
    second, name = next(((one, unit) for one, unit in _TIMES if span_s >= one), _TIMES[-1])
    return round(interval_s / second, 12), name


def new_figure(title: str, x: str, y: str, *, height: int = 300, prefix: str = "", **settings: Any) -> Any:
    """A bokeh figure whose ranges are explicit: nothing scans all data when some of them are new.

    They are named ``x_range`` and ``y_range``, after a prefix where a page has several figures.
    """
    plotting, models = needed("bokeh.plotting"), needed("bokeh.models")
    settings = {"x_range": models.Range1d(0, 1, name=f"{prefix}x_range"), **settings}
    settings = {"y_range": models.Range1d(0, 1, name=f"{prefix}y_range"), **settings}
    tools = "pan,box_zoom,wheel_zoom,reset,save"
    figure = plotting.figure(
        height=height, sizing_mode="stretch_width", tools=tools, toolbar_location="right", **settings
    )
    figure.toolbar.logo = None
    figure.title = models.Title(text=title, text_font_size="14px", text_color=INK)
    figure.xaxis.axis_label, figure.yaxis.axis_label = x, y
    figure.axis.axis_label_text_font_style = "normal"
    figure.axis.axis_label_text_color = figure.axis.major_label_text_color = INK
    figure.axis.axis_line_color = figure.axis.major_tick_line_color = figure.axis.minor_tick_line_color = "#B4B9C1"
    figure.grid.grid_line_color = "#ECEEF1"
    figure.outline_line_color = "#D5D9DF"
    figure.min_border_left, figure.background_fill_color = 64, "#FFFFFF"
    return figure


def add_legend(figure: Any, lines: Sequence[tuple[str, Any]], place: str = "top_right") -> None:
    """A legend of lines that hides and shows them by a click.

    Bokeh makes a legend anew with each change of data that it can reach from its lines. So its lines are samples
    without data, and the page hides and shows the lines themselves with their samples.
    """
    models = needed("bokeh.models")
    items = []
    for name, line in lines:
        sample = figure.line([np.nan], [np.nan], color=line.glyph.line_color, line_width=2)
        line.name = line.name or f"line {line.id}"
        sample.tags = ["sample of", line.name]
        items.append(models.LegendItem(label=name, renderers=[sample]))
    legend = models.Legend(items=items, click_policy="hide", location=place, orientation="horizontal", padding=4)
    legend.spacing, legend.glyph_width, legend.label_standoff, legend.label_text_font_size = 9, 14, 4, "12px"
    legend.background_fill_alpha, legend.border_line_color = 0.75, None
    figure.add_layout(legend)
