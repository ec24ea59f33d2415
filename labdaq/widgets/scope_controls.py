"""The knobs of a scope: how it triggers, at which level, and whether it stands still."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labdaq.errors import LabdaqError
from labdaq.widgets.extras import needed
from labdaq.widgets.routing import answer_at_once

if TYPE_CHECKING:
    from labdaq.widgets.scope_plot import Scope

__all__ = ["scope_controls"]


def scope_controls(scope: "Scope", modes: Sequence[str]) -> list[Any]:
    """Widgets for a scope; those of the trigger only when it has one."""
    ipywidgets = needed("ipywidgets")
    hold = ipywidgets.ToggleButton(value=False, description="Hold", icon="pause", layout={"width": "80px"})
    rescale = ipywidgets.Button(description="Rescale", icon="arrows-v", layout={"width": "90px"})
    hold.tooltip, rescale.tooltip = "Let the picture stand still", "Fit the vertical range to the next event"

    def held(change: Any) -> None:
        if change["new"]:
            scope.is_held = True
        else:
            scope.arm()

    hold.observe(held, "value")
    rescale.on_click(lambda _: scope.rescale())
    found = [hold, rescale]
    if scope.trigger_channel is not None:
        found = [*_trigger_controls(scope, modes, hold), *found]
    answer_at_once(*found)
    return found


def _trigger_controls(scope: "Scope", modes: Sequence[str], hold: Any) -> list[Any]:
    ipywidgets = needed("ipywidgets")
    wide = {"description_width": "initial"}
    mode = ipywidgets.Dropdown(
        options=list(modes), value=scope.mode, description="Trigger", style=wide, layout={"width": "150px"}
    )
    level = ipywidgets.FloatText(
        value=scope.level, description="Level", style=wide, layout={"width": "140px"}, continuous_update=False
    )
    unit = ipywidgets.Label(scope.unit)

    def choose(change: Any) -> None:
        scope.mode = change["new"]
        hold.value = False

    def move(change: Any) -> None:
        try:
            scope.level = change["new"]
        except LabdaqError:
            level.value = scope.level

    mode.observe(choose, "value")
    level.observe(move, "value")
    found = [mode, level, unit]
    if "single" in modes:
        again = ipywidgets.Button(description="Arm", icon="bolt", layout={"width": "70px"})
        again.tooltip = "Show the next event that meets the trigger"

        def arm(_: Any) -> None:
            hold.value = False
            scope.arm()

        again.on_click(arm)
        found.append(again)
    answer_at_once(*found)
    return found
