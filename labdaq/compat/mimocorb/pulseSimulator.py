# ruff: noqa: N999, NPY002 - the name of v1, and its seed: that of np.random
"""A source without hardware: pulses of cosmic muons in up to four layers, of which some stop and decay.

The numbers are drawn in v1's order from the generator of `np.random`, so that ``np.random.seed`` decides them.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.roles import setting

__all__ = ["pulseSimulator"]

Waveforms = npt.NDArray[np.float32]


class pulseSimulator:  # noqa: N801
    """Waveforms of a detector of four layers that a muon crosses, or between which it decays.

    A pulse rises at once and falls exponentially. A muon that stops gives one in the layers 0 and 1, and its
    electron another one later, upwards (0 and 1) or downwards (2 and 3): the share of the two oscillates with the
    time, as the spin of the muon turns in a magnetic field.

    Parameters
    ----------
    config_dict
        ``number_of_samples``; ``sample_time_ns`` [ns]; ``pre_trigger_samples``; ``analogue_offset`` [V].
        With defaults: ``trigger_level`` (0 mV), ``sleeptime`` (0.1 s) between events, ``random`` (False): draw it
        from an exponential distribution, ``pulseWindow`` (100 samples), ``pulseHeight`` (250 mV, or a list to
        choose from), ``pulseSpread`` (0.3 of the height, mV), ``prbInteraction`` (0.95): of a layer to see
        something, ``prb2ndPulse`` (0.1): of a muon to stop.

    Raises
    ------
    LayoutError
        When a setting is missing.

    Examples
    --------
    >>> pulses = pulseSimulator(dict(number_of_samples=500, sample_time_ns=10, pre_trigger_samples=100,
    ...                              analogue_offset=0.0, sleeptime=0))
    >>> pulses.init(2, 500, ["chA", "chB"])
    >>> waveforms = pulses()
    >>> waveforms.shape, waveforms.dtype
    ((2, 500), dtype('float32'))
    """

    tau_mu = 2197  # ns
    A_spin = 0.03

    def __init__(self, config_dict: Mapping[str, Any]) -> None:
        config = config_dict
        self.number_of_samples = setting(self, config, "number_of_samples")
        self.sample_time_ns = setting(self, config, "sample_time_ns")
        self.pre_trigger_samples = int(setting(self, config, "pre_trigger_samples"))
        self.analogue_offset_mv = 1000.0 * setting(self, config, "analogue_offset")
        level = config.get("trigger_level")
        self.trigger_level = 0.0 if level is None else level - self.analogue_offset_mv
        self.events_required = config.get("eventcount", 1000)
        self.sleeptime = config.get("sleeptime", 0.10)
        self.random = config.get("random", False)
        self.plen = int(config.get("pulseWindow", 100))
        self.pulse_height = np.atleast_1d(np.asarray(config.get("pulseHeight", 250.0), float))
        self.pulse_spread = config.get("pulseSpread")
        self.detector_efficiency = config.get("prbInteraction", 0.95)
        self.stopping_probability = config.get("prb2ndPulse", 0.10)
        self.T_spin = 0.85 * self.tau_mu
        self.number_of_channels, self.number_of_values = 0, 0
        self.channel_names: Sequence[str] = ()

    def init(self, number_of_channels: int, number_of_values: int, channel_names: Sequence[str] | None = None) -> None:
        """Say what the buffer takes: how many channels, how many values of each, and their names."""
        self.number_of_channels, self.number_of_values = number_of_channels, number_of_values
        self.channel_names = channel_names or ()
        self.pulse_template = np.exp(-np.arange(self.plen, dtype=np.float32) / (self.plen / 4.0))
        self.noise = self.pulse_height.mean() / 30.0

    def __call__(self) -> Waveforms:
        """The next event, after a pause.

        Returns
        -------
        ndarray of float32, shape (channels, values)
            In mV.
        """
        channels = self.number_of_channels
        waveforms: Waveforms = (self.noise * (0.5 - np.random.rand(channels, self.number_of_values))).astype(np.float32)
        stops = np.random.rand() < self.stopping_probability
        for layer in range(min(2, channels) if stops else channels):
            height = self._trigger_height() if layer == 0 else self._height()
            self._add(waveforms, layer, self.pre_trigger_samples, height)
        if stops:
            self._decay(waveforms)
        waveforms += np.float32(self.analogue_offset_mv)
        time.sleep(-self.sleeptime * np.log(np.random.rand()) if self.random else self.sleeptime)
        return waveforms

    def _decay(self, waveforms: Waveforms) -> None:
        delay_ns = -self.tau_mu * np.log(np.random.rand())
        position = int(delay_ns / self.sample_time_ns) + self.pre_trigger_samples
        upwards = 0.5 + 0.5 * self.A_spin * np.cos(2 * np.pi * delay_ns / self.T_spin)
        layers = (0, 1) if np.random.rand() < upwards else (2, 3)
        for layer in layers:
            if layer < self.number_of_channels:
                self._add(waveforms, layer, position, self._height())

    def _height(self) -> float:
        height = np.random.choice(self.pulse_height)
        spread = 0.3 * height if self.pulse_spread is None else self.pulse_spread
        return float(height + spread * np.random.normal())

    def _trigger_height(self) -> float:
        height = self._height()
        while height < self.trigger_level:
            height = self._height()
        return height

    def _add(self, waveforms: Waveforms, layer: int, position: int, height: float) -> None:
        """A pulse, if the layer sees it and it is not too late for a whole one."""
        is_seen = np.random.rand() < self.detector_efficiency
        room = waveforms.shape[1] - position
        if is_seen and (position == self.pre_trigger_samples or room > self.plen):
            waveforms[layer, position : position + self.plen] += np.float64(height) * self.pulse_template[:room]
