"""Looking at a buffer, by the setup dictionary that the buffer gave for it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.access import Access
from labdaq.compat.mimocorb.metadata import METADATA, seconds
from labdaq.ring import Observer as RingObserver

__all__ = ["Observer"]

Array = npt.NDArray[Any]


class Observer(Access):
    """Looks at events without disturbing anyone; there may be any number.

    Parameters
    ----------
    setup_dict
        From ``NewBuffer.new_observer()``.
    """

    def __init__(self, setup_dict: dict[str, Any]) -> None:
        super().__init__(setup_dict)
        self._observer: RingObserver = self._ring.observer()

    def get(self) -> tuple[Array, Array] | None:
        """The newest event that was not seen yet; waits for it.

        Returns
        -------
        tuple or None
            Copies of the data, and of the metadata with shape ``(1,)``; None when no more will come. A copy is
            never torn.
        """
        try:
            event = self._await(self._observer.latest)
        except SystemExit:
            return None
        metadata = np.array([(event.counter, seconds(event.timestamp_ns), event.deadtime)], METADATA)
        return event.data, metadata

    @property
    def dataQ(self) -> "Observer":  # noqa: N802
        """What v1 has as a queue: this, which is read with the same ``get()``."""
        return self

    def close(self) -> None:
        """Stop looking."""
        self._observer.close()
