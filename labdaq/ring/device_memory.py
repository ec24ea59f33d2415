"""Rings for GPUs: frames in the memory of a device, or in memory of the processor that the device reaches by itself.

Only the frames are there. The control block, the planes (counters, time stamps, masks …) and the flags are in ordinary
memory, where compiled steps and people look at them. The frames are one allocation, taken when the ring gets its size.
Such memory cannot be mapped twice: a span over the wrap has two parts, and its `data` is a copy of both, which a writer
copies back when it commits. A capacity that is a multiple of all spans never wraps.
"""

import os
from collections.abc import Callable
from typing import Any

from labdaq.errors import ClosedError, LayoutError
from labdaq.native import mapping
from labdaq.native.cuda import Device, is_on_device
from labdaq.native.mapping import Mapping
from labdaq.ring.fences import Fences, Uses

__all__ = ["DeviceSpace", "Guarded", "GuardedViews"]


class Guarded:
    """The frames of a participant. To take a view of some is to wait for those who work on them.

    Parameters
    ----------
    array
        All the slots.
    uses
        Of the participant.
    slots
        How many there are.
    writing, on_host, rows_last
        What views are for, who works with them, and whether slots are the second axis (ringlets).
    """

    def __init__(self, array: Any, uses: Uses, slots: int, *, writing: bool, on_host: bool, rows_last: bool) -> None:
        self._array, self._uses, self._slots = array, uses, slots
        self._writing, self._on_host, self._rows_last = writing, on_host, rows_last

    def _await(self, key: Any, *, on_host: bool) -> None:
        row = key[self._rows_last] if type(key) is tuple else key
        if type(row) is slice:
            begin, end = row.start or 0, self._slots if row.stop is None else row.stop
        elif row is Ellipsis:
            begin, end = 0, self._slots
        else:
            begin, end = int(row), int(row) + 1
        self._uses.begin(begin, end, writing=self._writing, on_host=on_host)

    def __getitem__(self, key: Any) -> Any:
        self._await(key, on_host=self._on_host)
        return self._array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Copy one frame in, from here or there."""
        on_host = self._on_host and not is_on_device(value)
        self._await(key, on_host=on_host)
        if on_host:
            self._array[key] = value
        else:
            device = self._uses.fences.device
            source = value if is_on_device(value) else device.to_device(value)  # the caller may change it at once
            device.copy(self._array[(key, ...) if isinstance(key, int) else key], source)


class GuardedViews:
    """The ways of one participant into the frames: for writing, for reading, and both by its stream."""

    def __init__(self, array: Any, uses: Uses, slots: int, *, rows_last: bool) -> None:
        def views(*, writing: bool, on_host: bool) -> Any:
            return Guarded(array, uses, slots, writing=writing, on_host=on_host, rows_last=rows_last)

        on_host = uses.fences.on_host
        self.array, self.frozen = views(writing=True, on_host=on_host), views(writing=False, on_host=on_host)
        self.streamed = views(writing=False, on_host=False), views(writing=True, on_host=False)
        """Readable, writable."""


class _Frames:
    """The stretch of the frames."""

    def __init__(self, memory: Any, lanes: int) -> None:
        self._memory = memory
        self.address = 0  # compiled code has no business here
        self.lane_stride = len(memory) // lanes

    def bytes(self) -> Any:
        return self._memory


class _DeviceBacking:
    """Frames where the space has them, everything else in ordinary memory."""

    fences: Fences | None

    def __init__(self, fences: Fences) -> None:
        self.fences, self._device, self._on_host = fences, fences.device, fences.on_host

    def map(self, offset: int, nbytes: int, *, lanes: int, mirrored: bool) -> Any:
        if offset:
            return _host(nbytes, lanes=lanes, mirrored=mirrored)
        return _Frames((self._device.allocate_pinned if self._on_host else self._device.allocate)(nbytes), lanes)

    def close(self) -> None:
        """Nothing to do."""


def _host(nbytes: int, *, lanes: int = 1, mirrored: bool = False) -> Mapping:
    descriptor = mapping.anonymous_file(nbytes)
    try:
        return Mapping(descriptor, 0, nbytes, lanes=lanes, mirrored=mirrored)
    finally:
        os.close(descriptor)


class DeviceSpace:
    """Memory for a device, in this process.

    Parameters
    ----------
    name
        Of the space.
    device
        Makes the device when the first ring is made, and says what is missing.
    on_host
        Pinned memory of the processor instead of memory of the device.
    """

    is_private = True
    can_mirror = False

    def __init__(self, name: str, device: Callable[[], Device], *, on_host: bool) -> None:
        self.name = name
        self._device = device
        self.is_seen_on_host = on_host

    @property
    def device(self) -> Device:
        """Whose memory it is. See :class:`labdaq.native.cuda.CupyDevice` for what is raised."""
        return self._device()

    def new_block(self, nbytes: int) -> tuple[str, Mapping]:
        """See :class:`labdaq.ring.spaces.MemorySpace`."""
        _ = self.device  # before anything is made
        return mapping.new_token(), _host(nbytes)

    def open_block(self, token: str) -> Mapping:  # noqa: ARG002
        """See :class:`labdaq.ring.spaces.MemorySpace`."""
        raise LayoutError(
            f"a ring of space {self.name!r} belongs to the process that made it: copy it to one of space='shared' to "
            "use it in others"
        )

    def is_there(self, token: str) -> bool:  # noqa: ARG002
        """See :class:`labdaq.ring.spaces.MemorySpace`."""
        return True

    def new_data(self, token: str, generation: int, nbytes: int) -> _DeviceBacking:  # noqa: ARG002
        """See :class:`labdaq.ring.spaces.MemorySpace`."""
        return _DeviceBacking(Fences(self.device, on_host=self.is_seen_on_host))

    def open_data(self, token: str, generation: int) -> _DeviceBacking:  # noqa: ARG002
        """See :class:`labdaq.ring.spaces.MemorySpace`."""
        raise ClosedError(f"data memory {generation} of this ring belongs to another process")

    def remove(self, token: str, generation: int | None = None) -> None:
        """Nothing to do: the memory goes with its last user."""
