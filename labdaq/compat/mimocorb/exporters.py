"""Reading events out of the buffers, into programs of your own or into nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_access import Reader
from labdaq.compat.mimocorb.roles import setting, the_buffer

__all__ = ["rbDrain", "rbExport"]

Array = npt.NDArray[Any]


class rbExport:  # noqa: N801
    """A generator of the events of a buffer.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer, in a list.
    config_dict
        Not used here.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to read, or others than that.
    """

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        self.config_dict = config_dict
        self.source = Reader(the_buffer(self, "read", source_list, rb_info, only=True))

    def __call__(self) -> Iterator[tuple[Array, Array] | None]:
        """Events one by one, each valid until the next is asked for.

        Yields
        ------
        tuple or None
            The data, and counter, time stamp [s] and dead time as an array of ``float64``; None at the end.
        """
        while self.source._active.is_set():
            try:
                data = self.source.get()
            except SystemExit:
                break
            yield data, np.array(self.source.get_metadata(), np.float64)
        yield None


class rbDrain:  # noqa: N801
    """Read events and forget them; a file ``message.txt`` in the folder of the run says so.

    Parameters
    ----------
    source_list
        Setup dictionary of the buffer, in a list.
    config_dict
        ``directory_prefix``: the folder of the run.
    **rb_info
        ``RB_assign`` of the function.

    Raises
    ------
    LayoutError
        When there is no buffer to read, or no folder.
    """

    def __init__(
        self,
        source_list: list[dict[str, Any]] | None = None,
        config_dict: dict[str, Any] | None = None,
        **rb_info: str,
    ) -> None:
        self.source = Reader(the_buffer(self, "read", source_list, rb_info))
        self.filename = Path(setting(self, config_dict, "directory_prefix")) / "message.txt"
        self.filename.write_text("The events of this run were read and not kept.\n")

    def __call__(self) -> None:
        """Read until the end.

        Raises
        ------
        SystemExit
            At the end, as the buffers do.
        """
        with self.source:
            while self.source._active.is_set():
                self.source.get_batch(max(1, self.source.number_of_slots // 2))
