"""When packets may go, so that they keep to a rate."""

import numpy as np

from labdaq.errors import LayoutError

__all__ = ["Pace"]

_BURST = 8
_AHEAD_S = 0.001
_MOST_BEHIND_S = 0.1
_PAUSE_S = 0.01


class Pace:
    """When packets may go: never more than 8 packets or 1 ms ahead of a rate.

    Parameters
    ----------
    rate
        Packets per second; 0 for no limit.

    Notes
    -----
    Sleeping takes longer than it should, and making packets takes time, too. Up to 0.1 s of that are made up for, so
    that the rate is kept on average; a pause of more than 10 ms before :meth:`begin` is not.

    Examples
    --------
    >>> pace = Pace(1_000_000)
    >>> pace.allowed(now=5.0), pace.allowed(now=5.0), pace.allowed(now=5.000004)
    (8, 0, 4)
    """

    def __init__(self, rate: float = 0.0) -> None:
        if not 0 <= rate < np.inf:
            raise LayoutError(f"rate {rate!r}: packets per second, or 0 for no limit")
        self.rate = rate
        self._due = -np.inf  # when the next packet should go
        self._seen = -np.inf  # when it was last asked for
        self._ahead_s = max(1.0, min(_BURST, _AHEAD_S * rate)) / rate if rate else 0.0

    def begin(self, now: float) -> None:
        """Packets are there from now on."""
        if now - self._seen > _PAUSE_S:
            self._due = max(self._due, now - 1e-9)

    def allowed(self, now: float, most: int = 1 << 30) -> int:
        """How many packets may go at a time in seconds; they count as gone."""
        if not self.rate:
            return most
        self._seen = now
        self._due = now if self._due == -np.inf else max(self._due, now - _MOST_BEHIND_S)
        count = min(most, int((now + self._ahead_s - self._due) * self.rate + 1e-3))
        self._due += count / self.rate
        return count

    def wait_s(self, now: float) -> float:
        """Seconds until half of what may go at once may go again."""
        wanted_s = max(self._ahead_s / 2, 1 / self.rate)
        return float(max(0.0, self._due + wanted_s - self._ahead_s - now))
