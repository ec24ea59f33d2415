"""How the data memory of a ring is divided: one stretch for the frames and one for each plane.

A layout is a plain description. It is worked out once, by whoever makes or resizes the ring, and written
into the control block, where other processes read it.
"""

import ast
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from labdaq.errors import LayoutError
from labdaq.native.mapping import PAGE

__all__ = ["DATA", "EVENT_PLANES", "FLAGS_PLANE", "Layout", "PlaneLayout", "checked_dtype"]

DATA = "data"
FLAGS_PLANE = ".flags"  # one byte per frame of a typed ring: was it ever filled?
EVENT_PLANES = {"counter": "<i8", "timestamp_ns": "<i8", "deadtime": "<f8"}
_SMALL_NBYTES = 1 << 24


def checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """A dtype whose values live in the frame itself.

    Raises
    ------
    LayoutError
        For Python objects, and for frames of no bytes.
    """
    try:
        result = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:  # NumPy reads some texts as Python
        raise LayoutError(f"{dtype!r} is no NumPy dtype: {error}") from error
    if result.hasobject:
        raise LayoutError(f"a ring holds plain values, and {result} holds Python objects: name a numeric dtype")
    if result.itemsize == 0:
        raise LayoutError(f"{result} has no size: give text and void dtypes a length, such as 'S16'")
    return result


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape of positive extents."""
    extents = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if any(int(n) != n or n < 1 for n in extents):
        raise LayoutError(f"shape {shape!r}: every extent of a frame must be a whole number of at least 1")
    return tuple(int(n) for n in extents)


def is_users(plane: str) -> bool:
    """Whether a plane goes along with the frames, and is not the frames themselves or one of the engine's."""
    return plane != DATA and not plane.startswith(".")


def checked_plane_name(name: Any) -> str:
    """A name that users may give to a plane.

    Raises
    ------
    LayoutError
        For the names that rings themselves use.
    """
    if not isinstance(name, str) or not name or not is_users(name):
        raise LayoutError(f"plane {name!r}: choose another name, which is text and does not begin with a dot")
    return name


def checked_plane(kind: Any, rows: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """A plane from its dtype, or from (dtype, shape), with so many rows."""
    dtype, shape = kind if isinstance(kind, tuple) and len(kind) == 2 else (kind, ())
    return checked_dtype(dtype), checked_shape(shape), rows


@dataclass(frozen=True)
class PlaneLayout:
    """One stretch of the data memory: ``slots`` frames, in ``lanes`` lanes, mirrored or not."""

    name: str
    descr: Any
    """The dtype, as :func:`numpy.lib.format.dtype_to_descr` describes it."""
    shape: tuple[int, ...]
    slots: int
    """Frames that the memory holds; at least the capacity. Frame i is at slot i modulo this."""
    offset: int
    nbytes: int
    lanes: int = 1
    is_mirrored: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of one value."""
        return np.lib.format.descr_to_dtype(self.descr)

    @property
    def frame_nbytes(self) -> int:
        """Size of one frame in one lane."""
        return self.dtype.itemsize * math.prod(self.shape)


def plan_plane(
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    frames: int,
    offset: int,
    *,
    lanes: int,
    can_mirror: bool,
) -> PlaneLayout:
    """Place a plane that holds at least ``frames`` frames.

    A mirrored stretch must be whole pages, so odd frame sizes need more slots than frames; where that
    would waste much memory, the stretch is not mirrored and spans may wrap.
    """
    frame_nbytes = dtype.itemsize * math.prod(shape)
    step = PAGE // math.gcd(frame_nbytes, PAGE)
    slots = -(-frames // step) * step
    wanted = frames * frame_nbytes
    is_mirrored = can_mirror and slots * frame_nbytes <= max(4 * wanted, wanted + _SMALL_NBYTES)
    if not is_mirrored:
        slots = frames
    nbytes = -(-slots * frame_nbytes // PAGE) * PAGE * lanes
    return PlaneLayout(name, np.lib.format.dtype_to_descr(dtype), shape, slots, offset, nbytes, lanes, is_mirrored)


@dataclass(frozen=True)
class Layout:
    """The whole data memory of a ring."""

    capacity: int
    contiguous: int
    nringlet: int
    planes: tuple[PlaneLayout, ...] = field(default=())

    @classmethod
    def plan(
        cls,
        capacity: int,
        contiguous: int,
        frame: tuple[np.dtype[Any], tuple[int, ...]],
        planes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...], int]],
        *,
        nringlet: int = 1,
        can_mirror: bool = True,
    ) -> "Layout":
        """Lay out frames and planes, one after the other.

        Parameters
        ----------
        planes
            By name: dtype, shape of one row, and the number of rows that must fit.
        """
        data = plan_plane(DATA, *frame, capacity, 0, lanes=nringlet, can_mirror=can_mirror)
        stretches = [data]
        for name, (dtype, shape, rows) in planes.items():
            offset = stretches[-1].offset + stretches[-1].nbytes
            mirror = can_mirror and name != FLAGS_PLANE
            stretches.append(plan_plane(name, dtype, shape, rows, offset, lanes=1, can_mirror=mirror))
        return cls(capacity, contiguous, nringlet, tuple(stretches))

    @property
    def nbytes(self) -> int:
        """Size of the data memory."""
        return sum(plane.nbytes for plane in self.planes)

    @property
    def by_name(self) -> dict[str, PlaneLayout]:
        """The stretches by their names."""
        return {plane.name: plane for plane in self.planes}

    def to_text(self) -> str:
        """A Python literal. JSON would lose the tuples of structured dtypes."""
        return repr(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Layout":
        """Read what :meth:`to_text` wrote. Only literals are accepted: nothing is executed."""
        fields = ast.literal_eval(text)
        planes = tuple(PlaneLayout(**plane) for plane in fields.pop("planes"))
        return cls(planes=planes, **fields)


def standard_planes(
    is_events: bool, is_typed: bool, capacity: int
) -> dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]:
    """The planes that every ring of a kind has: event metadata, flags."""
    names = EVENT_PLANES if is_events else {}
    planes: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] = {
        name: (np.dtype(descr), (), capacity) for name, descr in names.items()
    }
    if is_typed:
        planes[FLAGS_PLANE] = (np.dtype("u1"), (), capacity)
    return planes
