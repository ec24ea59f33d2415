"""The widget behind every live plot: a bokeh figure in a page, and a wire to it.

Bokeh's JavaScript is sent over the connection of the widget, from the package that is installed: no network, no
extension of JupyterLab, and nothing of it is in the saved notebook.
"""

import base64
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from labdaq.errors import MissingExtraError
from labdaq.widgets.colab import in_colab
from labdaq.widgets.extras import needed
from labdaq.widgets.routing import answer_at_once
from labdaq.widgets.wire import Wire

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise MissingExtraError("live plots need anywidget: pip install 'labdaq[notebook]'") from error

__all__ = ["Page"]


class Page(anywidget.AnyWidget):
    """A figure, shown in any number of places.

    Parameters
    ----------
    figure
        A bokeh figure or layout. It is read when it is first shown, and by :meth:`show_again`.
    label
        What the plot is, in words.

    Attributes
    ----------
    figure
        What is shown; after another one was put here, call `show_again`.
    wire : Wire
        Frames go along here.
    picture : str
        A PNG as a data URL, shown where there is no kernel any more, or no way to draw.
    polls : bool
        Whether pages have to ask for what is new.
    """

    _esm = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    item = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    picture = traitlets.Unicode("").tag(sync=True)
    polls = traitlets.Bool(False).tag(sync=True)
    bokeh_version = traitlets.Unicode("").tag(sync=True)

    def __init__(self, figure: Any, label: str) -> None:
        version = needed("bokeh").__version__.partition("+")[0]
        self.figure = figure
        polls = in_colab()
        super().__init__(item=_item(figure), label=label, bokeh_version=version, polls=polls, layout={"width": "100%"})
        self.wire = Wire(self.send, is_asked=polls)
        self.take_picture: Callable[[], bytes] | None = None
        self._windows: dict[str, tuple[float, float]] = {}
        self.on_msg(self._hear)
        answer_at_once(self)

    def show_again(self) -> None:
        """The figure was changed: draw it anew, in all pages."""
        self.item = _item(self.figure)

    def _hear(self, _: Any, said: Any, __: Any) -> None:
        if not isinstance(said, dict):
            return
        if said.get("need") == "bokehjs":
            self.send({"kind": "bokehjs"}, [_bokehjs()])
        elif "window" in said:
            self._note_window(str(said["window"]), said.get("start"), said.get("end"))
        elif said.get("picture"):
            self.show_picture()
        else:
            self.wire.heard(said)

    def show_picture(self) -> None:
        """Give pages a picture of now, for those that cannot draw."""
        if self.take_picture is not None:
            self.picture = f"data:image/png;base64,{base64.b64encode(self.take_picture()).decode()}"

    def _note_window(self, page: str, start: Any, end: Any) -> None:
        if all(isinstance(one, int | float) and math.isfinite(one) for one in (start, end)):
            here = self.wire.pages
            self._windows = {name: one for name, one in self._windows.items() if name in here}
            self._windows[page] = (min(start, end), max(start, end))

    @property
    def window(self) -> tuple[float, float] | None:
        """The part of the horizontal axis that pages show; None for all of it."""
        shown = [self._windows.get(page) for page in self.wire.pages]
        known = [one for one in shown if one is not None]
        if not known or len(known) < len(shown):
            return None
        return min(start for start, _ in known), max(end for _, end in known)

    def close(self) -> None:
        """Take it off all pages."""
        self.wire.forget()
        super().close()


def _item(figure: Any) -> str:
    return json.dumps(needed("bokeh.embed").json_item(figure))


@cache
def _bokehjs() -> bytes:
    folder = Path(needed("bokeh").__file__).parent
    return (folder / "server" / "static" / "js" / "bokeh.min.js").read_bytes()
