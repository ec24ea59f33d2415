"""Optional packages: imported when a device is opened, with a message that says how to get them."""

from importlib import import_module
from typing import Any

from labdaq.errors import MissingExtraError

__all__ = ["needed"]


def needed(module: str, package: str, purpose: str) -> Any:
    """An optional module.

    Parameters
    ----------
    module
        As it is imported.
    package
        As it is installed.
    purpose
        What needs it, in the plural: for the message.

    Raises
    ------
    MissingExtraError
        When it is not installed.

    Examples
    --------
    >>> needed("json", "json", "pages").dumps([1])
    '[1]'
    >>> needed("no_such_module", "no-such-package", "serial lines")
    Traceback (most recent call last):
    labdaq.errors.MissingExtraError: serial lines need no-such-package: pip install 'labdaq[devices]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{purpose} need {package}: pip install 'labdaq[devices]'") from error
