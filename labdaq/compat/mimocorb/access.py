"""What writers, readers and observers of a buffer have in common."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from labdaq.compat.mimocorb.accounts import Account
from labdaq.compat.mimocorb.flags import Flags
from labdaq.compat.mimocorb.metadata import METADATA
from labdaq.errors import ClosedError, EndOfDataError, WaitTimeoutError
from labdaq.ring import Ring

__all__ = ["Access"]

_SLICE_S = 0.1  # so long may somebody who waits overlook that a switch was thrown

Result = TypeVar("Result")
logger = logging.getLogger("labdaq.compat.mimocorb")


class Access:
    """What writers, readers and observers have in common.

    Attributes
    ----------
    number_of_slots, values_per_slot : int
        Of the buffer.
    dtype
        As it was given to the buffer.
    """

    metadata_dtype = METADATA

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        self.number_of_slots: int = setup_dict["number_of_slots"]
        self.values_per_slot: int = setup_dict["values_per_slot"]
        self.dtype: Any = setup_dict["dtype"]
        self._ring: Ring = setup_dict["ring"]
        self._flags: Flags = setup_dict["flags"]
        self._active = setup_dict["active"]
        self._paused = setup_dict["paused"]
        self._account: Account = setup_dict["account"]
        if setup_dict["debug"]:
            logger.debug("%s of %s", type(self).__name__, self._ring)

    def _await(self, step: Callable[..., Result]) -> Result:
        """Repeat a step in short waits until it succeeds.

        Raises
        ------
        SystemExit
            When the buffer has come to its end.
        """
        while self._active.is_set():
            try:
                return step(timeout=_SLICE_S)
            except WaitTimeoutError:
                continue
            except (EndOfDataError, ClosedError):
                break
        raise SystemExit
