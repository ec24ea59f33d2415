"""Groups of channels of one stream as streams of their own."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.node import Specs, ThreadNode
from labdaq.stream.output import OutputStream

__all__ = ["ChannelSplitter"]


class ChannelSplitter(ThreadNode):
    """Sends groups of channels of one stream as streams of their own.

    `configure` takes ``channels={name: [numbers]}``, and makes an output for each name; open them then.
    """

    _input_specs: ClassVar[Specs] = {"in": {}}

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._groups: dict[str, list[int]] = {}

    def _configure(self, *, channels: Mapping[str, Sequence[int]]) -> None:  # type: ignore[override]
        shape = self.input.parameters.shape if self.input.is_open else None
        groups = {str(name): [int(number) for number in numbers] for name, numbers in channels.items()}
        most = shape[1] if shape is not None and len(shape) > 1 else None
        wrong = [n for numbers in groups.values() for n in numbers if n < 0 or (most is not None and n >= most)]
        if wrong or not all(groups.values()):
            raise LayoutError(f"channels {wrong or 'without numbers'}: the stream has {most or 'an unknown number'}")
        for out in self.outputs.values():
            out.close()
        self._groups = groups
        self.outputs = {name: OutputStream() for name in groups}

    def _output_parameters(self, name: str) -> dict[str, Any]:
        given, numbers = self.input.carried, self._groups[name]
        shape, channels = given["shape"], given["channels"]
        return {
            **given,
            "shape": None if shape is None else (-1, len(numbers), *shape[2:]),
            "channels": tuple(channels[number] for number in numbers) if channels else (),
        }

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send each group of channels."""
        stamp = self.input.time_of(index)
        for name, numbers in self._groups.items():
            self.outputs[name].send(data[:, numbers], index, timestamp_ns=stamp)
