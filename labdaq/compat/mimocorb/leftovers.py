"""What comes for functions that have ended: it is passed over and counted, so that nobody waits for them."""

import logging
import threading
from collections.abc import Sequence

from labdaq.compat.mimocorb.accounts import PlacedRow
from labdaq.compat.mimocorb.crew import Worker
from labdaq.compat.mimocorb.grouping import Group
from labdaq.pipeline.running.closing import flush
from labdaq.ring import Ring

__all__ = ["Leftovers"]

logger = logging.getLogger("labdaq.compat.mimocorb")


class Leftovers:
    """Events that were read to their end, and those that were not.

    Attributes
    ----------
    events_read, left_behind : dict of tuple of str to int
        By buffer and group; complete after :meth:`settle`.
    """

    def __init__(self) -> None:
        self.events_read: dict[tuple[str, str], int] = {}
        self.left_behind: dict[tuple[str, str], int] = {}
        self._helpers: list[threading.Thread] = []

    def pass_over(self, group: Group, ring: Ring, workers: Sequence[Worker]) -> None:
        """Read what is left, and what will come, for a group of which nobody works any more; does not wait."""
        name = f"pass over {group.name}"
        thread = threading.Thread(target=self.count, args=(group, ring, workers), name=name, daemon=True)
        self._helpers.append(thread)
        thread.start()

    def count(self, group: Group, ring: Ring, workers: Sequence[Worker]) -> None:
        """Count what a group has read, and read what it has not, until its ring has ended."""
        place = group.setup["place"]
        own = [one.row for one in workers if one.function in group.functions]
        rows = [PlacedRow(row, place) for row in own if row is not None]
        left = flush(ring, group.setup["group"], rows)
        frames = sum(one.frames for one in ring.statistics().groups if one.name == group.setup["group"])
        self.events_read[group.buffer, group.name] = frames - left
        if left:
            self.left_behind[group.buffer, group.name] = left

    def settle(self) -> None:
        """Wait until all is passed over: the rings have ended."""
        for thread in self._helpers:
            thread.join()

    def tell(self) -> None:
        """Warn of what was left behind."""
        for (buffer, name), number in self.left_behind.items():
            logger.warning("%s did not read %d events of %s", name, number, buffer)
