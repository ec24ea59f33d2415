"""When the events of a replay are due; whoever waits for one can be interrupted."""

import math
import threading
import time
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import EndOfDataError, LayoutError

__all__ = ["AtRate", "Original", "Pace", "pace_of"]

_PATIENCE_S = 1.0
"""What was held up for longer is not caught up."""


class Pace:
    """At once, until it is interrupted; and what all others have in common."""

    def __init__(self) -> None:
        self._is_interrupted = threading.Event()

    def begin(self) -> None:
        """Forget everything: the first event comes next."""
        self._is_interrupted.clear()

    def lap(self) -> None:
        """The same events come once more."""

    def plan(self, n: int, times_ns: npt.NDArray[np.int64] | None) -> None:
        """All that was planned is done, and ``n`` more events come; with the times at which they came before."""

    def interrupt(self) -> None:
        """End waiting, from another thread."""
        self._is_interrupted.set()

    def wait(self, most: int) -> int:
        """Wait until the next event is due; how many are, up to a number.

        Raises
        ------
        EndOfDataError
            Somebody called `interrupt`.
        """
        self._check()
        return most

    def _check(self) -> None:
        if self._is_interrupted.is_set():
            raise EndOfDataError("the replay was interrupted; open() begins anew")


class Timed(Pace):
    """At times that are planned by the gaps between them."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """See :class:`Pace`."""
        super().begin()
        self._due_s: npt.NDArray[np.float64] = np.empty(0)
        self._last_s: float | None = None

    def plan(self, n: int, times_ns: npt.NDArray[np.int64] | None) -> None:
        """See :class:`Pace`."""
        if self._last_s is None:
            self._last_s = time.monotonic()
        self._due_s = self._last_s + np.cumsum(self.gaps_s(n, times_ns))
        self._last_s = float(self._due_s[-1])

    @abstractmethod
    def gaps_s(self, n: int, times_ns: Any) -> npt.NDArray[np.float64]:
        """Seconds before each of the next events."""

    def wait(self, most: int) -> int:
        """See :class:`Pace`."""
        early_s = self._due_s[0] - time.monotonic()
        if early_s < -_PATIENCE_S:
            self._due_s -= early_s
            self._last_s = float(self._due_s[-1])
        while early_s > 0 and not self._is_interrupted.wait(min(early_s, threading.TIMEOUT_MAX)):
            early_s = self._due_s[0] - time.monotonic()
        self._check()
        due = int(np.searchsorted(self._due_s, time.monotonic(), side="right"))
        n = max(1, min(most, due))
        self._due_s = self._due_s[n:]
        return n


class AtRate(Timed):
    """So many per second; the same seed gives the same random times.

    Examples
    --------
    >>> AtRate(10.0, poisson=False, seed=0).gaps_s(3, None)
    array([0.1, 0.1, 0.1])
    """

    def __init__(self, rate_hz: float, poisson: bool, seed: int) -> None:
        self._mean_s, self._poisson, self._seed = 1 / rate_hz, poisson, seed
        super().__init__()

    def begin(self) -> None:
        """See :class:`Pace`."""
        super().begin()
        self._rng = np.random.default_rng(self._seed)

    def gaps_s(self, n: int, times_ns: Any) -> npt.NDArray[np.float64]:  # noqa: ARG002 - only `Original` looks at them
        """See :class:`Timed`."""
        return self._rng.exponential(self._mean_s, n) if self._poisson else np.full(n, self._mean_s)


class Original(Timed):
    """As they came; another lap begins at once.

    No time goes backwards: where several workers wrote, times may be out of order.

    Examples
    --------
    >>> Original(speed=2.0).gaps_s(4, np.array([5.0, 7.0, 6.0, 9.0]) * 1e9)
    array([0., 1., 0., 1.])
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__()

    def begin(self) -> None:
        """See :class:`Pace`."""
        super().begin()
        self.lap()

    def lap(self) -> None:
        """See :class:`Pace`."""
        self._before_ns: int | None = None

    def gaps_s(self, n: int, times_ns: Any) -> npt.NDArray[np.float64]:  # noqa: ARG002 - there is one time for each
        """See :class:`Timed`."""
        before_ns = times_ns[0] if self._before_ns is None else self._before_ns
        latest_ns = np.maximum.accumulate(np.concatenate([[before_ns], times_ns]))
        self._before_ns = int(latest_ns[-1])
        return np.asarray(np.diff(latest_ns) / (1e9 * self._speed))


def pace_of(timing: str | float, poisson: bool = False, seed: int = 0, speed: float = 1.0) -> Pace:
    """The pace that settings ask for.

    Raises
    ------
    LayoutError
        They are not possible.
    """
    if isinstance(timing, str) or not isinstance(timing, int | float | np.number):
        if timing not in {"fast", "original"}:
            raise LayoutError(f"timing={timing!r}: 'fast', 'original', or a rate in Hz")
        if poisson or not 0 < speed < math.inf or (timing == "fast" and speed != 1):
            raise LayoutError(
                f"timing={timing!r}, poisson={poisson}, speed={speed}: poisson goes with a rate, a speed above 0 with "
                "'original'"
            )
        return Original(speed) if timing == "original" else Pace()
    if not 0 < timing < math.inf or seed < 0 or speed != 1:
        raise LayoutError(
            f"timing={timing}, seed={seed}, speed={speed}: a rate is above 0 (Hz), a seed 0 or more, and a speed goes "
            "with 'original'"
        )
    return AtRate(float(timing), poisson, seed)
