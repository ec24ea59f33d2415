"""One channel over another: figures of Lissajous, phase space, correlations."""

from typing import Any

import numpy as np

from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye, Watched
from labdaq.widgets.plot import LivePlot, exactly, room_around
from labdaq.widgets.style import COLOURS, axis_label, new_figure

__all__ = ["XYPlot"]

_POINTS = 2000
_MOST_AT_ONCE = 500


class XYPlot(LivePlot):
    """Two channels of waveforms, or two fields of events, against each other; :func:`labdaq.xy` makes one.

    Of waveforms the newest event is drawn, of records the last 2000 of those that were seen.

    Parameters
    ----------
    ring
        A ring of waveforms or of records, or a tap on one.
    x, y
        Channels, or fields.

    Raises
    ------
    NotFoundError
        There is no such channel or field.
    LayoutError
        The events are neither waveforms nor records.

    Examples
    --------
    >>> from labdaq import Ring
    >>> ring = Ring("pulses", dtype=[("height", "f4"), ("width", "f4")], capacity=4)
    >>> view = XYPlot(ring, "height", "width")
    >>> with ring.writer() as writer, writer.reserve() as event:
    ...     event.data["height"], event.data["width"] = 3, 4
    >>> view.look_now()
    >>> view.status
    '1 points'
    >>> view.close(); ring.close()
    """

    def __init__(self, ring: Watched, x: int | str = 0, y: int | str = 1) -> None:
        self._eye = Eye(ring)
        self._is_records = bool(self._eye.dtype.names)
        self._names = (str(x), str(y))
        if self._is_records:
            self._eye.field(str(x)), self._eye.field(str(y))
            self._units = (self._eye.unit(str(x)), self._eye.unit(str(y)))
        else:
            self._channels = [self._eye.channel(x), self._eye.channel(y)]
            names = self._eye.channels()
            self._names = (names[self._channels[0]], names[self._channels[1]])
            self._units = (self._eye.unit(), self._eye.unit())
        self._points = np.zeros((2, 0))
        self.looks_always = self._is_records
        super().__init__(f"{self._names[1]} over {self._names[0]} of {self._eye.name}", self._new_figure(), 15.0)

    def _see(self) -> None:
        if self._is_records:
            seen = self._eye.unseen(_MOST_AT_ONCE)
            new = [np.stack([np.ravel(event.data[name]) for name in self._names]) for event in seen]
            self._points = np.concatenate([self._points, *new], axis=1)[:, -_POINTS:]
            is_new = bool(seen)
        else:
            event = self._eye.newest()
            is_new = event is not None
            if event is not None:
                rows = self._eye.rows(event)[self._channels].astype(np.float64)
                self._points = rows[:, :: max(1, rows.shape[1] // _POINTS)]
        if not is_new:
            self.problem = self._last_words(self._eye) if self._points.size else self._eye.trouble
            return
        settings: dict[str, Any] = {"status": {"text": f"{self._points.shape[1]} points"}}
        for name, values in zip(("x_range", "y_range"), self._points, strict=True):
            low, high = room_around(np.fmin.reduce(values), np.fmax.reduce(values))
            settings[name] = exactly(low, high)
        self._show({"points": {"x": self._points[0], "y": self._points[1]}}, settings)

    def _new_figure(self) -> Any:
        models = needed("bokeh.models")
        labels = [axis_label(name, unit) for name, unit in zip(self._names, self._units, strict=True)]
        figure = new_figure(self._eye.name, *labels, height=360)
        nothing = np.zeros(0, np.float32)
        source = models.ColumnDataSource(data={"x": nothing, "y": nothing}, name="points")
        if self._is_records:
            figure.scatter("x", "y", source=source, size=5, color=COLOURS[0], alpha=0.5, line_color=None)
        else:
            figure.line("x", "y", source=source, color=COLOURS[0], line_width=1.2)
        return figure

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        if self._points.size:
            axes.plot(*self._points, "." if self._is_records else "-", color=COLOURS[0], lw=0.9, ms=3)
        axes.set_xlabel(axis_label(self._names[0], self._units[0]))
        axes.set_ylabel(axis_label(self._names[1], self._units[1]))

    def _release(self) -> None:
        self._eye.close()
