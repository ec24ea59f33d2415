"""The power spectrum of waveforms, averaged while they come."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye, Watched
from labdaq.widgets.plot import LivePlot, exactly, room_around
from labdaq.widgets.power import frequencies, power_density
from labdaq.widgets.style import add_legend, axis_label, colour, new_figure

__all__ = ["Spectrum", "checked_length", "frequency_axis"]

_FLOOR = 1e-30


def frequency_axis(eye: Eye, length: int) -> tuple[Any, str]:
    """Frequencies in a unit that fits, and the unit; cycles per sample where the time is not known."""
    interval_s = eye.sample_interval_s
    if interval_s is None:
        return frequencies(1.0, length), "cycles/sample"
    highest_hz = 0.5 / interval_s
    scale, unit = next((one for one in ((1e6, "MHz"), (1e3, "kHz")) if highest_hz >= one[0]), (1.0, "Hz"))
    return frequencies(1 / interval_s, length) / scale, unit


def checked_length(wanted: int | None, samples: int) -> int:
    """Samples of a stretch: as asked for, or an eighth of the waveform.

    Raises
    ------
    LayoutError
        More than there are, or too few.
    """
    length = wanted or min(samples, max(64, 1 << max(samples // 8, 1).bit_length()), 4096)
    if not 2 <= length <= samples:
        raise LayoutError(f"length={wanted!r}: a stretch has 2 to {samples} samples, as many as the waveform at most")
    return length


class Spectrum(LivePlot):
    """Power of each channel over frequency, in decibels; :func:`labdaq.spectrum` makes one.

    Parameters
    ----------
    ring
        A ring of waveforms, or a tap on one.
    channels
        Which are shown; all by default.
    length
        Samples of a stretch that is transformed; an eighth of the waveform by default.
    mean_over
        Events over which is averaged, with weights that fall exponentially.

    Raises
    ------
    LayoutError
        The events are no waveforms, or the setting is not possible.
    NotFoundError
        There is no such channel.

    Examples
    --------
    >>> from labdaq import Ring
    >>> ring = Ring("tone", dtype="f4", shape=(1000,), capacity=4)
    >>> with ring.writer() as writer, writer.reserve() as event:
    ...     event.data[:] = np.sin(2 * np.pi * 0.25 * np.arange(1000))
    >>> view = Spectrum(ring)
    >>> view.look_now()
    >>> view.status
    'A: largest at 0.25 cycles/sample; mean over 1 event'
    >>> view.close(); ring.close()
    """

    def __init__(
        self,
        ring: Watched,
        channels: Sequence[int | str] | None = None,
        *,
        length: int | None = None,
        mean_over: float = 10.0,
    ) -> None:
        self._eye = Eye(ring)
        self._names = self._eye.channels()
        self._chosen = [self._eye.channel(one) for one in (self._names if channels is None else channels)]
        if not mean_over >= 1:
            raise LayoutError(f"mean_over={mean_over!r}: 1 or more events")
        self._length = checked_length(length, self._eye.shape[-1])
        self._weight = 1 / mean_over
        self._f, self._f_unit = frequency_axis(self._eye, self._length)
        self._mean: Any = None
        self._events = 0
        super().__init__(f"spectrum of {self._eye.name}", self._new_figure(), 10.0)

    @property
    def _label(self) -> str:
        unit = self._eye.unit()
        return axis_label("power density", f"dB of {unit}²/Hz" if unit else "dB")

    def _see(self) -> None:
        event = self._eye.newest()
        if event is None:
            self.problem = self._eye.trouble if self._mean is None else self._last_words(self._eye)
            return
        rows = self._eye.rows(event)[self._chosen].astype(np.float64)
        if not np.isfinite(rows).all():
            self.problem = f"event {event.counter}: some of its samples are no numbers, and it is left out"
            return
        density = power_density(rows, 1 / (self._eye.sample_interval_s or 1.0), self._length)
        self._events += 1
        weight = max(self._weight, 1 / self._events)
        self._mean = density if self._mean is None else (1 - weight) * self._mean + weight * density
        decibels = 10 * np.log10(np.maximum(self._mean, _FLOOR))
        peak = self._f[1 + int(self._mean[0, 1:].argmax())]
        number = min(self._events, round(1 / self._weight))
        over = f"mean over {number} event{'s' * (number != 1)}"
        text = f"{self._names[self._chosen[0]]}: largest at {peak:.4g} {self._f_unit}; {over}"
        low, high = room_around(float(np.quantile(decibels, 0.02)), float(decibels.max()))
        low, high = 10 * np.floor(low / 10), 10 * np.ceil(high / 10)
        columns = {f"c{n}": row for n, row in enumerate(decibels)}
        self._show({"spectra": {"f": self._f, **columns}}, {"status": {"text": text}, "y_range": exactly(low, high)})

    def _new_figure(self) -> Any:
        models = needed("bokeh.models")
        x_range = models.Range1d(0, float(self._f[-1]), name="x_range")
        figure = new_figure(
            f"spectrum of {self._eye.name}", axis_label("frequency", self._f_unit), self._label, x_range=x_range
        )
        nothing = np.zeros(len(self._f), np.float32)
        data = {"f": self._f.astype(np.float32), **{f"c{n}": nothing for n in range(len(self._chosen))}}
        source = models.ColumnDataSource(data=data, name="spectra")
        lines = [
            (self._names[number], figure.line("f", f"c{n}", source=source, color=colour(number), line_width=1.4))
            for n, number in enumerate(self._chosen)
        ]
        add_legend(figure, lines)
        return figure

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        if shown := self._sources.get("spectra"):
            for n, number in enumerate(self._chosen):
                axes.plot(shown["f"], shown[f"c{n}"], lw=0.9, color=colour(number), label=self._names[number])
            axes.legend(fontsize=8, frameon=False)
        axes.set_xlabel(axis_label("frequency", self._f_unit))
        axes.set_ylabel(self._label)

    def _release(self) -> None:
        self._eye.close()
