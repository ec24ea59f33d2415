"""Pictures of one moment: what a notebook shows that nobody runs."""

import textwrap
from collections.abc import Callable
from io import BytesIO
from typing import Any

from labdaq.widgets.extras import needed
from labdaq.widgets.style import INK

__all__ = ["Picture", "put_title", "taken"]

_LETTER_PX, _MARGIN_PX = 8, 70


class Picture:
    """A picture of a plot or panel at one moment, shown by notebooks.

    Attributes
    ----------
    png : bytes
    text : str
        The same in words.
    """

    def __init__(self, png: bytes, text: str) -> None:
        self.png, self.text = png, text

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return self.text


def taken(
    draw: Callable[[Any], None], width: float, height: float, text: str, *, layout: str | None = "constrained"
) -> Picture:
    """Draw with matplotlib, without a window and without its global state.

    Parameters
    ----------
    draw
        Is given an empty figure.
    width, height
        Of the picture, in units of 100 pixels.
    text
        The same in words.
    layout
        By which matplotlib makes room; None when all places are given.
    """
    matplotlib = needed("matplotlib.figure")
    needed("matplotlib.backends.backend_agg")
    figure = matplotlib.Figure(figsize=(width, height), dpi=100, layout=layout)
    draw(figure)
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return Picture(file.getvalue(), text)


def put_title(figure: Any, title: str) -> None:
    """Over the first axes, in as many lines as it needs; and all of them plain."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if not axes.images:
            axes.grid(alpha=0.25)
    letters = int((figure.bbox.width - _MARGIN_PX) / _LETTER_PX)
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, max(letters, 20)) or [""]]
    figure.axes[0].set_title("\n".join(lines), loc="left", fontsize=10, color=INK)
