"""Loggers that share one level, as v1 has them."""

import logging

__all__ = ["Gen_logger", "Logging_manager"]


class Logging_manager:  # noqa: N801
    """Gives loggers below ``labdaq.compat.mimocorb``; call it with a name.

    Examples
    --------
    >>> Gen_logger("filter").name
    'labdaq.compat.mimocorb.filter'
    """

    def __init__(self) -> None:
        self._parent = logging.getLogger("labdaq.compat.mimocorb")

    def set_level(self, level: int) -> None:
        """The level of all of them."""
        self._parent.setLevel(level)

    def __call__(self, name: str) -> logging.Logger:
        """The logger with a name."""
        return self._parent.getChild(name)


Gen_logger = Logging_manager()
