"""What may pass into a stream: chunks of its dtype and shape, looked at one by one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.stream.parameters import StreamParameters

__all__ = ["Gate"]


class Gate:
    """Checks chunks against the parameters of a stream, and fixes its shape by the first one.

    Attributes
    ----------
    parameters : StreamParameters
        With the shape, as soon as it is known.

    Examples
    --------
    >>> gate = Gate(StreamParameters(dtype="i2"))
    >>> gate.checked(np.zeros((3, 4), "i2")).shape, gate.parameters.shape
    ((3, 4), (-1, 4))
    """

    def __init__(self, parameters: StreamParameters) -> None:
        self.parameters = parameters
        self._dtype: Any = None  # of chunks that need no closer look; by identity, as None equals float64
        self._shape: tuple[int, ...] = ()
        self._is_whole = False
        self._fix()

    def _fix(self) -> None:
        parameters = self.parameters
        if parameters.shape is not None:
            self._dtype = parameters.dtype
            self._is_whole = parameters.shape[0] != -1
            self._shape = parameters.shape if self._is_whole else parameters.row_shape

    def checked(self, data: Any) -> NDArray[Any]:
        """The chunk as it is sent: C-contiguous.

        Raises
        ------
        LayoutError
            When it is not of this stream.
        """
        if (
            type(data) is np.ndarray
            and data.dtype is self._dtype
            and (data.shape if self._is_whole else data.shape[1:]) == self._shape
            and data.flags.c_contiguous
        ):
            return data
        return self._looked_at(data)

    def _looked_at(self, data: Any) -> NDArray[Any]:
        parameters = self.parameters
        array = np.asarray(data)
        if array.dtype != parameters.dtype:
            raise LayoutError(f"this stream carries {parameters.dtype}, and {array.dtype} was given: use astype()")
        if array.ndim == 0:
            raise LayoutError("a chunk has a time axis: send [value], not value")
        if parameters.shape is None:
            self.parameters = parameters = parameters.changed(shape=(-1, *array.shape[1:]))
            self._fix()
        wanted = parameters.shape or ()
        if array.shape[1:] != wanted[1:] or wanted[0] not in {-1, len(array)}:
            raise LayoutError(f"this stream carries chunks of shape {wanted}, and {array.shape} was given")
        return np.ascontiguousarray(array)
