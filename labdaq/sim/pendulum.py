"""A simulated pendulum: a mass on a rigid, weightless rod, with friction, released at rest."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive

__all__ = ["Pendulum"]

_SAMPLE = np.dtype([("time_s", "f8"), ("angle_rad", "f8")])
_TRUTH = np.dtype([("timestamp_ns", "i8"), ("angle_rad", "f8"), ("angular_velocity", "f8")])
_STEPS = 400  # of each small swing; the phase is then good to 1e-8 of a period, in each period


class Pendulum(Simulation[SimulatedBatch]):
    """A seeded simulation of a pendulum with an angle sensor, to be used like a device.

    An event is a sample, a record with ``time_s`` and ``angle_rad`` as measured; or a block of them. The records of
    ``batch(n).truth`` have ``timestamp_ns``, and the true ``angle_rad`` and ``angular_velocity`` (rad/s), at the
    first sample of each event.

    Parameters
    ----------
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    length_m : float
        Of the rod.
    amplitude_rad : float
        Angle at which it is released at time 0; less than pi.
    damping_per_s : float
        The amplitude of small swings falls as ``exp(-damping_per_s * t)``.
    gravity : float
        In m/s².
    noise_rad : float
        Standard deviation of the measured angles.
    sample_rate_hz : float
        Samples per second.
    samples : int, optional
        Samples in a block; by default each sample is an event.

    Raises
    ------
    LayoutError
        If a setting is outside its range.

    Examples
    --------
    >>> pendulum = Pendulum(length_m=1.0, amplitude_rad=1.5, noise_rad=0.0)
    >>> sample, timestamp_ns = next(pendulum)
    >>> float(sample["time_s"]), float(sample["angle_rad"])
    (0.0, 1.5)
    >>> round(Pendulum(amplitude_rad=0.01).period_s, 3), round(pendulum.period_s, 3)
    (2.006, 2.331)
    """

    dtype = _SAMPLE
    _batch = SimulatedBatch

    def __init__(
        self,
        seed: int = 0,
        *,
        length_m: float = 1.0,
        amplitude_rad: float = 0.5,
        damping_per_s: float = 0.0,
        gravity: float = 9.80665,
        noise_rad: float = 0.002,
        sample_rate_hz: float = 100.0,
        samples: int | None = None,
        events: int | None = None,
        start_ns: int = 0,
    ) -> None:
        check_positive(
            length_m=length_m, gravity=gravity, sample_rate_hz=sample_rate_hz, samples=1 if samples is None else samples
        )
        if not abs(amplitude_rad) < math.pi or not (0 <= damping_per_s < np.inf) or not (0 <= noise_rad < np.inf):
            raise LayoutError(
                "the amplitude must be less than pi, damping and noise 0 or more; "
                f"given: {amplitude_rad=}, {damping_per_s=}, {noise_rad=}"
            )
        self.length_m, self.amplitude_rad, self.damping_per_s = length_m, amplitude_rad, damping_per_s
        self.gravity, self.noise_rad = gravity, noise_rad
        self.sample_rate_hz, self.samples = sample_rate_hz, samples
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: a single record, or ``(samples,)``."""
        return () if self.samples is None else (self.samples,)

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the samples, as a JSON object."""
        return {
            "units": {"time_s": "s", "angle_rad": "rad"},
            "sample_interval_ns": 1e9 / self.sample_rate_hz,
            "length_m": self.length_m,
            "amplitude_rad": self.amplitude_rad,
            "damping_per_s": self.damping_per_s,
            "seed": self.seed,
        }

    @property
    def period_s(self) -> float:
        """Period of a swing of this amplitude without friction, in seconds.

        It is that of small swings over the arithmetic-geometric mean of 1 and ``cos(amplitude / 2)``.
        """
        one, other = 1.0, math.cos(self.amplitude_rad / 2)
        while one - other > 1e-15:
            one, other = (one + other) / 2, math.sqrt(one * other)
        return 2 * math.pi * math.sqrt(self.length_m / self.gravity) / one

    def rewind(self) -> None:
        """Release it once more."""
        super().rewind()
        self._state = np.array([self.amplitude_rad, 0.0])

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        n = math.prod(self.shape)
        path = np.empty((BLOCK * n, 2))
        squared = self.gravity / self.length_m
        steps = math.ceil(_STEPS * math.sqrt(squared) / (2 * math.pi * self.sample_rate_hz))
        _swing(self._state, path, (squared, 2 * self.damping_per_s), 1 / self.sample_rate_hz, steps)
        samples = np.empty(BLOCK * n, _SAMPLE)
        samples["time_s"] = (block.number * BLOCK * n + np.arange(BLOCK * n)) / self.sample_rate_hz
        samples["angle_rad"] = path[:, 0] + self.noise_rad * block.rng.standard_normal(BLOCK * n)
        self._samples = samples.reshape(BLOCK, *self.shape)

        truth = np.empty(BLOCK, _TRUTH)
        truth["timestamp_ns"] = self.start_ns + np.rint(1e9 * samples["time_s"][::n]).astype(np.int64)
        truth["angle_rad"], truth["angular_velocity"] = path[::n].T
        return truth

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        out[...] = self._samples[place]


@jit
def _swing(state: Any, path: Any, forces: Any, interval: float, steps: int) -> None:
    """Angle and angular velocity at each sample, and `state` after the last, by the fourth-order Runge-Kutta method."""
    angle, velocity = state[0], state[1]
    squared, friction = forces
    step = interval / steps
    half = step / 2
    for sample in range(path.shape[0]):
        path[sample, 0], path[sample, 1] = angle, velocity
        for _ in range(steps):
            v1, a1 = velocity, -squared * np.sin(angle) - friction * velocity
            v2 = velocity + half * a1
            a2 = -squared * np.sin(angle + half * v1) - friction * v2
            v3 = velocity + half * a2
            a3 = -squared * np.sin(angle + half * v2) - friction * v3
            v4 = velocity + step * a3
            a4 = -squared * np.sin(angle + step * v3) - friction * v4
            angle += step * (v1 + 2 * v2 + 2 * v3 + v4) / 6
            velocity += step * (a1 + 2 * a2 + 2 * a3 + a4) / 6
    state[0], state[1] = angle, velocity
