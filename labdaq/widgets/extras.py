"""The optional packages of notebooks, imported when they are needed."""

from importlib import import_module
from typing import Any

from labdaq.errors import MissingExtraError

__all__ = ["needed"]


def needed(module: str) -> Any:
    """Import a module of the extra ``notebook``.

    Raises
    ------
    MissingExtraError
        It is not installed.

    Examples
    --------
    >>> needed("bokeh.plotting").__name__
    'bokeh.plotting'
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(f"panels and live plots need {package}: pip install 'labdaq[notebook]'") from error
