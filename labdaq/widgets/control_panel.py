"""The control panel of a pipeline, or of a run of another process."""

import base64
import threading
from functools import cached_property
from html import escape
from typing import Any

from labdaq.errors import LabdaqError
from labdaq.widgets.cells import replace_earlier
from labdaq.widgets.colab import Pulse, in_colab
from labdaq.widgets.extras import needed
from labdaq.widgets.painter import logger, painter
from labdaq.widgets.panel_html import STYLE, log_html, panel_html
from labdaq.widgets.panel_picture import draw_panel, panel_height
from labdaq.widgets.parameter_controls import ParameterControl
from labdaq.widgets.picture import Picture, taken
from labdaq.widgets.routing import answer_at_once
from labdaq.widgets.subject import Seen
from labdaq.widgets.subjects import subject_of

__all__ = ["Panel"]

_BUTTONS = {
    "start": ("play", "#00704F", "Begin a run"),
    "pause": ("pause", None, "Hold the intake; what is in the rings flows on"),
    "resume": ("forward", None, "Go on after a pause"),
    "stop": ("stop", "#B03A00", "End the intake, and keep what is in the rings"),
    "abort": ("times", "#8A5A00", "End everything within a second"),
}
"""Their icons, colours that white words can be read on, and what they do."""


class Panel:
    """Buttons, numbers, parameters, notes and a log; :func:`labdaq.panel` and `Pipeline.panel` make one.

    It is brought up to date five times a second at most, and sends nothing while nothing changes. Buttons are heard
    while a cell runs.

    Parameters
    ----------
    daq
        A pipeline, or a run from :func:`labdaq.attach`.

    Attributes
    ----------
    widget
        For layouts of ipywidgets.
    buttons : dict
        start, pause, resume, stop, abort.
    seen : Seen
        What was shown last.

    Raises
    ------
    LayoutError
        It is neither.

    Examples
    --------
    >>> from labdaq import Pipeline
    >>> daq = Pipeline("count", store=None)
    >>> numbers = daq.ring("numbers", "i8")
    >>> source, _ = daq.source(list(range(10)), numbers, name="count"), daq.drain(numbers)
    >>> panel = Panel(daq)
    >>> panel.buttons["start"].click()
    >>> print(daq.wait().ledger)
    count: in 10 = accepted 10
    drain numbers: in 10 = accepted 10
    >>> panel.look_now()
    >>> panel.seen.state, panel.seen.snapshot.events
    ('ENDED', 10)
    >>> panel.close(); daq.close()
    """

    period_s = 0.2

    def __init__(self, daq: Any) -> None:
        self._subject = subject_of(daq)
        self.label = f"panel of {self._subject.title}"
        self.seen = Seen(self._subject.title, "IDLE")
        self._lock = threading.RLock()
        self._is_closed = False
        self._build()
        replace_earlier(self)
        self.look_now()
        self._pulse = Pulse(self.look_now) if in_colab() else None
        if self._pulse is None:
            painter.add(self)

    # ------------------------------------------------------------------------------------ its parts

    def _build(self) -> None:
        ipywidgets = needed("ipywidgets")
        self.buttons = {name: self._button(name) for name in _BUTTONS}
        wide = {"description_width": "initial"}
        self.events = ipywidgets.IntText(
            value=0, description="Stop after events", style=wide, layout={"width": "210px"}, continuous_update=False
        )
        self.seconds = ipywidgets.FloatText(
            value=0, description="or seconds", style=wide, layout={"width": "170px"}, continuous_update=False
        )
        self.events.tooltip = self.seconds.tooltip = "0: no limit"
        self._title = ipywidgets.HTML()
        self._numbers = ipywidgets.HTML(layout={"width": "100%"})
        self._log = ipywidgets.HTML(layout={"width": "100%"})
        self.note = ipywidgets.Text(
            placeholder="A note, kept with the run", description="Note", style=wide, layout={"width": "420px"},
            continuous_update=False,
        )  # fmt: skip
        self.add_note = ipywidgets.Button(description="Keep note", icon="pencil", layout={"width": "110px"})
        self.add_note.on_click(lambda _: self._keep_note())
        self.controls = {
            name: ParameterControl(name, one, self._subject.say) for name, one in self._subject.parameters.items()
        }
        answer_at_once(self.events, self.seconds, self.note, self.add_note)

    def _button(self, name: str) -> Any:
        ipywidgets = needed("ipywidgets")
        icon, colour, tip = _BUTTONS[name]
        style = {"button_color": colour, "text_color": "#FFFFFF"} if colour else {}
        made = ipywidgets.Button(
            description=name.capitalize(), icon=icon, style=style, tooltip=tip, layout={"width": "100px"}
        )
        made.add_class(f"labdaq-{name}")
        made.on_click(lambda _: self.do(name))
        answer_at_once(made)
        return made

    @cached_property
    def widget(self) -> Any:
        """All of it."""
        ipywidgets = needed("ipywidgets")
        row = {"flex_flow": "row wrap", "align_items": "center"}
        limits = [self.events, self.seconds, ipywidgets.Label("s   (0: no limit)")] if self._subject.can_start else []
        parts = [
            self._title,
            ipywidgets.HBox(
                [one for name, one in self.buttons.items() if self._subject.can_start or name != "start"], layout=row
            ),
            ipywidgets.HBox(limits, layout=row),
            self._numbers,
            *(control.widget for control in self.controls.values()),
            ipywidgets.HBox([self.note, self.add_note], layout=row),
            self._log,
            *([] if self._pulse is None else [self._pulse]),
        ]
        box = ipywidgets.VBox(
            [one for one in parts if getattr(one, "children", True)],
            layout={"width": "100%", "padding": "8px 12px", "border": "1px solid var(--jp-border-color2, #D5D9DF)"},
        )
        box.add_class("labdaq-panel")
        return box

    # -------------------------------------------------------------------------------------- acting

    def do(self, command: str) -> None:
        """Start, pause, resume, stop or abort; what goes wrong is said in the log."""
        try:
            self._subject.do(command, events=self.events.value or None, seconds=self.seconds.value or None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the panel goes on
            if not isinstance(error, LabdaqError):
                logger.exception("%s failed", command)
            self._subject.say(f"{command}: {error}")
        self.look_now()

    def _keep_note(self) -> None:
        text = self.note.value.strip()
        if not text:
            return
        try:
            if said := self._subject.note(text):
                self._subject.say(said)
            self.note.value = ""
        except LabdaqError as error:
            self._subject.say(str(error))
        self.look_now()

    # -------------------------------------------------------------------------------------- seeing

    def look(self) -> None:
        """See what is new. Called by the thread that draws."""
        self.look_now()

    def look_now(self) -> None:
        """See what is new."""
        with self._lock:
            if self._is_closed:
                return
            self.seen = self._subject.see()
            allowed = self._subject.allowed()
            for name, button in self.buttons.items():
                button.disabled = name not in allowed
            self.events.disabled = self.seconds.disabled = "start" not in allowed
            self._title.value = f"{STYLE}<b style='font-size:15px'>{escape(self.seen.title)}</b>"
            self._numbers.value = panel_html(self.seen)
            self._log.value = log_html(list(self._subject.log))
            for control in self.controls.values():
                control.update()

    def trouble(self, error: Exception) -> None:
        """Looking failed: say so, and go on."""
        self._subject.say(f"the panel cannot show this: {error}")
        self._log.value = log_html(list(self._subject.log))

    # ----------------------------------------------------------------------------- without a page

    def snapshot(self) -> Picture:
        """A picture of now, which stays in the saved notebook."""
        self.look_now()
        text = f"<{self.label}: {self.seen.state.lower()}>"
        return taken(self.draw_on, 8, panel_height(self.seen), text, layout=None)

    def draw_on(self, figure: Any) -> None:
        """Draw what was seen last on a figure of matplotlib, or on a part of one."""
        draw_panel(figure, self.seen)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = self.widget._repr_mimebundle_()
        data, about = shown if isinstance(shown, tuple) else (shown or {}, {})
        picture = base64.b64encode(self.snapshot().png).decode()
        return {**data, "text/plain": f"<{self.label}>", "image/png": picture}, about

    def close(self) -> None:
        """Show it no more; the run goes on."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        painter.remove(self)
        self._subject.close()
        for control in self.controls.values():
            control.close()
        if "widget" in self.__dict__:
            for part in (*self.widget.children, self.widget):
                part.close()
        for part in (*self.buttons.values(), self.events, self.seconds, self._title, self._numbers, self._log):
            part.close()
        self.note.close()
        self.add_note.close()

    def __enter__(self) -> "Panel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.label}{', closed' if self._is_closed else ''}>"
