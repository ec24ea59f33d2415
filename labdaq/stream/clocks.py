"""Clocks of other machines: how far they are from ours, how fast they drift, and how well that is known."""

import math
import time
from collections import deque

import numpy as np

from labdaq.stream.statistics import ClockOffset

__all__ = ["SenderClock"]

_UNKNOWN_DRIFT = 100e-6
"""Of a clock that was looked at once: quartzes are better, and so are clocks that NTP steers."""
_MOST_POINTS = 1000


class SenderClock:
    """The clock of a sender beside ours, from any number of measurements: a straight line through their offsets.

    Measurements are weighted by their uncertainties, see any textbook on linear regression.

    Attributes
    ----------
    measurements : int
        How many there are.

    Examples
    --------
    >>> clock = SenderClock()
    >>> clock.add(ClockOffset(5_000_000, 1000), 0)  # theirs is 5 ms ahead
    >>> clock.add(ClockOffset(5_001_000, 1000), 10_000_000_000)  # and gains 1 us in 10 s
    >>> clock.to_ours(20_005_002_000), round(clock.drift_ppm, 6)
    (20000000000, 0.1)
    """

    def __init__(self) -> None:
        self._points: deque[tuple[int, int, int]] = deque(maxlen=_MOST_POINTS)
        self._begin = self._offset = 0  # what is left can be computed with in floating point
        self._line = (0.0, 0.0, 0.0)  # centre (ns), offset there (ns), drift
        self._errors = (math.inf, 0.0)

    @property
    def measurements(self) -> int:
        """How many there are."""
        return len(self._points)

    def add(self, measured: ClockOffset, at_ns: int | None = None) -> None:
        """One more measurement, at a time of our clock; now by default."""
        at_ns = time.time_ns() if at_ns is None else at_ns
        self._points.append((at_ns + measured.offset_ns, measured.offset_ns, max(1, measured.uncertainty_ns)))
        self._fit()

    def _fit(self) -> None:
        self._begin, self._offset, _ = self._points[0]
        points = [(theirs - self._begin, offset - self._offset, error) for theirs, offset, error in self._points]
        times, offsets, errors = np.array(points, np.float64).T
        weights = errors**-2
        total = weights.sum()
        centre, mean = (weights * times).sum() / total, (weights * offsets).sum() / total
        spread = (weights * (times - centre) ** 2).sum()
        drift = float((weights * (times - centre) * offsets).sum() / spread) if spread else 0.0
        self._line = float(centre), float(mean), drift
        self._errors = float(total**-0.5), float(spread**-0.5) if spread else _UNKNOWN_DRIFT

    @property
    def drift_ppm(self) -> float:
        """By how many microseconds it gains on ours in a second."""
        return self._line[2] * 1e6

    def offset_at(self, theirs_ns: int) -> ClockOffset:
        """Theirs minus ours, when their clock shows a time; without a measurement nothing is known."""
        if not self._points:
            return ClockOffset(0, 1 << 62)
        (centre, mean, drift), (error, drift_error) = self._line, self._errors
        distance = theirs_ns - self._begin - centre
        uncertainty = math.hypot(error, distance * drift_error)
        return ClockOffset(self._offset + round(mean + drift * distance), math.ceil(uncertainty))

    def to_ours(self, theirs_ns: int) -> int:
        """The time of our clock when theirs shows a time (ns)."""
        return theirs_ns - self.offset_at(theirs_ns).offset_ns

    def to_theirs(self, ours_ns: int) -> int:
        """The inverse of `to_ours`."""
        theirs_ns = ours_ns
        for _ in range(8):  # each time the error falls by the drift, which is far below 1
            theirs_ns = ours_ns + self.offset_at(theirs_ns).offset_ns
        return theirs_ns
