"""Observers: events for displays, which disturb nobody."""

import time
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_observer import Observer
from labdaq.compat.mimocorb.patience import sleep_while
from labdaq.compat.mimocorb.roles import the_buffer

__all__ = ["rbObserver", "rbWSObserver"]

Array = npt.NDArray[Any]


class rbObserver:  # noqa: N801
    """A generator of the newest events of a buffer.

    Parameters
    ----------
    observe_list
        Setup dictionary of the buffer, in a list.
    config_dict
        ``min_sleeptime``: for displays, how long they shall wait between two events (seconds, 1.0).
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to observe.
    """

    def __init__(
        self,
        observe_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        self.source = Observer(the_buffer(self, "observe", observe_list, rb_info))
        self.min_sleeptime = float((config_dict or {}).get("min_sleeptime", 1.0))

    def __call__(self) -> Iterator[tuple[Array, Array] | None]:
        """The newest event each time it is asked, as soon as there is one that was not given yet.

        Yields
        ------
        tuple or None
            Copies of the data, and of the metadata with shape ``(1,)``; None at the end.
        """
        while (event := self.source.get()) is not None:
            yield event
        yield None

    def close(self) -> None:
        """Stop looking."""
        self.source.close()


class rbWSObserver(rbObserver):  # noqa: N801
    """The same, and no more than one event in each ``min_sleeptime``."""

    def __call__(self) -> Iterator[tuple[Array, Array] | None]:
        """Like :class:`rbObserver`, after a pause where it is asked too soon."""
        due = time.monotonic()
        for event in super().__call__():
            if event is not None:
                sleep_while(self.source._active.is_set, due - time.monotonic())
            due = time.monotonic() + self.min_sleeptime
            yield event
