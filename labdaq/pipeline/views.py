"""What shows a pipeline: rooms above this one, and packages of others, by name."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from labdaq.errors import MissingExtraError

__all__ = ["view"]

_GROUP = "labdaq.views"


def view(name: str) -> Callable[..., Any]:
    """The view with a name, from the entry points of the group ``labdaq.views``.

    Raises
    ------
    MissingExtraError
        There is none, or it cannot be loaded; names the extra that brings it.
    """
    found = [point for point in entry_points(group=_GROUP) if point.name == name]
    if not found:
        raise MissingExtraError(f"nothing is installed that can show a {name}: pip install 'labdaq[notebook]'")
    try:
        shown: Callable[..., Any] = found[0].load()
    except ImportError as error:
        raise MissingExtraError(f"the {name} needs {error.name}: pip install 'labdaq[notebook]'") from error
    return shown
