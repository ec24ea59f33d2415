"""An oscilloscope on a ring of waveforms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.kernels.triggers import find_triggers_reference
from labdaq.ring import ObservedEvent
from labdaq.roles import Parameter, Trigger
from labdaq.widgets.envelope import envelope, envelope_times
from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye, Watched
from labdaq.widgets.plot import LivePlot, exactly, room_around
from labdaq.widgets.scope_controls import scope_controls
from labdaq.widgets.style import GREY, add_legend, axis_label, colour, new_figure, scaled_time

__all__ = ["Scope"]

MODES = ("auto", "normal", "single")
_POINTS = 1000
_SEARCHED = 64
"""Events that are searched for a trigger in one look."""
_AUTO_LOOKS = 10
"""In mode auto, after so many looks without a trigger the newest event is shown."""


class Scope(LivePlot):
    """Waveforms as they come; :func:`labdaq.scope` makes one.

    Parameters
    ----------
    ring
        A ring of waveforms, shape (samples,) or (channels, samples), or a tap on one.
    trigger
        A channel, by name or number, or a :class:`labdaq.Trigger`. Events that meet it are shown, with the edge at
        time 0. None: the newest event.
    level
        Threshold, in the unit of the waveforms; may be a :class:`labdaq.Parameter`.
    edge
        ``"rising"``, ``"falling"`` or ``"both"``.
    mode
        ``"auto"``: without a trigger for some time, the newest event is shown. ``"normal"``: only triggered events.
        ``"single"``: the next one, and then no more until :meth:`arm`.
    channels
        Which are shown; all by default. A click on the legend hides one.
    frames_per_s
        At most so often.

    Attributes
    ----------
    level, edge, mode, is_held
        May be changed at any time.
    events : int
        Events that were shown.

    Raises
    ------
    LayoutError
        Events of the ring are no waveforms, or the setting is not possible.
    NotFoundError
        There is no such channel.

    Examples
    --------
    >>> from labdaq import Ring
    >>> ring = Ring("raw", dtype="f4", shape=(2, 500), capacity=4)
    >>> with ring.writer() as writer, writer.reserve() as event:
    ...     event.data[:], event.data[1, 321] = 0, 40
    >>> view = Scope(ring, trigger="B", level=30)
    >>> view.look_now()
    >>> view.status
    'event 0, triggered'
    >>> view.close(); ring.close()
    """

    def __init__(
        self,
        ring: Watched,
        trigger: int | str | Trigger | None = None,
        level: float | Parameter = 0.0,
        *,
        edge: str = "rising",
        mode: str = "auto",
        channels: Sequence[int | str] | None = None,
        frames_per_s: float = 30.0,
    ) -> None:
        self._eye = Eye(ring)
        self._names = self._eye.channels()
        self._chosen = [self._eye.channel(one) for one in (self._names if channels is None else channels)]
        if not self._chosen:
            raise LayoutError("channels=(): a scope shows one or more")
        self._trigger = trigger if isinstance(trigger, Trigger) else None
        source = trigger.channel if isinstance(trigger, Trigger) else trigger
        self.trigger_channel = None if source is None else self._eye.channel(source)
        self._level: float | Parameter = trigger.level if isinstance(trigger, Trigger) else level
        self._edge = self._trigger.edge if self._trigger is not None else edge
        self._condition()  # raises for what is not possible
        self.mode = mode
        self.is_held = False
        self.events = self._looks = 0
        self._samples = self._eye.shape[-1]
        self._step, self._time_unit = scaled_time(self._eye.sample_interval_s, self._samples)
        self._last: tuple[npt.NDArray[Any], float] | None = None
        self._drawn_window: tuple[float, float] | None = None
        self._origin = 0.0
        self._y_range: tuple[float, float] | None = None
        self._extremes = (np.inf, -np.inf)
        super().__init__(f"scope of {self._eye.name}", self._new_figure(), frames_per_s)

    # ------------------------------------------------------------------------------------ settings

    @property
    def mode(self) -> str:
        """``auto``, ``normal`` or ``single``; setting it arms the trigger."""
        return self._mode

    @mode.setter
    def mode(self, wanted: str) -> None:
        if wanted not in MODES:
            raise LayoutError(f"mode={wanted!r}: one of {', '.join(MODES)}")
        self._mode = wanted
        self.arm()

    @property
    def level(self) -> float:
        """Threshold of the trigger."""
        return float(self._level)

    @level.setter
    def level(self, wanted: float) -> None:
        if not np.isfinite(wanted):
            raise LayoutError(f"level={wanted!r}: a finite number")
        if isinstance(self._level, Parameter):
            self._level.set(wanted)
        else:
            self._level = float(wanted)

    def arm(self) -> None:
        """Show the next event that meets the trigger."""
        self.is_held, self._looks = False, 0

    def _condition(self) -> Trigger:
        if self._trigger is not None:
            return Trigger(**{**vars(self._trigger), "level": self.level, "channel": self.trigger_channel or 0})
        return Trigger(self.level, edge=self._edge, channel=self.trigger_channel or 0)

    @property
    def unit(self) -> str:
        """Of the waveforms."""
        return self._eye.unit()

    # -------------------------------------------------------------------------------------- seeing

    def _see(self) -> None:
        self._draw_level()
        if self._last is not None and self.window != self._drawn_window:
            self._draw_waveforms(*self._last)
        if self.is_held:
            self._say(f"{self.status.removesuffix(', held')}, held")
            return
        event, edge = self._next()
        if event is None:
            self.problem = self._waiting()
            return
        self._show_event(event, edge)
        if self.mode == "single" and (edge is not None or self.trigger_channel is None):
            self.is_held = True

    def _waiting(self) -> str:
        """Words for a look that saw nothing new; none while the last event is good enough."""
        if self.events:
            return self._last_words(self._eye)
        if self.trigger_channel is not None and self.mode != "auto" and self._eye.is_open:
            return f"waiting for the trigger ({self.mode})"
        return self._eye.trouble

    def _next(self) -> tuple[ObservedEvent | None, int | None]:
        """The event to show, and the sample of its edge."""
        if self.trigger_channel is None:
            return self._eye.newest(), None
        seen = self._eye.unseen(_SEARCHED)
        if len(seen) == _SEARCHED and (newest := self._eye.newest()) is not None:
            seen.append(newest)
        for event in reversed(seen):
            edge = self._edge_in(event)
            if edge is not None:
                self._looks = 0
                return event, edge
        self._looks += bool(seen)
        if seen and self.mode == "auto" and self._looks >= _AUTO_LOOKS:
            return seen[-1], None
        return None, None

    def _edge_in(self, event: ObservedEvent) -> int | None:
        rows = self._eye.rows(event)
        row = rows[self.trigger_channel or 0]
        if not (np.fmin.reduce(row) <= self.level <= np.fmax.reduce(row)):
            return None
        found = find_triggers_reference(rows, self._condition(), self._names)
        return int(found[0]) if len(found) else None

    def _show_event(self, event: ObservedEvent, edge: int | None) -> None:
        rows = self._eye.rows(event)[self._chosen]
        shift = 0.0 if edge is None else edge * self._step
        if not self.events or (edge is not None and not self._origin):
            self._origin = shift
        self.events += 1
        text = f"event {event.counter}" + ("" if self.trigger_channel is None else self._told(edge))
        begin, end = -self._origin, self._samples * self._step - self._origin
        settings: dict[str, Any] = {"status": {"text": text}, "x_range": exactly(begin, end)}
        low, high = np.fmin.reduce(rows, axis=None), np.fmax.reduce(rows, axis=None)
        if not np.isfinite(low) or not np.isfinite(high):
            settings["status"]["text"] = f"{text}: some of its samples are no numbers"
        else:
            settings["y_range"] = self._grown(float(low), float(high))
        self._last = rows, shift if edge is not None else self._origin
        self._draw_waveforms(*self._last, settings)

    def _draw_waveforms(self, rows: npt.NDArray[Any], shift: float, settings: dict[str, Any] | None = None) -> None:
        """Draw what pages see of an event, with as much detail as there is room for."""
        self._drawn_window = self.window
        begin, end = 0, self._samples
        if self._drawn_window is not None:
            first, last = ((one + shift) / self._step for one in self._drawn_window)
            begin = int(np.clip(np.floor(first) - 1, 0, self._samples - 1))
            end = int(np.clip(np.ceil(last) + 2, begin + 1, self._samples))
        at = (envelope_times(end - begin, _POINTS) + begin) * self._step - shift
        columns = {f"c{n}": row for n, row in enumerate(envelope(rows[:, begin:end], _POINTS))}
        self._show({"waveforms": {"t": at, **columns}}, settings)

    def _told(self, edge: int | None) -> str:
        return ", triggered" if edge is not None else ", not triggered"

    def _grown(self, low: float, high: float) -> dict[str, float]:
        """The vertical range grows when the signal leaves it, and keeps still otherwise."""
        if self._y_range is None or low < self._y_range[0] or high > self._y_range[1]:
            self._extremes = min(low, self._extremes[0]), max(high, self._extremes[1])
            self._y_range = room_around(*self._extremes)
        return exactly(*self._y_range)

    def rescale(self) -> None:
        """Fit the vertical range to the next event."""
        self._y_range, self._extremes = None, (np.inf, -np.inf)

    # ------------------------------------------------------------------------------------- drawing

    def _new_figure(self) -> Any:
        models = needed("bokeh.models")
        name = self._eye.name
        label = axis_label("time", self._time_unit)
        figure = new_figure(name, label, axis_label("amplitude", self.unit), height=320)
        empty = np.zeros(0, np.float32)
        data = {"t": empty, **{f"c{n}": empty for n in range(len(self._chosen))}}
        source = models.ColumnDataSource(data=data, name="waveforms")
        lines = [
            (self._names[number], figure.line("t", f"c{n}", source=source, color=colour(number)))
            for n, number in enumerate(self._chosen)
        ]
        add_legend(figure, lines)
        if self.trigger_channel is not None:
            figure.add_layout(
                models.Span(location=self.level, dimension="width", line_color=GREY, line_dash="dashed", name="level")
            )
            figure.add_layout(
                models.Span(location=0, dimension="height", line_color=GREY, line_dash="dotted", name="edge")
            )
        return figure

    def _draw_level(self) -> None:
        if self.trigger_channel is not None:
            self._show({}, {"level": {"location": self.level}})

    def _controls(self) -> Sequence[Any]:
        return scope_controls(self, MODES)

    def _draw(self, figure: Any) -> None:
        axes = figure.subplots()
        shown = self._sources.get("waveforms", {})
        for n, number in enumerate(self._chosen):
            if shown:
                axes.plot(shown["t"], shown[f"c{n}"], lw=0.9, color=colour(number), label=self._names[number])
        if self.trigger_channel is not None:
            axes.axhline(self.level, color=GREY, ls="--", lw=0.9)
        if shown:
            axes.legend(loc="upper right", ncols=4, fontsize=8, frameon=False)
        axes.set_xlabel(axis_label("time", self._time_unit))
        axes.set_ylabel(axis_label("amplitude", self.unit))

    def _release(self) -> None:
        self._eye.close()
