"""When a run ends by itself, and how long its end may take."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from labdaq.errors import LayoutError, ResourceError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself, and how long its end may take."""

    events: int | None = None
    """So many events are taken in."""
    seconds: float | None = None
    """The intake lasts so long, pauses not counted."""
    drain_timeout_s: float = 10.0
    """After so long what was not processed is given up and counted as undelivered."""
    min_free_nbytes: int = 100 << 20
    """The run does not begin, or ends cleanly, when less is free on the disk."""

    def __post_init__(self) -> None:
        if self.events is not None and (isinstance(self.events, bool) or int(self.events) != self.events):
            raise LayoutError(f"events={self.events!r}: a whole number, or None")
        given = (self.events, self.seconds, self.drain_timeout_s, self.min_free_nbytes)
        if any(value is not None and not value >= 0 for value in given):
            raise LayoutError(f"limits are not negative: {self}")

    def missing_nbytes(self, folder: Path) -> int:
        """How many bytes too few are free on the disk of a folder; 0 when there are enough."""
        try:
            return max(0, self.min_free_nbytes - shutil.disk_usage(folder).free)
        except OSError:  # the folder is gone, or its disk
            return self.min_free_nbytes

    def check_disk(self, folder: Path) -> None:
        """Raise ResourceError when a run cannot begin in this folder."""
        if missing := self.missing_nbytes(folder):
            raise ResourceError(
                f"{missing >> 20} MiB are missing on the disk of {folder}: a run begins with at least "
                f"{self.min_free_nbytes >> 20} MiB. Make room, or lower min_free_nbytes"
            )
