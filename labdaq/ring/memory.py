"""The data memory of a ring as arrays: where in which array frame i is."""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.ring import words as w
from labdaq.ring.device_memory import GuardedViews
from labdaq.ring.fences import Uses
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
        if isinstance(self.array, np.ndarray):  # arrays of GPUs are never read-only
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

    def streamed_parts(self, start: int, count: int, *, writable: bool) -> list[Array]:
        """The same for copies that a device makes on its streams: the processor does not wait."""
        return self.parts(start, count, writable=writable)

    def kept(self, frame: int) -> Any:
        """A copy of a frame, in memory of the processor."""
        return np.array(self.frozen[frame % self.slots, ...])

    def copy_from(self, other: "Plane", start: int, end: int) -> None:
        """Take frames over from the memory before a resize."""
        position = start
        while position < end:
            count = min(end - position, self.slots - position % self.slots, other.slots - position % other.slots)
            lanes = min(len(self._lanes), len(other._lanes))
            here, there = position % self.slots, position % other.slots
            self._lanes[:lanes, here : here + count] = other._lanes[:lanes, there : there + count]
            position += count


class GuardedPlane(Plane):
    """Frames on which streams of a device work, as one participant has them.

    `array` and `frozen` can be indexed; each view that is taken waits for those who work on these frames.
    """

    def __init__(self, layout: PlaneLayout, stretch: Stretch, uses: Uses) -> None:
        if layout.dtype.hasobject or (layout.dtype.names is not None and not uses.fences.on_host):
            raise LayoutError(f"frames of {layout.dtype}: arrays of GPUs hold plain numbers; name a simple dtype")
        super().__init__(layout, stretch)
        self._raw_array = self.array
        self.serve(uses)

    def serve(self, uses: Uses) -> None:
        """Be those of another participant."""
        self._uses = uses
        views = GuardedViews(self._raw_array, uses, self.slots, rows_last=self._rows_last)
        self.array, self.frozen, self._streamed = views.array, views.frozen, views.streamed

    def flat(self, dtype: type, *, writable: bool) -> Array | None:  # noqa: ARG002
        """None: views are taken where they wait."""
        return None

    def streamed_parts(self, start: int, count: int, *, writable: bool) -> list[Array]:
        """See :class:`Plane`."""
        other = copy.copy(self)
        other.frozen, other.array = self._streamed
        return other.parts(start, count, writable=writable)

    def kept(self, frame: int) -> Any:
        """See :class:`Plane`."""
        return self._uses.fences.device.to_host(self.frozen[frame % self.slots, ...])

    def copy_from(self, other: Plane, start: int, end: int) -> None:
        """See :class:`Plane`."""
        _ = other.array[...], self.array[...]  # what others do with the old frames is done first
        super().copy_from(other, start, end)
        self._uses.end(0, self.slots)


class Memory:
    """The data memory of one generation.

    Attributes
    ----------
    uses : Uses or None
        Of the participant whose memory this is (or of the ring itself), where a device works in it.
    """

    uses: Uses | None = None

    def __init__(self, generation: int, layout: Layout, backing: Backing) -> None:
        self.generation = generation
        self.layout = layout
        try:
            if backing.fences is not None:
                self.uses = Uses(backing.fences, layout.planes[0].slots)
            self.planes = {p.name: self._plane(p, _map(backing, p)) for p in layout.planes}
        finally:
            backing.close()
        self.data = self.planes[DATA]
        self.capacity = layout.capacity
        self.contiguous = layout.contiguous
        self.nringlet = layout.nringlet

    def _plane(self, layout: PlaneLayout, stretch: Stretch) -> Plane:
        if self.uses is None or layout.name != DATA:
            return Plane(layout, stretch)
        return GuardedPlane(layout, stretch, self.uses)

    def of_participant(self, *, holds: bool) -> "Memory":
        """The memory as one participant has it; others wait for it unless it is an observer."""
        if self.uses is None:
            return self
        mine = copy.copy(self)
        mine.uses = Uses(self.uses.fences, self.data.slots, holds=holds)
        data = copy.copy(self.data)
        if isinstance(data, GuardedPlane):
            data.serve(mine.uses)
        mine.data, mine.planes = data, {**self.planes, DATA: data}
        return mine

    def finish_reading(self) -> None:
        """Wait until this thread's stream has done what it was told to do with views, where there is one."""
        if self.uses is not None:
            self.uses.fences.device.stream().synchronize()

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
