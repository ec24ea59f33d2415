"""The same samples in chunks of one length."""

from typing import Any, ClassVar

from numpy.typing import NDArray

from labdaq.stream.node import Specs, ThreadNode
from labdaq.stream.stages import Reassembler

__all__ = ["ChunkResizer"]


class ChunkResizer(ThreadNode):
    """Sends chunks of exactly ``chunk_size`` samples, given to `configure`; shorter ones only before a gap."""

    _input_specs: ClassVar[Specs] = {"in": {}}
    _output_specs: ClassVar[Specs] = {"out": {}}

    def _configure(self, *, chunk_size: int) -> None:  # type: ignore[override]
        self._pieces = Reassembler(chunk_size)

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        return self.input.carried

    def restarted(self, name: str) -> None:
        """What is left of the life before is sent in that life."""
        rest = self._pieces.end()
        if rest is not None:
            self.output.send(rest[1], rest[0])
        super().restarted(name)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Send the pieces that are complete."""
        for end, piece in self._pieces.add(index, data, self.input.missed_before):
            self.output.send(piece, end, timestamp_ns=self.input.time_of(end))
