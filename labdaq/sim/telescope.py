"""A simulated radio telescope: the voltages of one antenna, with noise, a hidden tone and a pulsar."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.kernels import dispersion_delays
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive

__all__ = ["RadioTelescope"]

_TRUTH = np.dtype([("timestamp_ns", "i8"), ("phase", "f8")])


class RadioTelescope(Simulation[SimulatedBatch]):
    """A seeded simulation of an antenna, its receiver and its mixer, to be used like a device.

    An event is a stretch of complex voltages, ``(samples,)`` of complex64: a band around `frequency_hz` that was mixed
    down to 0. Noise of sky and receiver has a power of 1. The records of ``batch(n).truth`` have ``timestamp_ns``
    of the first sample, and the ``phase`` of the pulsar then, in turns, at the upper end of the band.

    Parameters
    ----------
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    samples : int
        Of an event; a multiple of `channels`.
    sample_rate_hz : float
        Complex samples per second, which is the width of the band too.
    frequency_hz : float
        Of the middle of the band, on the sky.
    tone_hz, tone_power : float
        A transmitter: where it is on the sky, and its power.
    period_s, dm, duty, pulsar_power : float
        The pulsar: its period, its dispersion measure (pc/cm³), the part of the period in which it is on, and its
        power then.
    channels : int
        Into which the band is divided to disperse the pulsar.

    Raises
    ------
    LayoutError
        If a setting is outside its range.

    Notes
    -----
    Noise and pulsar are Gaussian noise in each of the channels, whose power follows the phase at the frequency of
    the channel, and are transformed to voltages. So the power is that of a dispersed pulsar to the width of a channel.

    Examples
    --------
    >>> telescope = RadioTelescope(seed=1)
    >>> voltages, timestamp_ns = next(telescope)
    >>> voltages.dtype, voltages.shape, telescope.header["frequency_hz"]
    (dtype('complex64'), (512,), 38000000.0)
    """

    dtype = np.dtype(np.complex64)
    _batch = SimulatedBatch

    def __init__(
        self,
        seed: int = 0,
        *,
        samples: int = 512,
        sample_rate_hz: float = 100e3,
        frequency_hz: float = 38e6,
        tone_hz: float = 38.0125e6,
        tone_power: float = 0.05,
        period_s: float = 0.4,
        dm: float = 15.0,
        duty: float = 0.06,
        pulsar_power: float = 0.25,
        channels: int = 64,
        events: int | None = None,
        start_ns: int = 0,
    ) -> None:
        check_positive(
            samples=samples,
            sample_rate_hz=sample_rate_hz,
            frequency_hz=frequency_hz,
            period_s=period_s,
            channels=channels,
        )
        is_inside = abs(tone_hz - frequency_hz) <= sample_rate_hz / 2 < frequency_hz
        if not is_inside or samples % channels or not (0 <= duty <= 1 and 0 <= tone_power < np.inf):
            raise LayoutError(
                "the tone must lie in the band, the band above 0, samples be a multiple of channels, duty from 0 to 1, "
                f"powers be 0 or more; given: {tone_hz=}, {frequency_hz=}, {samples=}, {channels=}, {duty=}, "
                f"{tone_power=}"
            )
        if not (0 <= dm < np.inf and 0 <= pulsar_power < np.inf):
            raise LayoutError(f"dm and pulsar_power must be 0 or more; given: {dm=}, {pulsar_power=}")
        self.samples, self.channels = samples, channels
        self.sample_rate_hz, self.frequency_hz = sample_rate_hz, frequency_hz
        self.tone_hz, self.tone_power = tone_hz, tone_power
        self.period_s, self.dm, self.duty, self.pulsar_power = period_s, dm, duty, pulsar_power
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: ``(samples,)``."""
        return (self.samples,)

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the voltages, as a JSON object; the secrets of the sky are not in it."""
        return {
            "sample_interval_ns": 1e9 / self.sample_rate_hz,
            "sample_rate_hz": self.sample_rate_hz,
            "frequency_hz": self.frequency_hz,
            "seed": self.seed,
        }

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        spectra = self.samples // self.channels
        row = (np.arange(BLOCK * spectra) + block.number * BLOCK * spectra) * (self.channels / self.sample_rate_hz)
        frequencies_hz = self.frequency_hz + np.fft.fftfreq(self.channels) * self.sample_rate_hz
        phases = (row[:, None] - dispersion_delays(frequencies_hz / 1e6, self.dm)) / self.period_s
        power = 1 + self.pulsar_power * (phases % 1 < self.duty)
        noise = block.rng.standard_normal((len(row), self.channels, 2)).view(np.complex128)[..., 0]
        voltages = np.fft.ifft(noise * np.sqrt(power / 2), axis=1, norm="ortho").reshape(BLOCK, self.samples)

        first = block.number * BLOCK * self.samples
        turns = (self.tone_hz - self.frequency_hz) / self.sample_rate_hz * (first + np.arange(BLOCK * self.samples))
        tone = math.sqrt(self.tone_power) * np.exp(2j * np.pi * (turns % 1))
        self._voltages = (voltages + tone.reshape(voltages.shape)).astype(np.complex64)

        truth = np.empty(BLOCK, _TRUTH)
        truth["timestamp_ns"] = self.start_ns + np.rint(block.events * (self.samples * 1e9 / self.sample_rate_hz))
        truth["phase"] = phases[::spectra].max(axis=1)
        return truth

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        out[...] = self._voltages[place]
