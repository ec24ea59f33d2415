"""The same samples in another dtype, or over another transport."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labdaq.stream.layouts import checked_dtype
from labdaq.stream.node import Specs, ThreadNode

__all__ = ["StreamConverter"]


class StreamConverter(ThreadNode):
    """Sends what it receives in another dtype, or over another transport; numbers and times of samples stay.

    `configure` takes ``dtype``; None keeps that of the input.

    Examples
    --------
    >>> from labdaq.stream import InputStream, OutputStream
    >>> with OutputStream().configure(protocol="inproc", dtype="i2") as out, StreamConverter() as converter:
    ...     _ = converter.input.connect(out)
    ...     converter.configure(dtype="f8")
    ...     converter.open_outputs(protocol="inproc")
    ...     converter.initialize()
    ...     with InputStream().connect(converter.output) as inp:
    ...         converter.start()
    ...         _ = out.send(np.arange(3, dtype="i2"))
    ...         inp.recv(timeout=5)
    (3, array([0., 1., 2.]))
    """

    _input_specs: ClassVar[Specs] = {"in": {}}
    _output_specs: ClassVar[Specs] = {"out": {}}
    _dtype: np.dtype[Any] | None = None

    def _configure(self, *, dtype: DTypeLike | None = None) -> None:  # type: ignore[override]
        self._dtype = None if dtype is None else checked_dtype(dtype)

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - there is one
        given = self.input.carried
        return {**given, "dtype": given["dtype"] if self._dtype is None else self._dtype}

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Convert a chunk and send it."""
        converted = data if self._dtype is None else data.astype(self._dtype)
        self.output.send(converted, index, timestamp_ns=self.input.time_of(index))
