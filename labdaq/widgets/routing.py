"""Buttons that are heard while a cell runs.

Pages send what is clicked to a *subshell* of the kernel, a thread beside the one that runs cells. Since 7.4 ipykernel
answers with the thread that last spoke to the widget, which for widgets made in a cell is the busy one: a click on
Stop would be heard when the cell has ended. The route that the page asks for is the right one.
"""

from typing import Any

__all__ = ["answer_at_once"]


def answer_at_once(*widgets: Any) -> None:
    """Hear these widgets in the thread that the page asks for. Nothing changes for other versions of ipykernel."""
    for widget in widgets:
        comm: Any = getattr(widget, "comm", None)
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = _as_asked


def _as_asked(data: Any, default: Any) -> Any:  # noqa: ARG001 - called by ipykernel with both
    return default
