"""Which buffers a function was given, and for what."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labdaq.errors import LayoutError

__all__ = ["output_path", "setting", "the_buffer"]

logger = logging.getLogger("labdaq.compat.mimocorb")


def the_buffer(
    who: object, role: str, dicts: list[dict[str, Any]] | None, rb_info: Mapping[str, str], *, only: bool = False
) -> dict[str, Any]:
    """The setup dictionary of the one buffer that a function uses in a role.

    Parameters
    ----------
    who
        The object of the function, for messages.
    role
        ``read``, ``write`` or ``observe``.
    dicts
        The setup dictionaries given for this role.
    rb_info
        ``RB_assign`` of the function: the role of each buffer.
    only
        Refuse buffers in other roles, which are ignored else.

    Raises
    ------
    LayoutError
        When there is none, or one too many.
    """
    name = type(who).__name__
    if not dicts:
        raise LayoutError(f"{name} needs a buffer to {role}; it was given {dict(rb_info) or 'none'}")
    others = {buffer: given for buffer, given in rb_info.items() if given != role}
    if others and only:
        raise LayoutError(f"{name} can only {role} a buffer; take these out of its RB_assign: {others}")
    if others or len(dicts) > 1:
        logger.warning("%s uses one buffer to %s, and ignores the others of %s", name, role, dict(rb_info))
    return dicts[0]


def setting(who: object, config: Mapping[str, Any] | None, key: str) -> Any:
    """A setting that has no default.

    Raises
    ------
    LayoutError
        When it is not there; the message lists those there are.
    """
    if config is None or key not in config:
        given = ", ".join(map(str, config or {})) or "nothing"
        raise LayoutError(f"{type(who).__name__} needs {key!r} in its configuration, which has {given}")
    return config[key]


def output_path(who: object, config: Mapping[str, Any] | None, suffix: str) -> Path:
    """Where a function writes: ``filename`` with a suffix, in the folder of the run."""
    folder = Path(setting(who, config, "directory_prefix"))
    return folder / f"{setting(who, config, 'filename')}{suffix}"
