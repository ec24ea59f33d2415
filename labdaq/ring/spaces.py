"""Where the memory of a ring lives.

A space makes and opens two things: control blocks, always on the host, and data memory, which may be
anywhere its arrays can reach. A new kind of memory is one class with these methods, entered in `SPACES`;
`labdaq.testing.RingTests` is its contract.
"""

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import ClosedError, LayoutError
from labdaq.native import mapping
from labdaq.native.cuda import Device, cuda_device
from labdaq.native.mapping import Mapping
from labdaq.ring.device_memory import DeviceSpace
from labdaq.ring.fences import Fences

__all__ = ["SPACES", "Backing", "MemorySpace", "Stretch", "space_named"]


class Stretch(Protocol):
    """A part of the data memory that arrays can be made of."""

    address: int
    lane_stride: int

    def bytes(self) -> NDArray[np.uint8]:
        """All lanes (and their mirror images) as one array of bytes, which keeps the memory alive."""


class Backing(Protocol):
    """Data memory of one generation, before it is divided."""

    fences: Fences | None
    """By which those wait for each other who work in it on streams of a device; None where nobody does."""

    def map(self, offset: int, nbytes: int, *, lanes: int, mirrored: bool) -> Stretch:
        """The stretch at an offset."""

    def close(self) -> None:
        """No further stretches are wanted; those that exist stay."""


class MemorySpace(Protocol):
    """A kind of memory."""

    name: str
    is_private: bool
    """Only this process can use it."""
    can_mirror: bool

    @property
    def device(self) -> Device | None:
        """Which works in it beside the processor."""

    def new_block(self, nbytes: int) -> tuple[str, Mapping]:
        """Memory for a control block, and the token by which other processes find the ring."""

    def open_block(self, token: str) -> Mapping:
        """The control block of a ring made by another process."""

    def is_there(self, token: str) -> bool:
        """Whether other processes can still find the ring."""

    def new_data(self, token: str, generation: int, nbytes: int) -> Backing:
        """Data memory, taken and touched, so that later use neither fails nor is slow at first."""

    def open_data(self, token: str, generation: int) -> Backing:
        """Data memory made by another process."""

    def remove(self, token: str, generation: int | None = None) -> None:
        """Forget one generation of data, or (None) the whole ring. Those who have it mapped keep it."""


class _File:
    """Data memory behind a file descriptor."""

    fences: Fences | None = None

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def map(self, offset: int, nbytes: int, *, lanes: int, mirrored: bool) -> Mapping:
        return Mapping(self._descriptor, offset, nbytes, lanes=lanes, mirrored=mirrored)

    def close(self) -> None:
        os.close(self._descriptor)


def _map_block(descriptor: int, nbytes: int) -> Mapping:
    try:
        return Mapping(descriptor, 0, nbytes)
    finally:
        os.close(descriptor)


class SystemSpace:
    """Memory of this process."""

    name = "system"
    device: Device | None = None
    is_private = True
    can_mirror = mapping.CAN_MIRROR

    def new_block(self, nbytes: int) -> tuple[str, Mapping]:
        return mapping.new_token(), _map_block(mapping.anonymous_file(nbytes), nbytes)

    def open_block(self, token: str) -> Mapping:  # noqa: ARG002
        raise LayoutError(
            "a ring of space 'system' belongs to the process that made it: make it with space='shared' to "
            "use it in others"
        )

    def is_there(self, token: str) -> bool:  # noqa: ARG002
        return True

    def new_data(self, token: str, generation: int, nbytes: int) -> _File:  # noqa: ARG002
        return _File(mapping.anonymous_file(nbytes))

    def open_data(self, token: str, generation: int) -> _File:  # noqa: ARG002
        raise ClosedError(f"data memory {generation} of this ring belongs to another process")

    def remove(self, token: str, generation: int | None = None) -> None:
        """Nothing to do: the memory goes with its last user."""


class SharedSpace:
    """Memory that any process of this user on this machine can attach to."""

    name = "shared"
    device: Device | None = None
    is_private = False
    can_mirror = mapping.CAN_MIRROR

    def new_block(self, nbytes: int) -> tuple[str, Mapping]:
        token = mapping.new_token()
        return token, _map_block(mapping.shared_file(f"{token}.ring", nbytes), nbytes)

    def open_block(self, token: str) -> Mapping:
        try:
            descriptor = mapping.open_file(f"{token}.ring")
        except FileNotFoundError as error:
            raise ClosedError(f"the ring {token} is gone: its last user closed it") from error
        return _map_block(descriptor, os.fstat(descriptor).st_size)

    def is_there(self, token: str) -> bool:
        return (mapping.folder() / f"{token}.ring").exists()

    def new_data(self, token: str, generation: int, nbytes: int) -> _File:
        mapping.remove(f"{token}.{generation}")  # left by one who died while resizing
        return _File(mapping.shared_file(f"{token}.{generation}", nbytes))

    def open_data(self, token: str, generation: int) -> _File:
        return _File(mapping.open_file(f"{token}.{generation}"))

    def remove(self, token: str, generation: int | None = None) -> None:
        if generation is not None:
            mapping.remove(f"{token}.{generation}")
            return
        mapping.remove(f"{token}.ring")
        for path in mapping.folder().glob(f"{token}.*"):
            mapping.remove(path.name)


SPACES: dict[str, MemorySpace] = {
    space.name: space
    for space in (
        SystemSpace(),
        SharedSpace(),
        DeviceSpace("cuda", cuda_device, on_host=False),
        DeviceSpace("cuda_host", cuda_device, on_host=True),
    )
}


def space_named(name: str) -> MemorySpace:
    """The space with a name.

    Raises
    ------
    LayoutError
        When there is none; the message lists those there are.
    """
    try:
        return SPACES[name]
    except KeyError:
        raise LayoutError(f"no space {name!r}; there are: {', '.join(sorted(SPACES))}") from None
