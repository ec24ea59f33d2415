"""The figure of the muon experiment: an event, all decay times with the fit, and what the fit leaves over."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import MissingExtraError
from labdaq.kernels import LifetimeFit

__all__ = ["draw"]

# Colours that remain apart for all eyes (Okabe and Ito).
_BLUE, _ORANGE, _GREEN, _GREY, _INK = "#0072B2", "#D55E00", "#009E73", "#8A8F98", "#22262B"
_BIN_US = 0.5


def draw(
    times_us: npt.NDArray[np.float64],
    fit: LifetimeFit,
    waveform: npt.NDArray[Any],
    pulses: Any,
    header: Mapping[str, Any],
) -> Any:
    """Draw the figure.

    Parameters
    ----------
    times_us : ndarray, shape (n,)
        All decay times, in microseconds.
    fit : LifetimeFit
        What was fitted to them.
    waveform : ndarray, shape (samples,)
        An event, in volts.
    pulses : record of DOUBLE_PULSE
        What was measured in this event.
    header : mapping
        The header of its source.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas of its own: nothing is shared with pyplot.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("figures need matplotlib: pip install 'labdaq[notebook]'") from error
    figure = Figure(figsize=(10, 5.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    halves: Any = figure.subfigures(1, 2, width_ratios=[0.43, 0.57])
    upper, lower = halves[1].subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_event(halves[0].subplots(), waveform, pulses, header)
    _draw_times(upper, times_us, fit)
    _draw_pulls(lower, times_us, fit)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=11, colors=_INK)
        axes.title.set(fontsize=13, color=_INK)
        axes.xaxis.label.set(fontsize=12, color=_INK)
        axes.yaxis.label.set(fontsize=12, color=_INK)
    return figure


def _draw_event(axes: Any, waveform: npt.NDArray[Any], pulses: Any, header: Mapping[str, Any]) -> None:
    interval_us = 1e-3 * header["sample_interval_ns"]
    time_us = (np.arange(len(waveform)) - header["pretrigger"] * len(waveform)) * interval_us
    delay, first, last = (float(pulses[name]) for name in ("decay_time", "first_height", "last_height"))
    axes.plot(time_us, 1e3 * waveform, color=_BLUE, lw=1.3)
    level = -600 * min(first, last)
    axes.annotate("", (0, level), (delay, level), arrowprops={"arrowstyle": "<->", "color": _ORANGE, "lw": 1.8})
    text = {"ha": "center", "color": _ORANGE, "fontsize": 14, "weight": "bold"}
    axes.text(delay / 2, level + 40 * max(first, last), f"{delay:.2f} µs", **text)
    for time, height, name in ((0, first, "muon"), (delay, last, "electron")):
        axes.text(time, -1e3 * height - 30 * max(first, last), name, ha="center", va="top", fontsize=12, color=_INK)
    axes.set(xlim=(-0.9, delay + 1.6), ylim=(-1130 * max(first, last), 80 * max(first, last)))
    axes.set_title("One event: a muon stops, then decays", loc="left")
    axes.set(xlabel="time after the trigger / µs", ylabel="signal / mV")


def _histogram(times_us: npt.NDArray[np.float64], end: float) -> tuple[Any, Any]:
    counts, edges = np.histogram(times_us, np.arange(0, end + _BIN_US / 2, _BIN_US))
    return edges[:-1] + _BIN_US / 2, counts


def _draw_times(axes: Any, times_us: npt.NDArray[np.float64], fit: LifetimeFit) -> None:
    begin, end = fit.window_us
    middles, counts = _histogram(times_us, end)
    for mask, colour, label in (
        (middles > begin, _BLUE, "data"),
        (middles < begin, _GREY, "data before the fit begins"),
    ):
        style = {"fmt": "o", "ms": 4.5, "lw": 1.2, "color": colour, "label": label}
        axes.errorbar(middles[mask], counts[mask], np.sqrt(counts[mask]), **style)
    fine = np.linspace(begin, end, 300)
    flat = np.full_like(fine, fit.n * fit.background / (end - begin) * _BIN_US)
    axes.plot(fine, fit.rate(fine) * _BIN_US, color=_ORANGE, lw=2.4, label="exponential + flat")
    axes.plot(fine, flat, color=_GREEN, lw=1.8, ls="--", label="flat background")
    axes.set(yscale="log", ylabel=f"decays / {_BIN_US} µs")
    axes.set_title(f"{len(times_us)} decay times", loc="left")
    handles, labels = axes.get_legend_handles_labels()
    order = np.argsort([not label.startswith("data") for label in labels], kind="stable")
    minus, plus = fit.tau_error_minus_us, fit.tau_error_plus_us
    value = rf"$\tau = {fit.tau_us:.2f}\,_{{-{minus:.2f}}}^{{+{plus:.2f}}}$ µs"  # in the legend nothing lies on data
    legend = axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        title=value,
        title_fontsize=18,
        fontsize=11,
        frameon=False,
    )
    legend.get_title().set_color(_ORANGE)


def _draw_pulls(axes: Any, times_us: npt.NDArray[np.float64], fit: LifetimeFit) -> None:
    """Distance of the data from the fit in units of the error that the fit expects."""
    begin, end = fit.window_us
    middles, counts = _histogram(times_us, end)
    middles, counts = middles[middles > begin], counts[middles > begin]
    expected = fit.rate(middles) * _BIN_US
    axes.plot([begin, end], [0, 0], color=_ORANGE, lw=1.8)
    axes.errorbar(middles, (counts - expected) / np.sqrt(expected), 1.0, fmt="o", ms=4, lw=1.1, color=_BLUE)
    axes.set(
        xlim=(0, end),
        ylim=(-4, 4),
        yticks=[-2, 0, 2],
        xlabel="decay time / µs",
        ylabel=r"residual / $\sigma$",
    )
