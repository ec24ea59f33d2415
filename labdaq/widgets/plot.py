"""What all live plots have in common."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.widgets.cells import replace_earlier
from labdaq.widgets.extras import needed
from labdaq.widgets.eye import Eye
from labdaq.widgets.painter import painter
from labdaq.widgets.picture import Picture, put_title, taken

__all__ = ["LivePlot", "exactly", "most_frames_per_s", "room_around"]

Sources = dict[str, dict[str, npt.NDArray[Any]]]


class LivePlot(ABC):
    """A plot that follows a run while it is shown; the base of all.

    It looks at rings as an observer, in a thread of its own for all plots, and cannot hold the data back.

    Parameters
    ----------
    label
        What it is, in words.
    figure
        Bokeh's.
    frames_per_s
        At most so often it is drawn.

    Attributes
    ----------
    figure : bokeh.plotting.figure
        Change it as any figure of bokeh; once it is shown, call :meth:`redraw` after that.
    problem : str
        Why there is nothing new to see, in words; empty when all is well.
    """

    looks_always = False
    """Whether it gathers what it shows, and so looks when nobody watches, too."""

    def __init__(self, label: str, figure: Any, frames_per_s: float) -> None:
        self.label, self.figure = label, figure
        self.layout = figure
        self.period_s = 1 / min(frames_per_s, most_frames_per_s())
        self.problem = ""
        self._sources: Sources = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._is_closed = False
        replace_earlier(self)
        painter.add(self)

    # ------------------------------------------------------------------------- what each plot is

    @abstractmethod
    def _see(self) -> None:
        """Look at the data, and call `_show` with what is new."""

    @abstractmethod
    def _draw(self, figure: Any) -> None:
        """Draw what was shown last, with matplotlib."""

    def _controls(self) -> Sequence[Any]:
        """Widgets above the figure."""
        return ()

    def _release(self) -> None:  # noqa: B027 - a hook, which may be left as it is
        """Give back what it holds."""

    # ------------------------------------------------------------------------------------ showing

    @cached_property
    def page(self) -> Any:
        """The widget with the figure."""
        from labdaq.widgets.page import Page

        page = Page(self.layout, self.label)
        page.wire.offer(self._sources, self._settings)
        page.take_picture = lambda: self.snapshot().png
        return page

    @cached_property
    def widget(self) -> Any:
        """The figure with its controls, to be put into layouts of ipywidgets."""
        ipywidgets = needed("ipywidgets")
        controls = list(self._controls())
        if not controls:
            return self.page
        row = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap", "align_items": "center"})
        return ipywidgets.VBox([row, self.page], layout={"width": "100%"})

    @property
    def is_watched(self) -> bool:
        """Whether any page shows it now."""
        return "page" in self.__dict__ and self.page.wire.is_watched

    @property
    def window(self) -> tuple[float, float] | None:
        """The part of the horizontal axis that pages show; None for all of it."""
        window: tuple[float, float] | None = self.page.window if "page" in self.__dict__ else None
        return window

    def _show(
        self, sources: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        for name, columns in sources.items():
            self._sources.setdefault(name, {}).update(columns)
        for name, changes in (settings or {}).items():
            self._settings.setdefault(name, {}).update(changes)
        if "page" in self.__dict__:
            self.page.wire.offer(sources, settings)

    def _say(self, text: str) -> None:
        """The line below the title."""
        self._show({}, {"status": {"text": text}})

    def _last_words(self, eye: Eye) -> str:
        """The status of a plot that shows something: the ring is closed, and it will change no more."""
        ending = f"; {eye.trouble}"
        return f"{self.status.removesuffix(ending)}{ending}" if eye.is_closed else ""

    @property
    def status(self) -> str:
        """The line below the title: what is seen, in words."""
        return str(self._settings.get("status", {}).get("text", ""))

    def look(self) -> None:
        """See what is new, if anybody watches. Called by the thread that draws."""
        if self.looks_always or self.is_watched:
            self.look_now()

    def look_now(self) -> None:
        """See what is new."""
        with self._lock:
            if not self._is_closed:
                self.problem = ""
                self._see()
                if self.problem:
                    self._say(self.problem)

    def trouble(self, error: Exception) -> None:
        """Looking failed: say so, and go on."""
        self.problem = f"cannot be shown: {error}"
        self._say(self.problem)

    def redraw(self) -> None:
        """The figure was changed: show it so."""
        if "page" in self.__dict__:
            self.page.show_again()

    # ----------------------------------------------------------------------------- without a page

    def snapshot(self) -> Picture:
        """A picture of now, which stays in the saved notebook."""
        with self._lock:
            self.look_now()
            text = f"<{self.label}: {self.status}>" if self.status else f"<{self.label}>"
            return taken(self.draw_on, 8, 3.2, text)

    def draw_on(self, figure: Any) -> None:
        """Draw what was seen last on a figure of matplotlib, or on a part of one."""
        self._draw(figure)
        put_title(figure, f"{self.label}\n{self.status}" if self.status else self.label)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = self.widget._repr_mimebundle_()
        data, about = shown if isinstance(shown, tuple) else (shown or {}, {})
        self.page.show_picture()
        picture = self.page.picture.partition(",")[2]
        return {**data, "text/plain": f"<{self.label}>", "image/png": picture}, about

    def close(self) -> None:
        """Show it no more, and stop looking."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        painter.remove(self)
        self._release()
        if "widget" in self.__dict__:
            self.widget.close()
        if "page" in self.__dict__:
            self.page.close()

    def __enter__(self) -> "LivePlot":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.label}{', closed' if self._is_closed else ''}>"


def most_frames_per_s() -> float:
    """What ``LABDAQ_FRAMES_PER_S`` allows, for machines that many share; without it there is no limit.

    Raises
    ------
    LayoutError
        It is no positive number.
    """
    text = os.environ.get("LABDAQ_FRAMES_PER_S", "inf")
    try:
        most = float(text)
    except ValueError:
        most = 0.0
    if not most > 0:
        raise LayoutError(f"LABDAQ_FRAMES_PER_S={text!r} in the environment: a number greater than 0")
    return most


def room_around(low: float, high: float) -> tuple[float, float]:
    """A range with some room around what is in it."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return 0.0, 1.0
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return float(low - room), float(high + room)


def exactly(start: float, end: float) -> dict[str, float]:
    """Properties of a range of bokeh: what is shown, and what the tool *reset* shows again."""
    return {"start": float(start), "end": float(end), "reset_start": float(start), "reset_end": float(end)}
