"""A simulated Geiger-Mueller counter: a Poisson process, seen by a tube that is dead after each pulse."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive

__all__ = ["GeigerCounter"]

_COUNT = np.dtype([("interval_s", "f8")])
_TRUTH = np.dtype([("timestamp_ns", "i8"), ("lost", "i8")])
_MOST_PARALYSED = 10.0  # then 22 000 particles are lost for each count


class GeigerCounter(Simulation[SimulatedBatch]):
    """A seeded simulation of a counting tube, to be used like a device.

    An event is a count: a record with ``interval_s``, the time since the count before in seconds. The records of
    ``batch(n).truth`` have ``timestamp_ns`` and ``lost``, the particles since the count before that the tube missed.

    Parameters
    ----------
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    rate_hz : float
        Mean rate of the particles that go through the tube.
    dead_time_us : float
        How long the tube is dead after a count, in microseconds; 0 for an ideal one.
    is_paralyzable : bool
        Whether a particle in the dead time makes the tube dead for another dead time.

    Raises
    ------
    LayoutError
        If a setting is outside its range, or a tube would be paralysed for good.

    Examples
    --------
    >>> counter = GeigerCounter(seed=1, rate_hz=1000.0, dead_time_us=100.0)
    >>> counts = counter.batch(10_000)
    >>> rate_hz = 1 / counts.data["interval_s"].mean()
    >>> round(rate_hz), round(counter.expected_rate_hz)
    (912, 909)
    >>> counter.losses()
    {'dead time of the tube': 1005}
    """

    dtype = _COUNT
    _batch = SimulatedBatch

    def __init__(
        self,
        seed: int = 0,
        *,
        events: int | None = None,
        rate_hz: float = 20.0,
        dead_time_us: float = 100.0,
        is_paralyzable: bool = False,
        start_ns: int = 0,
    ) -> None:
        check_positive(rate_hz=rate_hz)
        dead = 1e-6 * rate_hz * dead_time_us
        if not 0 <= dead < np.inf or (is_paralyzable and dead > _MOST_PARALYSED):
            raise LayoutError(
                f"{dead_time_us=} must be 0 or more, and at most {1e6 * _MOST_PARALYSED / rate_hz:g} us for a "
                f"paralyzable tube at {rate_hz:g} Hz"
            )
        self.rate_hz, self.dead_time_us, self.is_paralyzable = rate_hz, dead_time_us, is_paralyzable
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[()]:
        """Shape of one event: a single record."""
        return ()

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the counts, as a JSON object."""
        return {
            "units": {"interval_s": "s"},
            "rate_hz": self.rate_hz,
            "dead_time_us": self.dead_time_us,
            "is_paralyzable": self.is_paralyzable,
            "seed": self.seed,
        }

    @property
    def expected_rate_hz(self) -> float:
        """Mean rate of the counts: ``n / (1 + n tau)``, or ``n exp(-n tau)`` of a paralyzable tube."""
        dead = 1e-6 * self.rate_hz * self.dead_time_us
        return float(self.rate_hz * np.exp(-dead)) if self.is_paralyzable else self.rate_hz / (1 + dead)

    def open(self) -> None:
        """Count losses from now on."""
        self._lost = 0

    def rewind(self) -> None:
        """Begin again with the first count, and with no losses."""
        super().rewind()
        self._lost = 0

    def losses(self) -> dict[str, int]:
        """Particles that the tube missed between the counts that were read, since `open`."""
        return {"dead time of the tube": self._lost}

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        # After each count it all begins anew, so that counts can be drawn one by one, without the others.
        rng, dead_s, mean_s = block.rng, 1e-6 * self.dead_time_us, 1 / self.rate_hz
        gaps_s = rng.exponential(mean_s, BLOCK)
        is_after_count = block.events > 0
        if self.is_paralyzable:
            lost = (rng.geometric(np.exp(-dead_s / mean_s), BLOCK) - 1) * is_after_count
            gaps_s += np.bincount(
                np.repeat(np.arange(BLOCK), lost), _short_gaps(rng, mean_s, dead_s, int(lost.sum())), BLOCK
            )
        else:
            lost = rng.poisson(dead_s / mean_s, BLOCK) * is_after_count
        gaps_s += dead_s * is_after_count
        truth = np.empty(BLOCK, _TRUTH)
        truth["timestamp_ns"] = block.after_times(1e9 * gaps_s)
        truth["lost"] = lost
        self._intervals_s = gaps_s
        return truth

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        out["interval_s"] = self._intervals_s[place]
        self._lost += int(self._truth["lost"][place].sum())


def _short_gaps(rng: np.random.Generator, mean_s: float, dead_s: float, n: int) -> npt.NDArray[np.float64]:
    """Exponential gaps that are shorter than the dead time, in seconds."""
    return np.asarray(-mean_s * np.log1p(rng.random(n) * np.expm1(-dead_s / mean_s)))
