"""A panel as a picture: fill levels as bars, and the ledger in words."""

from typing import Any

from labdaq.widgets.panel_html import clock, fill_colour
from labdaq.widgets.style import INK
from labdaq.widgets.subject import Seen, grouped

__all__ = ["draw_panel", "panel_height"]

_TITLE, _RING, _LINE = 0.45, 0.3, 0.2


def panel_height(seen: Seen) -> float:
    """How high the picture is, in units of 100 pixels."""
    rings = len(seen.snapshot.rings) if seen.snapshot is not None else 0
    return _TITLE + _RING * rings + _LINE * len(seen.balance) + 0.2


def draw_panel(figure: Any, seen: Seen) -> None:
    """Draw it on a figure of matplotlib, or on a part of one."""
    shown = seen.snapshot
    rings = shown.rings if shown is not None else ()
    height = panel_height(seen)
    top = 1 - _TITLE / height
    axes = figure.add_axes((0.18, top - _RING * len(rings) / height, 0.78, _RING * len(rings) / height or 0.01))
    for number, ring in enumerate(rings):
        axes.barh(number, 100, height=0.5, color="#E4E7EB")
        axes.barh(number, 100 * ring.fill, height=0.5, color=fill_colour(ring.fill)[0])
        axes.text(101, number, f"{100 * ring.fill:.0f} %", va="center", fontsize=8)
    axes.set_yticks(range(len(rings)), [ring.name for ring in rings], fontsize=9)
    axes.set_xlim(0, 112)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    facts = f"{clock(shown.seconds)}   {grouped(shown.events)} events" if shown is not None else "no run yet"
    figure.text(
        0.02, 1 - 0.1 / height, f"{seen.title}: {seen.state.lower()}   {facts}", va="top", fontsize=10, weight="bold"
    )
    figure.text(0.02, 0.1 / height, "\n".join(seen.balance), va="bottom", fontsize=8, color=INK)
