"""A slider, field, menu or box for each parameter, with its unit and its limits."""

from typing import Any

from labdaq.errors import LabdaqError
from labdaq.roles import Parameter
from labdaq.widgets.extras import needed
from labdaq.widgets.routing import answer_at_once

__all__ = ["ParameterControl"]

_STEPS = 200
_NAME_PX = 170


class ParameterControl:
    """Shows a parameter and changes it; a value that is not possible is refused in words, and the old one returns.

    Parameters
    ----------
    name
        Which one it is.
    parameter
        The parameter itself.
    say
        Is told what was set, or why not.

    Attributes
    ----------
    input, widget
        Where values are typed; and the same with name, unit and limits.

    Examples
    --------
    >>> level = Parameter(30.0, unit="mV", low=0, high=500)
    >>> said = []
    >>> control = ParameterControl("find.level", level, said.append)
    >>> control.input.value = 45.0
    >>> level.value, said
    (45.0, ['find.level = 45.0 mV'])
    >>> control.close()
    """

    def __init__(self, name: str, parameter: Parameter, say: Any) -> None:
        self.name, self.parameter, self._say = name, parameter, say
        self._shown: Any = parameter.value
        self._is_told = False
        ipywidgets = needed("ipywidgets")
        self.input = _input(parameter)
        self.input.add_class("labdaq-parameter")
        self.input.tooltip = f"{name}: {_limits(parameter) or 'any value'}"
        self.input.observe(self._changed, "value")
        answer_at_once(self.input)
        self.input.description = parameter.label or name
        unit = ipywidgets.Label(f"{parameter.unit}  {_limits(parameter)}".strip())
        self.widget = ipywidgets.HBox([self.input, unit], layout={"align_items": "center"})

    def _changed(self, change: Any) -> None:
        if self._is_told:
            return
        try:
            self.parameter.set(change["new"])
            self._say(f"{self.name} = {change['new']} {self.parameter.unit}".rstrip())
        except LabdaqError as error:
            self._say(f"{self.name}: {error}")
            self._tell(self.parameter.value)

    def update(self) -> None:
        """Show a value that was set elsewhere."""
        if self.parameter.value != self._shown:
            self._tell(self.parameter.value)

    def _tell(self, value: Any) -> None:
        self._shown, self._is_told = value, True
        try:
            self.input.value = value
        finally:
            self._is_told = False

    def close(self) -> None:
        """Show it no more."""
        for one in (*self.widget.children, self.widget):
            one.close()


def _limits(parameter: Parameter) -> str:
    low, high = parameter.low, parameter.high
    if low is not None and high is not None:
        return f"({low:g} to {high:g})"
    if low is not None:
        return f"(at least {low:g})"
    return f"(at most {high:g})" if high is not None else ""


def _input(parameter: Parameter) -> Any:
    """The widget that fits."""
    ipywidgets = needed("ipywidgets")
    value, low, high = parameter.value, parameter.low, parameter.high
    wide, narrow = _shaped(320), _shaped(160)
    if parameter.choices is not None:
        return ipywidgets.Dropdown(options=list(parameter.choices), value=value, **narrow)
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, **narrow)
    if isinstance(value, str):
        return ipywidgets.Text(value=value, continuous_update=False, **wide)
    is_whole = isinstance(value, int)
    if low is not None and high is not None:
        span = high - low
        limits: dict[str, Any]
        if is_whole:
            limits = {"min": int(low), "max": int(high), "step": max(int(span) // _STEPS, 1)}
            return ipywidgets.IntSlider(value=value, continuous_update=False, **limits, **wide)
        limits = {"min": low, "max": high, "step": _round_step(span / _STEPS)}
        return ipywidgets.FloatSlider(value=value, continuous_update=False, readout_format=".4g", **limits, **wide)
    kind = ipywidgets.IntText if is_whole else ipywidgets.FloatText
    return kind(value=value, continuous_update=False, **narrow)


def _shaped(width_px: int) -> dict[str, Any]:
    """So wide, beside names that are all as wide as each other."""
    return {
        "style": {"description_width": f"{_NAME_PX}px"},
        "layout": {"width": f"{_NAME_PX + width_px}px"},
    }


def _round_step(step: float) -> float:
    """A step of 1, 2 or 5 times a power of ten, not larger than a given one.

    Examples
    --------
    >>> _round_step(2.5), _round_step(0.07)
    (2.0, 0.05)
    """
    import math

    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return float(f"{power * max(n for n in (1, 2, 5) if n * power <= step * 1.0000001):.12g}")
