"""What an index or a slice of a stream means, given which points there are."""

import operator
from typing import Any

from labdaq.errors import IndexNotYetThereError, IndexWontBeThereError, LayoutError
from labdaq.store.engine import Extent

__all__ = ["one_index", "span_of"]


def one_index(index: Any, extent: Extent) -> int:
    """The number of the point that an index asks for; whether it was trimmed is not looked at.

    Raises
    ------
    IndexNotYetThereError, IndexWontBeThereError, LayoutError

    Examples
    --------
    >>> one_index(-1, Extent(0, 10, True))
    9
    """
    number = _integer(index)
    if number < 0:
        if not extent.is_sealed:
            raise IndexNotYetThereError(f"{number} counts from the end, which a stream has when it is sealed")
        number += extent.length
    if 0 <= number < extent.length:
        return number
    if extent.is_sealed:
        raise IndexWontBeThereError(f"there is no point {index}: the stream ended after {extent.length}")
    raise IndexNotYetThereError(f"there is no point {index} yet: {extent.length} are there so far")


def span_of(wanted: slice, extent: Extent) -> range:
    """The numbers of the points that a slice asks for, clipped to those that there are.

    Raises
    ------
    IndexNotYetThereError, LayoutError

    Examples
    --------
    >>> span_of(slice(None, None, -3), Extent(0, 10, True))
    range(9, -1, -3)
    """
    start, stop, step = (None if end is None else _integer(end) for end in (wanted.start, wanted.stop, wanted.step))
    if step == 0:
        raise LayoutError("the step of a slice cannot be 0")
    if not extent.is_sealed and any(end is not None and end < 0 for end in (start, stop)):
        raise IndexNotYetThereError(f"{wanted} counts from the end, which a stream has when it is sealed")
    return range(*slice(start, stop, step).indices(extent.length))


def _integer(index: Any) -> int:
    if isinstance(index, bool):
        raise LayoutError(f"{index} is not the index of a point: give an integer or a slice")
    try:
        return operator.index(index)
    except TypeError:
        raise LayoutError(f"{index!r} is not the index of a point: give an integer or a slice") from None
