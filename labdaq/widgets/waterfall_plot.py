"""A waterfall: spectra, or whatever the rows of a ring are, as lines of colour that move down as time goes on."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye, Watched
from labdaq.widgets.plot import LivePlot
from labdaq.widgets.power import power_density
from labdaq.widgets.spectrum_plot import checked_length, frequency_axis
from labdaq.widgets.style import axis_label, new_figure

__all__ = ["Waterfall"]

_COLUMNS = 256
_FLOOR = 1e-30


class Waterfall(LivePlot):
    """Rows of colour, the newest on top; :func:`labdaq.waterfall` makes one.

    Parameters
    ----------
    ring
        A ring of waveforms or of spectra, or a tap on one.
    channel
        By name or number.
    transform
        ``"spectrum"``: each event is a waveform, and its power spectrum is drawn, in decibels. ``"none"``: each event
        is drawn as it is.
    rows
        How many are seen.
    rows_per_s
        At most so many come.
    length
        Samples of a stretch that is transformed.

    Raises
    ------
    LayoutError
        The events are no arrays of numbers, or the setting is not possible.
    NotFoundError
        There is no such channel.

    Examples
    --------
    >>> from labdaq import Ring
    >>> ring = Ring("spectra", dtype="f4", shape=(4,), capacity=4)
    >>> view = Waterfall(ring, transform="none", rows=2)
    >>> with ring.writer() as writer:
    ...     for number in range(2):
    ...         with writer.reserve() as event:
    ...             event.data[:] = number
    ...         view.look_now()
    >>> view.image.tolist()
    [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    >>> view.close(); ring.close()
    """

    looks_always = True

    def __init__(
        self,
        ring: Watched,
        channel: int | str = 0,
        *,
        transform: str = "spectrum",
        rows: int = 96,
        rows_per_s: float = 5.0,
        length: int | None = None,
    ) -> None:
        self._eye = Eye(ring)
        self._channel = self._eye.channel(channel)
        if transform not in {"spectrum", "none"} or not 1 < rows <= 1000 or not 0 < rows_per_s <= 10:
            raise LayoutError(
                f"{transform=}, {rows=}, {rows_per_s=}: transform is 'spectrum' or 'none', rows 2 to 1000, and at "
                "most 10 come in a second"
            )
        self._is_spectrum = transform == "spectrum"
        samples = self._eye.shape[-1]
        if self._is_spectrum:
            self._length = checked_length(length, samples)
            self._x, self._x_unit = frequency_axis(self._eye, self._length)
        else:
            self._x, self._x_unit = np.arange(samples, dtype=np.float64), ""
        columns = min(len(self._x), _COLUMNS)
        self._begins = np.arange(columns) * len(self._x) // columns
        self.image: npt.NDArray[np.float32] = np.full((rows, columns), np.nan, np.float32)
        self._events = 0
        self._rows_per_s = rows_per_s
        super().__init__(f"waterfall of {self._eye.name}", self._new_figure(), rows_per_s)

    def _see(self) -> None:
        event = self._eye.newest()
        if event is None:
            self.problem = self._last_words(self._eye) if self._events else self._eye.trouble
            return
        row = self._eye.rows(event)[self._channel].astype(np.float64)
        is_finite = bool(np.isfinite(row).all())
        if self._is_spectrum:
            rate_hz = 1 / (self._eye.sample_interval_s or 1.0)
            row = power_density(row[None], rate_hz, self._length)[0] if is_finite else np.full(len(self._x), np.nan)
        row = np.fmax.reduceat(row, self._begins)  # a line as narrow as it may be is seen
        if self._is_spectrum:
            row = 10 * np.log10(np.maximum(row, _FLOOR))
        self.image = np.roll(self.image, -1, axis=0)
        self.image[-1] = row
        self._events += 1
        known = self.image[np.isfinite(self.image)]
        low, high = np.quantile(known, [0.05, 0.999]) if len(known) else (0.0, 1.0)
        colours = {"low": float(low), "high": float(max(high, low + 1e-9))}
        text = f"event {event.counter}" + ("" if is_finite else ": some of its samples are no numbers")
        settings: dict[str, Any] = {"status": {"text": text}, "colours": colours}
        self._show({"rows": {"image": self.image}}, settings)

    def _new_figure(self) -> Any:
        models, palettes = needed("bokeh.models"), needed("bokeh.palettes")
        rows = len(self.image)
        begin, end = float(self._x[0]), float(self._x[-1])
        x_label = axis_label("frequency", self._x_unit) if self._is_spectrum else "number of the value"
        figure = new_figure(
            f"waterfall of {self._eye.name}",
            x_label,
            "rows before the newest",
            x_range=models.Range1d(begin, end, name="x_range"),
            y_range=models.Range1d(-rows, 0, name="y_range"),
        )
        source = models.ColumnDataSource(data={"image": [self.image.copy()]}, name="rows")
        mapper = models.LinearColorMapper(palette=palettes.Viridis256, low=0, high=1, nan_color="#F4F5F7")
        mapper.name = "colours"
        figure.image("image", source=source, x=begin, y=-rows, dw=end - begin, dh=rows, color_mapper=mapper)
        bar = models.ColorBar(color_mapper=mapper, width=10, title="dB" if self._is_spectrum else self._eye.unit())
        bar.title_text_font_size = "11px"
        figure.add_layout(bar, "right")
        figure.grid.visible = False
        return figure

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        extent = (float(self._x[0]), float(self._x[-1]), -len(self.image), 0)
        if np.isfinite(self.image).any():
            shown = axes.imshow(self.image, aspect="auto", origin="lower", extent=extent, cmap="viridis")
            shown.set_clim(**dict(zip(("vmin", "vmax"), self._settings["colours"].values(), strict=True)))
            figure.colorbar(shown, label="dB" if self._is_spectrum else self._eye.unit())
        axes.set_xlabel(axis_label("frequency", self._x_unit) if self._is_spectrum else "number of the value")
        axes.set_ylabel("rows before the newest")

    def _release(self) -> None:
        self._eye.close()
