"""What filters hand on: copies of the input, and records of their own."""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.compat.mimocorb.buffer_access import Reader, Writer
from labdaq.errors import LayoutError

__all__ = ["as_records", "fill", "send"]


def fill(slot: npt.NDArray[Any], record: npt.NDArray[Any]) -> None:
    """Put a record into a slot: its fields where they are there, zeros in all others.

    Raises
    ------
    LayoutError
        When it has a field that the slot has not, or does not fit.

    Examples
    --------
    >>> slot = np.ones(1, [("a", "i4"), ("b", "f8")])
    >>> fill(slot, np.array([(2.5,)], [("b", "f4")]))
    >>> slot.tolist()
    [(0, 2.5)]
    """
    record = np.asarray(record)
    try:
        if record.dtype == slot.dtype or record.dtype.names is None:
            slot[...] = record
            return
        slot[...] = np.zeros((), slot.dtype)
        for name in record.dtype.names:
            slot[name] = record[name]
    except (ValueError, TypeError) as error:
        raise LayoutError(
            f"a record of {record.dtype}, shape {record.shape}, does not fit into a slot of {slot.dtype}, "
            f"shape {slot.shape}: {error}"
        ) from error


def send(source: Reader, sink: Writer, record: npt.NDArray[Any]) -> None:
    """Write one event with the metadata of the one at hand, and hand it over."""
    metadata = source.get_metadata()
    slot = sink.get_new_buffer()
    try:
        fill(slot, record)
    except LayoutError:
        sink.close()
        raise
    sink.set_metadata(*metadata)
    sink.process_buffer()


def as_records(values: npt.NDArray[Any], name: str = "value") -> npt.NDArray[Any]:
    """Values as records; plain numbers become a field of that name.

    Examples
    --------
    >>> as_records(np.array([1, 2], "i4")).dtype.names
    ('value',)
    """
    return values if values.dtype.names is not None else np.ascontiguousarray(values).view([(name, values.dtype)])
