"""A simulated water-Cherenkov detector in which cosmic muons stop and decay.

It imitates a can of water seen by one photomultiplier, whose oscilloscope keeps waveforms with two
pulses: negative pulses, 4000 samples at 4 ns, digitised to 8 bits. The first pulse is the muon that
fired the trigger. The second is the electron from its decay; or an unrelated particle, at any delay
alike; or missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.sim.pulses import RISE_NS, add_pulses
from labdaq.sim.simulation import BLOCK, Block, Simulation

__all__ = ["MuonBatch", "MuonDetector"]

_TRUTH = np.dtype([("timestamp_ns", "i8"), ("delay_us", "f8"), ("is_decay", "?")])

_TRIGGER_V = 0.045
_MEAN_HEIGHT_V = 0.12  # over the trigger threshold, exponentially distributed
_OFFSET_V, _NOISE_V = -0.0026, 0.0020

# The digitiser: steps of 3.9 mV around -0.4 V, codes -127 to 127.
_CENTRE_V, _STEP_V, _CODES = -0.4, 0.99154 / 254, 127
_LEVELS = (_CENTRE_V + _STEP_V * np.arange(-_CODES, _CODES + 1)).astype(np.float32)


@dataclass(frozen=True)
class MuonBatch:
    """Events together with the truth about them."""

    waveforms: npt.NDArray[np.float32]
    """Volts, shape (n, samples), or (n, channels, samples) with more than one channel."""
    timestamp_ns: npt.NDArray[np.int64]
    """When the trigger fired, shape (n,)."""
    delay_us: npt.NDArray[np.float64]
    """True delay of the second particle, shape (n,); NaN if there was none."""
    is_decay: npt.NDArray[np.bool_]
    """Whether the second particle was the decay electron, shape (n,)."""

    def __len__(self) -> int:
        return len(self.timestamp_ns)


class MuonDetector(Simulation[MuonBatch]):
    """A seeded simulation of a muon decay detector, to be used like a device.

    A detector is read like a file: iteration, :meth:`batch` and :meth:`acquire` go on where the last
    reading stopped, and :meth:`rewind` starts again with the same events. Event number k depends on the
    seed and the settings only, not on how the events before it were read.

    Parameters
    ----------
    seed : int
        0 or more. Same seed and settings, same bytes.
    events : int, optional
        Number of events after which the detector has no more; endless by default.
    channels : int
        Photomultipliers that see the same water. Their pulses differ in height and noise.
    samples : int
        Samples per waveform and channel.
    sample_interval_ns : float
        Time between two samples, in nanoseconds.
    pretrigger : float
        Fraction of the waveform before the trigger.
    decays, accidentals : float
        Fractions of the events in which the second particle is the decay electron, or an unrelated one.
        In the rest there is a single pulse.
    lifetime_us : float
        Mean life of a free muon, in microseconds: that of positive muons.
    captured_lifetime_us : float
        Mean life of a negative muon that was caught by an atom of the water, in microseconds.
    captured : float
        Fraction of such muons among the decays that are seen.
    rate_hz : float
        Mean rate of the triggers. The time stamps are those of a Poisson process of this rate; making
        the events takes no longer for it.
    start_ns : int
        Time stamp at which data taking begins, in nanoseconds UTC.

    Raises
    ------
    LayoutError
        If a setting is outside its range.

    Examples
    --------
    >>> detector = MuonDetector(seed=1, events=100)
    >>> waveform, timestamp_ns = next(detector)
    >>> waveform.dtype, waveform.shape, bool(waveform.min() < -0.045)
    (dtype('float32'), (4000,), True)
    >>> detector.rewind()
    >>> batch = detector.batch(1000)
    >>> batch.waveforms.shape, bool((batch.waveforms[0] == waveform).all())
    ((100, 4000), True)
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        events: int | None = None,
        channels: int = 1,
        samples: int = 4000,
        sample_interval_ns: float = 4.0,
        pretrigger: float = 0.05,
        decays: float = 0.58,
        accidentals: float = 0.32,
        lifetime_us: float = 2.197,
        captured_lifetime_us: float = 1.795,
        captured: float = 0.39,
        rate_hz: float = 4.0,
        start_ns: int = 0,
    ) -> None:
        fractions = pretrigger, captured, decays, accidentals, decays + accidentals
        if min(seed, *fractions) < 0 or max(fractions) > 1:
            raise LayoutError(
                "the seed must be 0 or more, and fractions (decays + accidentals, too) in 0..1; "
                f"given: {seed=}, {pretrigger=}, {decays=}, {accidentals=}, {captured=}"
            )
        if min(channels, samples, sample_interval_ns, lifetime_us, captured_lifetime_us, rate_hz) <= 0:
            raise LayoutError(
                f"must be positive: {channels=}, {samples=}, {sample_interval_ns=}, {lifetime_us=}, "
                f"{captured_lifetime_us=}, {rate_hz=}"
            )
        self.channels, self.samples = channels, samples
        self.sample_interval_ns, self.pretrigger = sample_interval_ns, pretrigger
        self.decays, self.accidentals, self.captured = decays, accidentals, captured
        self.lifetime_us, self.captured_lifetime_us = lifetime_us, captured_lifetime_us
        self.rate_hz = rate_hz
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: ``(samples,)``, or ``(channels, samples)`` if there are several."""
        return (self.samples,) if self.channels == 1 else (self.channels, self.samples)

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the waveforms, as a JSON object."""
        return {
            "unit": "V",
            "channels": [chr(ord("A") + i) for i in range(self.channels)],
            "sample_interval_ns": self.sample_interval_ns,
            "pretrigger": self.pretrigger,
            "polarity": -1,
            "seed": self.seed,
        }

    @property
    def levels(self) -> npt.NDArray[np.float32]:
        """The 255 voltages that the digitiser can give."""
        return _LEVELS.copy()

    @property
    def mean_lifetime_us(self) -> float:
        """Mean life of the muons whose decay is seen: what a perfect experiment would find."""
        return self.captured * self.captured_lifetime_us + (1 - self.captured) * self.lifetime_us

    @staticmethod
    def _batch(data: npt.NDArray[Any], truth: npt.NDArray[Any]) -> MuonBatch:
        return MuonBatch(data, *(np.ascontiguousarray(truth[name]) for name in _TRUTH.names or ()))

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        truth, rng = np.empty(BLOCK, _TRUTH), block.rng
        truth["timestamp_ns"] = block.poisson_times(self.rate_hz)
        kind, is_captured = rng.random(BLOCK), rng.random(BLOCK) < self.captured
        is_decay = kind < self.decays
        is_accidental = ~is_decay & (kind < self.decays + self.accidentals)

        mean_us = np.where(is_captured, self.captured_lifetime_us, self.lifetime_us)
        decay_us = mean_us * rng.standard_exponential(BLOCK)
        after_trigger_us = 1e-3 * self.samples * self.sample_interval_ns * (1 - self.pretrigger)
        delay_us = np.where(is_decay, decay_us, np.where(is_accidental, after_trigger_us * rng.random(BLOCK), np.nan))
        self._waveforms = self._digitise(rng, delay_us).reshape(BLOCK, *self.shape)
        truth["delay_us"], truth["is_decay"] = delay_us, is_decay
        return truth

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        out[...] = self._waveforms[place]

    def _digitise(self, rng: np.random.Generator, delay_us: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Waveforms, one row for each event and channel."""
        rows = BLOCK * self.channels
        height = _TRIGGER_V + rng.exponential(_MEAN_HEIGHT_V, (2, rows))
        # The sampling clock runs freely: the crossing of the threshold is somewhere before the sample.
        trigger_ns = (int(self.pretrigger * self.samples) - rng.random(BLOCK)) * self.sample_interval_ns
        steps = rng.standard_normal((rows, self.samples), dtype=np.float32)
        steps *= _NOISE_V / _STEP_V
        steps += (_OFFSET_V - _CENTRE_V) / _STEP_V

        first_ns = np.repeat(trigger_ns, self.channels) - RISE_NS * _TRIGGER_V / height[0]
        add_pulses(steps, first_ns / self.sample_interval_ns, -height[0] / _STEP_V, self.sample_interval_ns)
        second_ns = first_ns + 1e3 * np.repeat(delay_us, self.channels)
        add_pulses(steps, second_ns / self.sample_interval_ns, -height[1] / _STEP_V, self.sample_interval_ns)
        np.rint(steps, out=steps)
        np.clip(steps, -_CODES, _CODES, out=steps)
        steps += _CODES
        return _LEVELS[steps.astype(np.uint8)]
