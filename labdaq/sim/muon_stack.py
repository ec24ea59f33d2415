"""A simulated stack of scintillators with absorbers between, in which cosmic muons stop and decay.

It is the detector that the examples of mimoCoRB simulate: layers one above the other, each seen by one channel.
Most muons go through all of them. Some stop in the middle: they are seen by the upper half only, and their decay
electron, later, by the upper or by the lower half. Where it goes follows the spin of the muon, which precesses in
a magnetic field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit
from labdaq.sim.counted_noise import fill_noise, noise_key, stream_key
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive

__all__ = ["MuonStack"]

_FALL_TIMES = 4  # a pulse is cut off after so many: 2 % of its height are left


class MuonStack(Simulation[SimulatedBatch]):
    """A seeded simulation of stopped muons in a stack of scintillators, to be used like a device.

    The records of ``batch(n).truth`` have ``timestamp_ns``; ``delay_us``, the decay time of a muon that stopped,
    NaN of one that did not; ``is_up``, whether its electron went up; ``first_mv`` and ``second_mv``, shape
    (layers,), heights of the muon's and the electron's pulses, 0 where a layer saw none. An electron whose pulse
    would not end within the waveform is not seen.

    Parameters
    ----------
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    layers : int
        Scintillators, and channels; even. The upper ones come first.
    samples : int
        Samples per waveform.
    sample_interval_ns : float
        Time between two samples, in nanoseconds.
    pretrigger_samples : int
        Samples before the muon's pulse.
    offset_mv : float
        Analogue offset, added to all samples.
    trigger_mv : float
        The muon's pulse in the uppermost layer is at least this high, over the offset.
    pulse_mv : float or sequence of float
        Mean height of pulses; of several, each pulse has one by chance.
    spread : float
        Standard deviation of the heights, as a fraction of their mean.
    fall_ns : float
        Pulses fall with this time constant, after a rise of one sample.
    noise_mv : float, optional
        The noise is uniform between minus and plus this; by default 1/60 of the mean height.
    efficiency : float
        Probability that a layer sees a particle that goes through it.
    stopped : float
        Fraction of the muons that stop and decay.
    lifetime_us : float
        Mean life of the muons, in microseconds.
    asymmetry, period_us : float
        The electron goes up with the probability ``(1 + asymmetry * cos(2 pi t / period_us)) / 2``.
    rate_hz : float
        Mean rate of the triggers. The time stamps are those of a Poisson process of this rate; making the events
        takes no longer for it.

    Raises
    ------
    LayoutError
        If a setting is outside its range.

    Examples
    --------
    >>> stack = MuonStack(seed=1, stopped=1.0)
    >>> waveforms, timestamp_ns = next(stack)
    >>> waveforms.shape, waveforms.dtype, bool(waveforms[0].argmax() == 200)
    ((4, 4250), dtype('float32'), True)
    >>> round(float(stack.batch(1000).truth["delay_us"].mean()), 1)
    2.2
    """

    _batch = SimulatedBatch

    def __init__(
        self,
        seed: int = 0,
        *,
        events: int | None = None,
        layers: int = 4,
        samples: int = 4250,
        sample_interval_ns: float = 10.0,
        pretrigger_samples: int = 200,
        offset_mv: float = 0.0,
        trigger_mv: float = 0.0,
        pulse_mv: float | Sequence[float] = 250.0,
        spread: float = 0.3,
        fall_ns: float = 250.0,
        noise_mv: float | None = None,
        efficiency: float = 0.95,
        stopped: float = 0.10,
        lifetime_us: float = 2.197,
        asymmetry: float = 0.03,
        period_us: float = 0.85 * 2.197,
        rate_hz: float = 10.0,
        start_ns: int = 0,
    ) -> None:
        self.pulse_mv = np.atleast_1d(np.asarray(pulse_mv, dtype=np.float64))
        mean_mv = float(self.pulse_mv.mean()) if self.pulse_mv.size else 0.0
        check_positive(
            layers=layers,
            samples=samples,
            sample_interval_ns=sample_interval_ns,
            pulse_mv=float(self.pulse_mv.min(initial=mean_mv)),
            fall_ns=fall_ns,
            lifetime_us=lifetime_us,
            period_us=period_us,
            rate_hz=rate_hz,
        )
        if min(efficiency, stopped) < 0 or max(efficiency, stopped) > 1 or not abs(asymmetry) <= 1:
            raise LayoutError(
                "efficiency and stopped are fractions in 0..1, the asymmetry is in -1..1; "
                f"given: {efficiency=}, {stopped=}, {asymmetry=}"
            )
        if layers % 2 or not 0 <= pretrigger_samples < samples or spread < 0:
            raise LayoutError(
                "layers must be even, pretrigger_samples in the waveform and the spread 0 or more; "
                f"given: {layers=}, {pretrigger_samples=} of {samples}, {spread=}"
            )
        if trigger_mv > mean_mv * (1 + 2 * spread):
            raise LayoutError(f"{trigger_mv=}: pulses of {mean_mv:g} mV would hardly ever fire the trigger; lower it")
        self.layers, self.samples, self.sample_interval_ns = layers, samples, sample_interval_ns
        self.pretrigger_samples, self.offset_mv, self.trigger_mv = pretrigger_samples, offset_mv, trigger_mv
        self.spread_mv, self.fall_ns = spread * mean_mv, fall_ns
        self.noise_mv = mean_mv / 60 if noise_mv is None else noise_mv
        self.efficiency, self.stopped, self.lifetime_us = efficiency, stopped, lifetime_us
        self.asymmetry, self.period_us, self.rate_hz = asymmetry, period_us, rate_hz
        fall = fall_ns / sample_interval_ns
        self._pulse = np.exp(-np.arange(max(1, int(_FALL_TIMES * fall))) / fall).astype(np.float32)
        self._key = noise_key(seed) if seed >= 0 else np.uint64(0)
        heights = (np.float32, (layers,))
        self._records = np.dtype(
            [
                ("timestamp_ns", np.int64),
                ("delay_us", np.float64),
                ("is_up", np.bool_),
                ("first_mv", *heights),
                ("second_mv", *heights),
            ]
        )
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one event: ``(layers, samples)``."""
        return self.layers, self.samples

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the waveforms, as a JSON object."""
        return {
            "unit": "mV",
            "channels": [f"layer {1 + i}" for i in range(self.layers)],
            "sample_interval_ns": self.sample_interval_ns,
            "pretrigger": self.pretrigger_samples / self.samples,
            "polarity": 1,
            "offset_mv": self.offset_mv,
            "seed": self.seed,
        }

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        truth, rng = np.zeros(BLOCK, self._records), block.rng
        truth["timestamp_ns"] = block.poisson_times(self.rate_hz)
        is_stopped = rng.random(BLOCK) < self.stopped
        delay_us = self.lifetime_us * rng.standard_exponential(BLOCK)
        chance_up = (1 + self.asymmetry * np.cos(2 * np.pi * delay_us / self.period_us)) / 2
        is_up = rng.random(BLOCK) < chance_up
        is_upper = np.arange(self.layers) < self.layers // 2
        self._second_at = (1e3 * delay_us / self.sample_interval_ns).astype(np.int64) + self.pretrigger_samples
        is_seen = is_stopped & (self._second_at < self.samples - len(self._pulse))

        truth["delay_us"] = np.where(is_stopped, delay_us, np.nan)
        truth["is_up"] = is_stopped & is_up
        truth["first_mv"] = self._heights(rng, at_least=self.trigger_mv) * (is_upper | ~is_stopped[:, None])
        truth["second_mv"] = self._heights(rng) * ((is_upper == is_up[:, None]) & is_seen[:, None])
        self._first_event = block.number * BLOCK
        return truth

    def _heights(self, rng: np.random.Generator, at_least: float = 0.0) -> npt.NDArray[np.float64]:
        """Heights of the pulses of one particle in each event and layer; 0 where it is not seen."""
        heights = self._gaussian(rng, (BLOCK, self.layers))
        while (low := heights[:, 0] < at_least).any():
            heights[low, 0] = self._gaussian(rng, (int(low.sum()),))
        is_seen = rng.random(heights.shape) < self.efficiency
        return np.where(is_seen, np.maximum(heights, 0.0), 0.0)

    def _gaussian(self, rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        chosen = self.pulse_mv[rng.integers(len(self.pulse_mv), size=shape)]
        return np.asarray(chosen + self.spread_mv * rng.standard_normal(shape))

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        is_ours = out.dtype == np.float32 and out.flags.c_contiguous
        waveforms = out if is_ours else np.empty(out.shape, np.float32)
        truth = self._truth[place]
        _fill_waveforms(
            waveforms,
            (self._key, self._first_event + place.start),
            (np.float32(self.offset_mv), np.float32(self.noise_mv)),
            self._pulse,
            (self.pretrigger_samples, self._second_at[place], truth["first_mv"], truth["second_mv"]),
        )
        if waveforms is not out:
            out[...] = waveforms


@jit
def _add_pulse(row: Any, pulse: Any, height: Any, begin: int) -> None:
    for i in range(min(pulse.shape[0], row.shape[0] - begin)):
        row[begin + i] += height * pulse[i]


@jit
def _fill_waveforms(out: Any, streams: Any, level: Any, pulse: Any, particles: Any) -> None:
    """Noise around an offset, and two pulses where they have a height, for each event and layer."""
    key, number = streams
    first_at, second_at, first, second = particles
    layers = out.shape[1]
    for event in range(out.shape[0]):
        for layer in range(layers):
            row = out[event, layer]
            fill_noise(row, stream_key(key, (number + event) * layers + layer), level[0], level[1])
            if first[event, layer] > 0:
                _add_pulse(row, pulse, first[event, layer], first_at)
            if second[event, layer] > 0:
                _add_pulse(row, pulse, second[event, layer], second_at[event])
