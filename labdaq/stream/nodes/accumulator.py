"""Epochs of a signal, accumulated around triggers and sent on."""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.node import Specs, ThreadNode
from labdaq.stream.nodes.epochs import Epoch, EpochCutter

__all__ = ["TriggerAccumulator"]


class TriggerAccumulator(ThreadNode):
    """Keeps the last stretches of the input ``signals`` around the triggers that come through the input ``events``.

    `configure` takes

    ================  ===================================================================================
    ``left_sweep``    where an epoch begins, in seconds after its trigger: negative for before; -1.0
    ``right_sweep``   where it ends; 1.0
    ``stack_size``    epochs that `stack` holds; 10
    ``max_delay``     seconds that a trigger may come after its samples; 10.0
    ``field``         of structured events: the one that holds the number of the sample
    ================  ===================================================================================

    The output ``epochs`` need not be configured. It carries structures: ``trigger`` (number of the sample),
    ``missing`` (samples that are missing in the epoch) and ``samples``.

    Attributes
    ----------
    total_trig : int
        Epochs so far.
    """

    _input_specs: ClassVar[Specs] = {"signals": {}, "events": {}}
    _output_specs: ClassVar[Specs] = {"epochs": {"streamtype": "event"}}
    _may_be_closed: ClassVar[Collection[str]] = ("epochs",)

    def _configure(  # type: ignore[override]
        self,
        *,
        left_sweep: float = -1.0,
        right_sweep: float = 1.0,
        stack_size: int = 10,
        max_delay: float = 10.0,
        field: str | None = None,
    ) -> None:
        if not left_sweep < right_sweep or stack_size < 1:
            raise LayoutError(f"from {left_sweep} s to {right_sweep} s, {stack_size} epochs: there would be none")
        self._sweep_s, self._max_delay_s, self._field = (left_sweep, right_sweep), max_delay, field
        self._stack: deque[Epoch] = deque(maxlen=stack_size)
        self.total_trig = 0

    @property
    def _limits(self) -> tuple[int, int]:
        rate = self.inputs["signals"].parameters.sample_rate
        left, right = self._sweep_s
        return round(left * rate), round(right * rate)

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        carried, (left, right) = self.inputs["signals"].carried, self._limits
        if carried["shape"] is None:
            raise LayoutError("the shape of the signals is not known before their first chunk: configure it")
        samples = ("samples", carried["dtype"], (right - left, *carried["shape"][1:]))
        return {"dtype": [("trigger", "<i8"), ("missing", "<i8"), samples], "shape": (-1,), "units": carried["units"]}

    def _initialize(self) -> None:
        signals = self.inputs["signals"].parameters
        self._check_field(self.inputs["events"].parameters.dtype)
        keep = max(1, round(self._max_delay_s * signals.sample_rate))
        self._cutter = EpochCutter(*self._limits, keep, signals.fill)

    def _check_field(self, dtype: np.dtype[Any]) -> None:
        names = dtype.names or ()
        if (self._field is None) != (dtype.names is None) or (self._field is not None and self._field not in names):
            raise LayoutError(
                f"field={self._field!r}: events are {dtype}; name the field that holds the sample's number"
            )

    @property
    def times_s(self) -> NDArray[np.float64]:
        """The times of the samples of an epoch, in seconds after the trigger."""
        left, right = self._limits
        return np.arange(left, right) / self.inputs["signals"].parameters.sample_rate

    @property
    def stack(self) -> NDArray[Any]:
        """The last epochs, the oldest first: shape (epochs, samples, channels)."""
        with self._turn:
            epochs = list(self._stack)
        if epochs:
            return np.stack([epoch.data for epoch in epochs])
        left, right = self._limits
        signals = self.inputs["signals"].parameters
        return np.empty((0, right - left, *signals.row_shape), signals.dtype)

    @property
    def triggers(self) -> list[int]:
        """The numbers of the samples that the epochs in `stack` belong to."""
        with self._turn:
            return [epoch.trigger for epoch in self._stack]

    @property
    def too_late(self) -> int:
        """Triggers whose samples were no longer kept when they came: raise ``max_delay``."""
        return self._cutter.too_late

    def reset_stack(self) -> None:
        """Forget the epochs so far."""
        with self._turn:
            self._stack.clear()
            self.total_trig = 0

    def restarted(self, name: str) -> None:
        """Samples have other numbers from now on."""
        self._cutter.reset()
        if self.outputs["epochs"].is_open and name == "signals":
            self.outputs["epochs"].restart()

    def receive(self, name: str, index: int, data: NDArray[Any]) -> None:
        """Samples or triggers."""
        if name == "signals":
            self._keep(self._cutter.add_samples(index, data, self.inputs[name].missed_before))
        else:
            self._cutter.add_triggers(data if self._field is None else data[self._field])
            self._keep(self._cutter.complete())

    def _keep(self, epochs: Iterable[Epoch]) -> None:
        for epoch in epochs:
            self._stack.append(epoch)
            self.total_trig += 1
            if self.outputs["epochs"].is_open:
                self._send(epoch)

    def _send(self, epoch: Epoch) -> None:
        out = self.outputs["epochs"]
        record = np.zeros(1, out.parameters.dtype)
        record["trigger"], record["missing"], record["samples"] = epoch.trigger, epoch.missing, epoch.data
        out.send(record, timestamp_ns=self.inputs["signals"].time_of(epoch.trigger))
