"""Strip charts of a run: events per second in each ring, and how full the rings are."""

import time
from collections import deque
from typing import Any

import numpy as np

from labdaq.widgets.extras import needed
from labdaq.widgets.plot import LivePlot, exactly
from labdaq.widgets.style import add_legend, axis_label, colour, new_figure
from labdaq.widgets.subject import rate_text
from labdaq.widgets.subjects import subject_of

__all__ = ["Rates"]

_LONGEST_S = 120.0
_PER_S = 4.0


class Rates(LivePlot):
    """The last two minutes of a run; :func:`labdaq.rates` makes one.

    Parameters
    ----------
    daq
        A pipeline, or a run from :func:`labdaq.attach`.

    Raises
    ------
    LayoutError
        It is neither.

    Examples
    --------
    >>> from labdaq import Pipeline
    >>> daq = Pipeline("quiet", store=None)
    >>> view = Rates(daq)
    >>> view.look_now()
    >>> view.status
    'no run yet'
    >>> view.close(); daq.close()
    """

    looks_always = True

    def __init__(self, daq: Any) -> None:
        self._subject = subject_of(daq)
        self._began_s = time.monotonic()
        self._names = self._subject.ring_names
        self._strips: deque[list[float]] = deque(maxlen=int(_LONGEST_S * _PER_S))
        super().__init__(f"rates of {self._subject.title}", self._new_rates(), _PER_S)
        self.fill_figure = self._new_fills()
        self.layout = needed("bokeh.layouts").column(self.figure, self.fill_figure, sizing_mode="stretch_width")

    def _see(self) -> None:
        seen = self._subject.see()
        if seen.snapshot is None:
            self.problem = "no run yet"
            return
        if seen.state not in {"RUNNING", "PAUSED", "DRAINING"}:
            self._say(f"{seen.state.lower()}: {seen.reason}" if seen.reason else seen.state.lower())
            return
        by_name = {ring.name: ring for ring in seen.snapshot.rings}
        rings = [by_name.get(name) for name in self._names]
        rates = [ring.rate_hz if ring is not None else np.nan for ring in rings]
        fills = [100 * ring.fill if ring is not None else np.nan for ring in rings]
        now_s = time.monotonic() - self._began_s
        self._strips.append([now_s, *rates, *fills])
        strips = np.array(self._strips).T
        n = len(self._names)
        columns = {"t": strips[0] - now_s}
        columns |= {f"r{i}": strips[1 + i] for i in range(n)} | {f"f{i}": strips[1 + n + i] for i in range(n)}
        top = float(np.nanmax(strips[1 : 1 + n], initial=1.0)) * 1.15
        step = 10.0 ** np.floor(np.log10(top)) / 2
        words = ", ".join(f"{name} {rate_text(rate)}" for name, rate in zip(self._names, rates, strict=True))
        ends = exactly(0, float(np.ceil(top / step) * step))
        settings: dict[str, Any] = {"status": {"text": words}, "y_range": ends}
        self._show({"strips": columns}, settings)

    def _new_rates(self) -> Any:
        models = needed("bokeh.models")
        nothing = np.zeros(0, np.float32)
        columns = ["t", *(f"{kind}{i}" for i in range(len(self._names)) for kind in "rf")]
        self._source = models.ColumnDataSource(data=dict.fromkeys(columns, nothing), name="strips")
        self._time = models.Range1d(-_LONGEST_S, 0, name="x_range")
        figure = new_figure("rates", "", axis_label("rate", "1/s"), height=210, x_range=self._time)
        self._lines(figure, "r")
        return figure

    def _new_fills(self) -> Any:
        models = needed("bokeh.models")
        fill = models.Range1d(0, 100, name="fill_range")
        label = axis_label("time before now", "s")
        figure = new_figure(
            "fill levels", label, axis_label("fill", "%"), height=180, prefix="fill_", x_range=self._time, y_range=fill
        )
        self._lines(figure, "f")
        return figure

    def _lines(self, figure: Any, kind: str) -> None:
        lines = [
            (name, figure.line("t", f"{kind}{i}", source=self._source, color=colour(i), line_width=1.8))
            for i, name in enumerate(self._names)
        ]
        add_legend(figure, lines, "top_left")

    def _draw(self, figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        shown = self._sources.get("strips")
        for i, name in enumerate(self._names if shown else ()):
            upper.plot(shown["t"], shown[f"r{i}"], color=colour(i), label=name)  # type: ignore[index]
            lower.plot(shown["t"], shown[f"f{i}"], color=colour(i))  # type: ignore[index]
        if shown and self._names:
            upper.legend(fontsize=8, frameon=False, loc="upper left")
        upper.set_ylabel(axis_label("rate", "1/s"))
        lower.set_ylabel(axis_label("fill", "%"))
        lower.set_ylim(0, 100)
        lower.set_xlabel(axis_label("time before now", "s"))

    def _release(self) -> None:
        self._subject.close()
