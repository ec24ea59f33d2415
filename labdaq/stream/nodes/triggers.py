"""Triggers on streams: the numbers of the samples where a channel crosses a threshold, as a stream of events."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.node import Specs, ThreadNode
from labdaq.stream.nodes.crossings import Condition, Crossings

__all__ = ["AnalogTrigger", "DigitalTrigger"]


class AnalogTrigger(ThreadNode):
    """Sends the absolute numbers of samples at which one channel crosses a threshold.

    `configure` takes

    ========================  =======================================================================
    ``channel``               its number; 0 by default
    ``threshold``             in the units of the stream; 0.0 by default
    ``front``                 ``"+"`` rising (default) or ``"-"`` falling
    ``debounce_mode``         ``"no-debounce"`` (default), ``"after-stable"``, ``"before-stable"``
    ``debounce_time``         in seconds; 0.01 by default
    ========================  =======================================================================

    See `labdaq.stream.nodes.crossings` for what these mean. The output ``events`` has dtype int64; its index counts
    triggers, and its time stamps are those of the triggers.

    Examples
    --------
    >>> from labdaq.stream import InputStream, OutputStream
    >>> with OutputStream().configure(protocol="inproc", sample_rate=1000.0) as out, AnalogTrigger() as trigger:
    ...     _ = trigger.input.connect(out)
    ...     trigger.configure(threshold=1.0)
    ...     trigger.open_outputs(protocol="inproc")
    ...     trigger.initialize()
    ...     with InputStream().connect(trigger.output) as inp:
    ...         trigger.start()
    ...         _ = out.send(np.array([0, 0, 2, 2, 0, 3], "f4"))
    ...         inp.recv(timeout=5)
    (2, array([2, 5]))
    """

    _input_specs: ClassVar[Specs] = {"signals": {}}
    _output_specs: ClassVar[Specs] = {"events": {"streamtype": "event", "dtype": "int64", "shape": (-1,)}}

    def _configure(  # type: ignore[override]
        self,
        *,
        channel: int = 0,
        threshold: float = 0.0,
        front: str = "+",
        debounce_mode: str = "no-debounce",
        debounce_time: float = 0.01,
    ) -> None:
        self._channel = channel
        self._condition = Condition(float(threshold), front, debounce_mode).checked()
        if debounce_time < 0:
            raise LayoutError(f"debounce_time={debounce_time!r}: seconds, not below 0")
        self._debounce_s = debounce_time

    def _initialize(self) -> None:
        parameters = self.input.parameters
        self._check_channel(parameters.shape, np.dtype(parameters.dtype))
        length = int(self._debounce_s * parameters.sample_rate)
        self._crossings = Crossings(self._condition._replace(debounce=length))

    def _check_channel(self, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> None:
        count = 1 if shape is None or len(shape) == 1 else shape[1]
        is_there = shape is None or (len(shape) <= 2 and 0 <= self._channel < count)
        if not is_there or dtype.kind not in "buif":
            raise LayoutError(f"channel {self._channel} of a stream of {dtype}, shape {shape}: there is no such signal")

    @property
    def undecided(self) -> int:
        """Crossings right before a gap, whose stability could not be seen; they were not sent."""
        return self._crossings.undecided

    def restarted(self, name: str) -> None:
        """Samples have other numbers from now on."""
        self._crossings.cut()
        super().restarted(name)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send the triggers that are certain now."""
        found = self._crossings.add(index, self._signal(data), self.input.missed_before)
        if len(found):
            self.output.send(found, timestamp_ns=self.input.time_of(int(found[-1]) + 1))

    def _signal(self, data: NDArray[Any]) -> NDArray[Any]:
        return data if data.ndim == 1 else data[:, self._channel]


class DigitalTrigger(AnalogTrigger):
    """The same for one line of a digital stream.

    ``channel`` is the number of the line: a column of booleans, or a bit of packed integers, where line 0 is the
    lowest bit of the first column. There is no threshold.
    """

    def _configure(  # type: ignore[override]
        self, *, channel: int = 0, front: str = "+", debounce_mode: str = "no-debounce", debounce_time: float = 0.01
    ) -> None:
        super()._configure(
            channel=channel, threshold=0.5, front=front, debounce_mode=debounce_mode, debounce_time=debounce_time
        )

    def _check_channel(self, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> None:
        self._bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize
        columns = 1 if shape is None or len(shape) == 1 else shape[1]
        is_there = shape is None or (len(shape) <= 2 and 0 <= self._channel < columns * self._bits)
        if dtype.kind not in "bui" or not is_there:
            raise LayoutError(
                f"line {self._channel} of a stream of {dtype}, shape {shape}: there are {columns * self._bits} lines, "
                "in booleans or in bits of integers"
            )

    def _signal(self, data: NDArray[Any]) -> NDArray[Any]:
        column, bit = divmod(self._channel, self._bits)
        words = data if data.ndim == 1 else data[:, column]
        if self._bits == 1:
            return words.astype(np.uint8)
        one = np.array(1, words.dtype.newbyteorder("="))
        bits: NDArray[Any] = (words >> np.array(bit, one.dtype)) & one
        return bits
