"""A simulated digitiser of analogue signals, which gives them in blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.sim.signal_text import parse_signal
from labdaq.sim.signals import Signal, Stretch
from labdaq.sim.simulation import BLOCK, Block, SimulatedBatch, Simulation, check_positive, random_stream

__all__ = ["AnalogSource"]

_TRUTH = np.dtype([("timestamp_ns", "i8"), ("sample", "i8")])


class AnalogSource(Simulation[SimulatedBatch]):
    """Signals in blocks of samples, to be used like a device. An event is a block; there is no gap between blocks.

    The records of ``batch(n).truth`` have ``timestamp_ns``, the time of the first sample, and its number ``sample``.

    Parameters
    ----------
    signal
        One :class:`~labdaq.sim.signals.Signal` or its text; or several, one for each channel. With one signal and
        several channels, each channel has noise of its own.
    seed, events, start_ns
        As for every :class:`~labdaq.sim.simulation.Simulation`.
    sample_rate_hz : float
        Samples per second and channel.
    samples : int
        Samples in a block, of each channel.
    channels : sequence of str, optional
        Names of the channels; by default A, B, ...
    unit : str
        Of the samples.

    Raises
    ------
    NotFoundError
        For a signal that is not known.
    LayoutError
        If a setting is outside its range, or there are not as many signals as channels.

    Examples
    --------
    >>> source = AnalogSource("cw(1e3) + noise(0.1)", sample_rate_hz=48e3, samples=480, seed=1)
    >>> block, timestamp_ns = next(source)
    >>> block.shape, block.dtype, timestamp_ns, next(source)[1]
    ((480,), dtype('float32'), 0, 10000000)
    >>> AnalogSource(["cw(1e3)", "square(50)"], channels=["tone", "mains"]).shape
    (2, 1024)
    """

    _batch = SimulatedBatch

    def __init__(
        self,
        signal: Signal | str | Sequence[Signal | str],
        seed: int = 0,
        *,
        sample_rate_hz: float = 48_000.0,
        samples: int = 1024,
        channels: Sequence[str] | None = None,
        unit: str = "V",
        events: int | None = None,
        start_ns: int = 0,
    ) -> None:
        check_positive(sample_rate_hz=sample_rate_hz, samples=samples)
        given = [signal] if isinstance(signal, Signal | str) else list(signal)
        signals = [parse_signal(one) for one in given]
        self.channels = [chr(ord("A") + i) for i in range(len(signals))] if channels is None else list(channels)
        self.signals = signals * len(self.channels) if len(signals) == 1 else signals
        if len(self.signals) != len(self.channels) or not self.channels:
            raise LayoutError(
                f"{len(self.signals)} signals for {len(self.channels)} channels: one for each, or for all"
            )
        self.sample_rate_hz, self.samples, self.unit = float(sample_rate_hz), samples, unit
        super().__init__(seed, events, start_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event: ``(samples,)``, or ``(channels, samples)`` if there are several."""
        return (self.samples,) if len(self.channels) == 1 else (len(self.channels), self.samples)

    @property
    def header(self) -> Mapping[str, Any]:
        """What plots and files need to know of the samples, as a JSON object."""
        return {
            "unit": self.unit,
            "channels": self.channels,
            "sample_interval_ns": 1e9 / self.sample_rate_hz,
            "signals": [repr(signal) for signal in self.signals],
            "seed": self.seed,
        }

    def _draw(self, block: Block) -> npt.NDArray[Any]:
        truth = np.empty(BLOCK, _TRUTH)
        truth["sample"] = block.events * self.samples
        # Whole seconds and the rest, so that a year at 1 GHz is exact to the nanosecond.
        seconds, rest = np.divmod(truth["sample"], self.sample_rate_hz)
        rest_ns = np.rint(1e9 * rest / self.sample_rate_hz).astype(np.int64)
        truth["timestamp_ns"] = self.start_ns + seconds.astype(np.int64) * 1_000_000_000 + rest_ns
        return truth

    def _write(self, place: slice, out: npt.NDArray[Any]) -> None:
        rows = out[:, None] if len(self.channels) == 1 else out
        for event, first in zip(rows, self._truth["sample"][place], strict=True):
            stretch = Stretch(int(first), self.samples, self.sample_rate_hz)
            for number, signal in enumerate(self.signals):
                noise = random_stream(self.seed, int(first) // self.samples, number)
                event[number] = signal.values(stretch, noise)
