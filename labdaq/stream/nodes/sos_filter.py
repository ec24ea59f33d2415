"""Digital filters on streams: second-order sections that go on over the borders of chunks."""

from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdaq.errors import LayoutError, MissingExtraError
from labdaq.stream.node import Specs, ThreadNode

__all__ = ["SosFilter"]


class SosFilter(ThreadNode):
    """Filters each channel; the result is that of ``scipy.signal.sosfilt`` on the whole signal, in float64.

    `configure` takes ``sos``, the sections as SciPy designs them, shape (sections, 6). A filter cannot know what it
    missed: after a gap it begins anew, at rest.

    Attributes
    ----------
    resets : int
        How often it had to.

    Examples
    --------
    >>> from scipy.signal import butter, sosfilt
    >>> from labdaq.stream import InputStream, OutputStream
    >>> sos = butter(4, 0.2, output="sos")
    >>> with OutputStream().configure(protocol="inproc") as out, SosFilter() as node:
    ...     _ = node.input.connect(out)
    ...     node.configure(sos=sos)
    ...     node.open_outputs(protocol="inproc")
    ...     node.initialize()
    ...     with InputStream(chunk_size=6).connect(node.output) as inp:
    ...         node.start()
    ...         _ = out.send(np.ones(4, "f4")), out.send(np.ones(2, "f4"))
    ...         bool(np.all(inp.recv(timeout=5)[1] == sosfilt(sos, np.ones(6))))
    True
    """

    _input_specs: ClassVar[Specs] = {"signals": {}}
    _output_specs: ClassVar[Specs] = {"signals": {}}
    resets = 0

    def _configure(self, *, sos: ArrayLike) -> None:  # type: ignore[override]
        sections = np.asarray(sos, np.float64)
        if sections.ndim != 2 or sections.shape[1] != 6 or not np.all(sections[:, 3] == 1.0):
            raise LayoutError(f"sos of shape {sections.shape}: sections of 6 numbers, the fourth is 1")
        try:
            self._sosfilt: Any = import_module("scipy.signal").sosfilt
        except ImportError as error:
            raise MissingExtraError("filters need SciPy: pip install 'labdaq[notebook]'") from error
        self._sos = sections

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        return {**self.input.carried, "dtype": np.dtype(float)}

    def _initialize(self) -> None:
        self._state: NDArray[np.float64] | None = None
        self.resets = 0

    def restarted(self, name: str) -> None:
        """Begin anew, at rest."""
        self._state = None
        super().restarted(name)

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Filter a chunk, where the last one ended."""
        if self._state is None or self.input.missed_before:
            self.resets += self._state is not None
            self._state = np.zeros((len(self._sos), 2, *data.shape[1:]))
        filtered, self._state = self._sosfilt(self._sos, data.astype(np.float64, copy=False), axis=0, zi=self._state)
        wanted = self.output.parameters.dtype
        self.output.send(filtered.astype(wanted, copy=False), index, timestamp_ns=self.input.time_of(index))
