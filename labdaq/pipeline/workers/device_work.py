"""Workers that use a GPU: on a stream of their own, with arrays that are there."""

import contextlib
from contextlib import ExitStack
from typing import Any

from labdaq.native.cuda import Device, is_on_device
from labdaq.pipeline.workers.outlets import Outlet
from labdaq.pipeline.workers.plan import WorkerPlan
from labdaq.ring.copying import copy_frames
from labdaq.ring.spaces import space_named

__all__ = ["Copying", "EventThere", "Passing", "device_of_plan", "own_stream"]


class Passing:
    """Copies the events of one ring into another, whose memory is elsewhere: the work of ``daq.copy``."""

    __name__ = "copy"

    def __call__(self, event: Any) -> bool:  # noqa: ARG002
        """Pass everything on."""
        return True


def device_of_plan(plan: WorkerPlan) -> Device | None:
    """The device on which a worker works, because it says so or because of its rings; None for the processor."""
    if plan.options.get("space", "system") != "system":
        return space_named(plan.options["space"]).device
    return next((ring.device for ring in (*plan.reads, *plan.writes) if ring.device is not None), None)


def own_stream(stack: ExitStack, device: Device | None) -> None:
    """Let this thread work on a new stream from now on."""
    stack.enter_context(contextlib.nullcontext() if device is None else device.new_stream())


class EventThere:
    """An event whose data are on a device; all else is that of the event.

    Parameters
    ----------
    event
        Of a ring in any memory.
    device
        Where to.
    """

    def __init__(self, event: Any, device: Device) -> None:
        self._event, self._device = event, device
        self._data: Any = None

    @property
    def data(self) -> Any:
        """The frame: in the ring if that is on the device, else a copy there."""
        if self._data is None:
            here = self._event.data
            self._data = here if is_on_device(here) else self._device.to_device(here)
        return self._data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)


class Copying:
    """A function of an event that copies it into a ring, on this thread's stream, which nobody waits for.

    Where one of the rings is in ordinary memory, it waits for the copy: there nobody could be told to.
    """

    def __init__(self, outlet: Outlet, source: Any, device: Device | None, accepted: int) -> None:
        self._outlet, self._device, self._accepted = outlet, device, accepted
        self._planes = [name for name in source.planes if name in outlet.ring.planes]

    def __call__(self, event: Any) -> int:
        """Copy one; what became of it."""
        with self._outlet.reserved(event) as copied:
            for name in self._planes:
                if name not in {"counter", "timestamp_ns", "deadtime", *self._outlet.planes}:
                    copied.set_plane(name, event.plane(name))
            there = self._outlet.writer._memory
            copy_frames(event._memory, event.index, there, copied.index, 1, self._device)
        return self._accepted
