"""The kinds of signals that others are combined from.

Amplitudes are in the unit of the signal, which is that of the source that plays it: V by default.
"""

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.sim.signals import Basic, Signal, Stretch, constant, finite

__all__ = ["SIGNAL_KINDS", "chirp", "cw", "dc", "noise", "pulse", "sawtooth", "square"]

Floats = npt.NDArray[np.float64]


def dc(value: float) -> Signal:
    """A constant.

    Examples
    --------
    >>> dc(1.5).sample(2, sample_rate_hz=1).tolist()
    [1.5, 1.5]
    """
    return Basic("dc", constant, (finite(value),))


def cw(frequency_hz: float, amplitude: float = 1.0, phase_rad: float = 0.0) -> Signal:
    """A sine: continuous wave.

    Examples
    --------
    >>> cw(1.0, 2.0).sample(4, sample_rate_hz=4).round(6).tolist()
    [0.0, 2.0, 0.0, -2.0]
    """
    return Basic("cw", _sine, (_positive(frequency_hz), finite(amplitude), finite(phase_rad)))


def square(frequency_hz: float, amplitude: float = 1.0, duty: float = 0.5) -> Signal:
    """A rectangle: plus the amplitude for a fraction `duty` of each period, then minus the amplitude.

    Examples
    --------
    >>> square(1.0, duty=0.25).sample(4, sample_rate_hz=4).tolist()
    [1.0, -1.0, -1.0, -1.0]
    """
    if not 0 <= finite(duty) <= 1:
        raise LayoutError(f"{duty=}: a fraction of the period, in 0..1")
    return Basic("square", _rectangle, (_positive(frequency_hz), finite(amplitude), finite(duty)))


def sawtooth(frequency_hz: float, amplitude: float = 1.0) -> Signal:
    """A ramp from minus to plus the amplitude in each period.

    Examples
    --------
    >>> sawtooth(1.0).sample(5, sample_rate_hz=4).tolist()
    [-1.0, -0.5, 0.0, 0.5, -1.0]
    """
    return Basic("sawtooth", _ramp, (_positive(frequency_hz), finite(amplitude)))


def chirp(begin_hz: float, end_hz: float, duration_s: float, amplitude: float = 1.0) -> Signal:
    """A sine whose frequency goes evenly from one to another in some seconds, and then begins again at phase 0.

    Examples
    --------
    >>> chirp(0.0, 10.0, 1.0).sample(4, sample_rate_hz=10).round(3).tolist()
    [0.0, 0.309, 0.951, 0.309]
    """
    return Basic("chirp", _sweep, (finite(begin_hz), finite(end_hz), _positive(duration_s), finite(amplitude)))


def pulse(frequency_hz: float, width_s: float, amplitude: float = 1.0) -> Signal:
    """Gaussian pulses, so many in a second, of a standard deviation of so many seconds; one has its peak at time 0.

    Examples
    --------
    >>> pulse(1.0, 0.25).sample(5, sample_rate_hz=4).round(3).tolist()
    [1.0, 0.607, 0.135, 0.607, 1.0]
    """
    return Basic("pulse", _gaussian, (_positive(frequency_hz), _positive(width_s), finite(amplitude)))


def noise(rms: float) -> Signal:
    """White Gaussian noise of this standard deviation, the same for the same seed.

    Examples
    --------
    >>> float(noise(0.1).sample(10_000, sample_rate_hz=1).std().round(2))
    0.1
    """
    return Basic("noise", _noise, (finite(rms),))


SIGNAL_KINDS = {kind.__name__: kind for kind in (chirp, cw, dc, noise, pulse, sawtooth, square)}
"""What may be called in the text of a signal."""


def _positive(value: float) -> float:
    number = finite(value)
    if number <= 0:
        raise LayoutError(f"{value!r}: frequencies (Hz), durations and widths (s) of signals are positive")
    return number


def _phase(on: Stretch, frequency_hz: float) -> Floats:
    """Fraction of the period, from 0 on and below 1; a rounding error does not make 0.999... of a new period."""
    return np.asarray(np.round(on.cycles(frequency_hz) % 1.0, 12) % 1.0)


def _sine(on: Stretch, _: np.random.Generator, frequency_hz: float, amplitude: float, phase_rad: float) -> Floats:
    return np.asarray(amplitude * np.sin(2 * np.pi * on.cycles(frequency_hz) + phase_rad))


def _rectangle(on: Stretch, _: np.random.Generator, frequency_hz: float, amplitude: float, duty: float) -> Floats:
    return np.where(_phase(on, frequency_hz) < duty, amplitude, -amplitude)


def _ramp(on: Stretch, _: np.random.Generator, frequency_hz: float, amplitude: float) -> Floats:
    return amplitude * (2 * _phase(on, frequency_hz) - 1)


def _sweep(
    on: Stretch, _: np.random.Generator, begin_hz: float, end_hz: float, duration_s: float, amplitude: float
) -> Floats:
    time_s = duration_s * _phase(on, 1 / duration_s)
    cycles = (begin_hz + (end_hz - begin_hz) * time_s / (2 * duration_s)) * time_s
    return np.asarray(amplitude * np.sin(2 * np.pi * cycles))


def _gaussian(on: Stretch, _: np.random.Generator, frequency_hz: float, width_s: float, amplitude: float) -> Floats:
    phase = _phase(on, frequency_hz)
    from_peak_s = np.minimum(phase, 1 - phase) / frequency_hz
    return np.asarray(amplitude * np.exp(-((from_peak_s / width_s) ** 2) / 2))


def _noise(on: Stretch, rng: np.random.Generator, rms: float) -> Floats:
    return rms * rng.standard_normal(on.count)
