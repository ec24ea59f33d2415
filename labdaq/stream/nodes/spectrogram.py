"""Power over time and frequency, as a stream of spectra."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.node import Specs, ThreadNode

__all__ = ["Spectrogram"]


class Spectrogram(ThreadNode):
    """Sends the power spectral density of stretches of the signal, for each channel.

    `configure` takes ``length``, the samples of a stretch (256), and ``hop``, those from one stretch to the next (half
    a stretch). A stretch is weighted with a Hann window; its spectrum is that of ``scipy.signal.spectrogram`` without
    detrending, one-sided, in units²/Hz.

    Stretch number m begins with sample ``m * hop``, so that the spectra do not depend on how samples were sent.
    Stretches with missing samples are left out: gaps of the output.
    """

    _input_specs: ClassVar[Specs] = {"signals": {}}
    _output_specs: ClassVar[Specs] = {"spectra": {"streamtype": "spectrum", "dtype": "float64"}}

    def _configure(self, *, length: int = 256, hop: int | None = None) -> None:  # type: ignore[override]
        hop = length // 2 if hop is None else hop
        if length < 2 or hop < 1:
            raise LayoutError(f"length={length}, hop={hop}: stretches of 2 samples or more, one after the other")
        self._length, self._hop = int(length), int(hop)
        phase = 2 * np.pi * np.arange(self._length) / self._length
        self._window = 0.5 - 0.5 * np.cos(phase)
        self._tail: Any = None

    @property
    def frequencies_hz(self) -> NDArray[np.float64]:
        """Of the values of a spectrum."""
        rate = self.input.parameters.sample_rate
        return np.fft.rfftfreq(self._length, 1 / rate).astype(np.float64)

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        carried = self.input.carried
        bins = self._length // 2 + 1
        return {
            "shape": None if carried["shape"] is None else (-1, *carried["shape"][1:], bins),
            "sample_rate": carried["sample_rate"] / self._hop,
            "units": f"({carried['units']})²/Hz" if carried["units"] else "1/Hz",
            "channels": carried["channels"],
            "annotations": {"frequency_step_hz": carried["sample_rate"] / self._length},
        }

    def _initialize(self) -> None:
        self._tail = None

    def restarted(self, name: str) -> None:
        """Samples have other numbers from now on."""
        self._tail = None
        super().restarted(name)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send the spectra of the stretches that are complete."""
        is_first = self._tail is None or self.input.missed_before
        signal = data if is_first else np.concatenate([self._tail, data])
        begin = index - len(signal)
        first, end = -(-begin // self._hop), (index - self._length) // self._hop + 1
        if first < end:
            spectra = self._spectra(signal[first * self._hop - begin :], end - first)
            stamp = self.input.time_of((end - 1) * self._hop + self._length)
            self.output.send(spectra, end, timestamp_ns=stamp)
        self._tail = np.array(signal[max(0, max(first, end) * self._hop - begin) :])

    def _spectra(self, signal: NDArray[Any], count: int) -> NDArray[np.float64]:
        """Of so many stretches from the first sample on."""
        values = signal.reshape(len(signal), -1).astype(np.float64, copy=False)
        stretches = np.lib.stride_tricks.sliding_window_view(values, self._length, axis=0)[:: self._hop][:count]
        spectra = np.fft.rfft(stretches * self._window, axis=-1)
        power = (spectra.real**2 + spectra.imag**2) / (self.input.parameters.sample_rate * (self._window**2).sum())
        power[..., 1 : (self._length + 1) // 2] *= 2  # the other half of the spectrum
        return np.asarray(power.reshape(count, *signal.shape[1:], -1))
