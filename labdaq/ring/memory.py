"""The data memory of a ring as arrays: where in which array frame i is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.ring import words as w
from labdaq.ring.layout import DATA, EVENT_PLANES, FLAGS_PLANE, Layout, PlaneLayout
from labdaq.ring.spaces import Backing, Stretch

__all__ = ["Memory", "Plane"]

Array = NDArray[Any]


class Plane:
    """One stretch of data memory: frame i is row ``i % slots`` of an array.

    Attributes
    ----------
    array
        Frames first; twice as many as ``slots`` when mirrored, so that spans do not wrap. With ringlets,
        ringlets first.
    frozen
        The same, read-only.
    """

    def __init__(self, layout: PlaneLayout, stretch: Stretch) -> None:
        self.layout = layout
        self.slots = layout.slots
        self.is_mirrored = layout.is_mirrored
        self.address = stretch.address
        self.frame_nbytes = layout.frame_nbytes
        self.layout_dtype = layout.dtype
        self.layout_shape = layout.shape
        rows = layout.slots * (2 if layout.is_mirrored else 1)
        lanes = stretch.bytes().reshape(layout.lanes, stretch.lane_stride)[:, : rows * self.frame_nbytes]
        self._lanes: Array = lanes.view(layout.dtype).reshape(layout.lanes, rows, *layout.shape)
        self.array: Array = self._lanes[0] if layout.lanes == 1 else self._lanes
        self.frozen: Array = self.array.view()
        self.frozen.flags.writeable = False
        self._rows_last = layout.lanes > 1
        self.flat_nbytes = rows * self.frame_nbytes
        self._flat: tuple[dict[type, Array | None], dict[type, Array | None]] = ({}, {})

    def flat(self, dtype: type, *, writable: bool) -> Array | None:
        """All the memory as one scalar type, 1-D; None where that does not go. Made once per type."""
        views = self._flat[writable]
        if dtype not in views:
            views[dtype] = self._viewed_as(dtype, writable)
        return views[dtype]

    def _viewed_as(self, dtype: type, writable: bool) -> Array | None:
        if self._rows_last or not issubclass(dtype, np.number) or self.flat_nbytes % np.dtype(dtype).itemsize:
            return None
        flat: Array = (self.array if writable else self.frozen).reshape(-1).view(dtype)
        return flat

    def parts(self, start: int, count: int, *, writable: bool) -> list[Array]:
        """The one or two arrays that are the frames from ``start`` on."""
        array = self.array if writable else self.frozen
        slot = start % self.slots
        end = slot + count
        if self.is_mirrored or end <= self.slots:
            return [array[:, slot:end] if self._rows_last else array[slot:end]]
        if self._rows_last:
            return [array[:, slot:], array[:, : end - self.slots]]
        return [array[slot:], array[: end - self.slots]]

    def copy_from(self, other: "Plane", start: int, end: int) -> None:
        """Take frames over from the memory before a resize."""
        position = start
        while position < end:
            count = min(end - position, self.slots - position % self.slots, other.slots - position % other.slots)
            lanes = min(len(self._lanes), len(other._lanes))
            here, there = position % self.slots, position % other.slots
            self._lanes[:lanes, here : here + count] = other._lanes[:lanes, there : there + count]
            position += count


class Memory:
    """The data memory of one generation."""

    def __init__(self, generation: int, layout: Layout, backing: Backing) -> None:
        self.generation = generation
        self.layout = layout
        try:
            self.planes = {p.name: Plane(p, _map(backing, p)) for p in layout.planes}
        finally:
            backing.close()
        self.data = self.planes[DATA]
        self.capacity = layout.capacity
        self.contiguous = layout.contiguous
        self.nringlet = layout.nringlet

    def fill_handle(self, handle: memoryview) -> None:
        """Tell a participant's compiled steps where things are."""
        handle[w.MY_GENERATION >> 3] = self.generation
        handle[w.DATA >> 3] = self.data.address
        handle[w.DATA_SLOTS >> 3] = self.data.slots
        handle[w.DATA_NBYTES >> 3] = self.data.frame_nbytes
        if FLAGS_PLANE in self.planes:
            handle[w.FLAGS >> 3] = self.planes[FLAGS_PLANE].address
            handle[w.FLAG_SLOTS >> 3] = self.planes[FLAGS_PLANE].slots
        if set(EVENT_PLANES) <= set(self.planes):
            handle[w.EVENT_SLOTS >> 3] = self.planes["counter"].slots
            for word, name in (
                (w.EVENTS, "counter"),
                (w.TIMESTAMPS, "timestamp_ns"),
                (w.DEADTIMES, "deadtime"),
            ):
                handle[word >> 3] = self.planes[name].address


def _map(backing: Backing, plane: PlaneLayout) -> Stretch:
    return backing.map(plane.offset, plane.nbytes, lanes=plane.lanes, mirrored=plane.is_mirrored)
