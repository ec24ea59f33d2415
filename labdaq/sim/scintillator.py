"""A simulated scintillator with photomultiplier and shaping amplifier, near a gamma source."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.sim.gamma_spectrum import GammaSpectrum
from labdaq.sim.shaping import shaped_pulse
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive

__all__ = ["Scintillator"]

Floats = npt.NDArray[np.float64]

_TRUTH = np.dtype([("timestamp_ns", "i8"), ("height_mv", "f8"), ("energy_kev", "f8"), ("pile_up", "i8")])


class Scintillator(Simulation[SimulatedBatch]):
    """A seeded simulation of gamma spectroscopy, to be used like a device.

    The pulse that fires the trigger begins at `pretrigger` of the waveform, between two samples. Others pile up on
    it as their rate wants it, from before and after; the next trigger comes after the end of the waveform. The
    records of ``batch(n).truth`` have ``timestamp_ns``; ``height_mv`` of the triggering pulse; ``energy_kev``, which
    its quantum left in the crystal; and ``pile_up``, the number of other pulses that began in the waveform.

    Parameters
    ----------
    source : str or GammaSpectrum
        The name of a gamma source: ``"Cs-137"``, ``"Co-60"``, ``"Na-22"``; or a spectrum with settings of your own.
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    samples : int
        Samples per waveform.
    sample_interval_ns : float
        Time between two samples, in nanoseconds.
    pretrigger : float
        Fraction of the waveform before the trigger.
    shaping_ns, order
        Time constant and number of integrations of the shaper, see :func:`~labdaq.sim.shaping.shaped_pulse`.
    mv_per_kev : float
        Height of the pulses.
    noise_mv : float
        Standard deviation of the noise.
    rate_hz : float
        Mean rate of the pulses. The time stamps are those of the triggers; making the events takes no longer for it.

    Raises
    ------
    NotFoundError
        For a source that is not known.
    LayoutError
        If a setting is outside its range.

    Examples
    --------
    >>> scintillator = Scintillator("Cs-137", seed=1)
    >>> events = scintillator.batch(1000)
    >>> events.data.shape, events.data.dtype
    ((1000, 500), dtype('float32'))
    >>> peak = events.truth["energy_kev"] == 661.657
    >>> int(events.data[peak].max(axis=1).mean())  # 0.5 mV per keV
    331
    """

    _batch = SimulatedBatch

    def __init__(
        self,
        source: str | GammaSpectrum = "Cs-137",
        seed: int = 0,
        *,
        events: int | None = None,
        samples: int = 500,
        sample_interval_ns: float = 16.0,
        pretrigger: float = 0.2,
        shaping_ns: float = 200.0,
        order: int = 4,
        mv_per_kev: float = 0.5,
        noise_mv: float = 1.0,
        rate_hz: float = 1000.0,
        start_ns: int = 0,
    ) -> None:
        check_positive(
            samples=samples,
            sample_interval_ns=sample_interval_ns,
            shaping_ns=shaping_ns,
            order=order,
            mv_per_kev=mv_per_kev,
            rate_hz=rate_hz,
        )
        if not 0 <= pretrigger < 1 or noise_mv < 0:
            raise LayoutError(
                f"pretrigger must be in 0..1 (below 1), the noise 0 or more; given: {pretrigger=}, {noise_mv=}"
            )
        self.spectrum = source if isinstance(source, GammaSpectrum) else GammaSpectrum(source)
        self.samples, self.sample_interval_ns, self.pretrigger = samples, sample_interval_ns, pretrigger
        self.shaping_ns, self.order = shaping_ns, order
        self.mv_per_kev, self.noise_mv, self.rate_hz = mv_per_kev, noise_mv, rate_hz
        self._pulse_ns = (order + 3 * order**0.5 + 8) * shaping_ns  # less than 1 % of any pulse is left then
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: ``(samples,)``."""
        return (self.samples,)

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the waveforms, as a JSON object."""
        return {
            "unit": "mV",
            "channels": ["A"],
            "sample_interval_ns": self.sample_interval_ns,
            "pretrigger": self.pretrigger,
            "polarity": 1,
            "gamma_source": self.spectrum.source,
            "mv_per_kev": self.mv_per_kev,
            "seed": self.seed,
        }

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        rng, record_ns = block.rng, self.samples * self.sample_interval_ns
        truth = np.empty(BLOCK, _TRUTH)
        truth["timestamp_ns"] = block.after_times(rng.exponential(1e9 / self.rate_hz, BLOCK) + record_ns)
        seen_kev, truth["energy_kev"] = self.spectrum.draw(rng, BLOCK)
        truth["height_mv"] = self.mv_per_kev * seen_kev

        trigger_ns = (int(self.pretrigger * self.samples) - rng.random(BLOCK)) * self.sample_interval_ns
        others = rng.poisson(1e-9 * self.rate_hz * (record_ns + self._pulse_ns), BLOCK)
        row = np.concatenate([np.arange(BLOCK), np.repeat(np.arange(BLOCK), others)])
        others_ns = rng.uniform(-self._pulse_ns, record_ns, len(row) - BLOCK)
        others_mv = self.mv_per_kev * self.spectrum.draw(rng, len(others_ns))[0]
        truth["pile_up"] = np.bincount(row[BLOCK:][others_ns >= 0], minlength=BLOCK)

        begin_ns, height_mv = np.append(trigger_ns, others_ns), np.append(truth["height_mv"], others_mv)
        self._waveforms = rng.standard_normal((BLOCK, self.samples), dtype=np.float32) * np.float32(self.noise_mv)
        self._add_pulses(row, begin_ns, height_mv)
        return truth

    def _add_pulses(self, rows: npt.NDArray[np.int64], begins_ns: Floats, heights_mv: Floats) -> None:
        time_ns = np.arange(self.samples) * self.sample_interval_ns
        for row, begin_ns, height_mv in zip(rows, begins_ns, heights_mv, strict=True):
            inside = slice(*np.searchsorted(time_ns, (begin_ns, begin_ns + self._pulse_ns)))
            pulse = height_mv * shaped_pulse(time_ns[inside] - begin_ns, self.shaping_ns, self.order)
            self._waveforms[row, inside] += pulse.astype(np.float32)

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        out[...] = self._waveforms[place]
