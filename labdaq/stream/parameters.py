"""What a stream is: everything that both ends have to agree on, checked where it is said and where it arrives."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from labdaq.errors import DataError, LabdaqError, LayoutError
from labdaq.stream import layouts
from labdaq.stream.compression import CODECS

__all__ = ["POLICIES", "PROTOCOLS", "TRANSFERMODES", "StreamParameters"]

PROTOCOLS = ("tcp", "ipc", "inproc")
TRANSFERMODES = ("plaindata", "sharedmem")
POLICIES = ("block", "drop_oldest", "drop_newest", "error")
_REASONS = {
    "udp": "datagrams get lost without anybody knowing, and end at 64 KiB; use 'tcp', or labdaq.packet for instruments"
}


@dataclass(frozen=True)
class StreamParameters:
    """The parameters of a stream, as `OutputStream.configure` takes them.

    Raises
    ------
    LayoutError
        For a value that is not possible, or that does not go with another.

    Examples
    --------
    >>> StreamParameters(dtype="i2", shape=(-1, 4)).row_nbytes
    8
    """

    protocol: str = "tcp"
    """``tcp``, ``ipc`` (processes of this machine and user) or ``inproc`` (threads of this process)."""
    transfermode: str = "plaindata"
    """``plaindata``: through the socket. ``sharedmem``: through a labdaq ring that both ends have in memory."""
    dtype: Any = "float32"
    """Of a sample's values: numbers, times, sized texts, structures of them."""
    shape: tuple[int, ...] | None = None
    """Of chunks, time first: -1 there, or the one number of samples that all have. None: as sent first."""
    streamtype: str = "analogsignal"
    """A label: ``analogsignal``, ``digitalsignal``, ``event``, ``video``, or your own."""
    sample_rate: float = 1.0
    """Samples per second."""
    units: str = ""
    """Of the values, after scale and offset."""
    scale: float | None = None
    offset: float | None = None
    """Readers get ``scale * value + offset`` in float64, unless they ask for raw values."""
    fill: Any = None
    """Stands where samples are missing; NaN, NaT or 0 by default."""
    compression: str = ""
    """On the wire: ``zlib``, ``lz4``, ``zstd``, ``blosc-lz4``, ``blosc-zstd``, or ``bits`` for booleans."""
    policy: str = "block"
    """What becomes of chunks that a reader is too slow for: ``block``, ``drop_oldest``, ``drop_newest``, ``error``."""
    window: int = 256
    """So many chunks may be on their way to a reader."""
    window_nbytes: int = 64 << 20
    """So many bytes may be on their way to a reader; a single chunk may have more."""
    buffer_size: int = 0
    """Samples in the memory of ``sharedmem``; 0: as many as 16 MiB hold, and at least 1024."""
    min_chunk: int = 0
    """Samples that are collected before a chunk is sent; 0: what is given is sent."""
    max_delay: float | None = None
    """Seconds after which fewer than ``min_chunk`` are sent; None: they wait."""
    max_chunk_nbytes: int = 1 << 30
    """A larger chunk is refused on both sides."""
    name: str = ""
    """By which `InputStream.connect` finds it on this machine."""
    channels: tuple[str, ...] = ()
    """Names of the channels."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else readers should know; JSON values."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "dtype", layouts.checked_dtype(self.dtype))
        put(self, "shape", layouts.checked_shape(self.shape))
        put(self, "channels", tuple(str(channel) for channel in self.channels))
        put(self, "annotations", dict(self.annotations))
        _one_of("protocol", self.protocol, PROTOCOLS)
        _one_of("transfermode", self.transfermode, TRANSFERMODES)
        _one_of("policy", self.policy, POLICIES)
        _one_of("compression", self.compression, tuple(CODECS))
        for name, least in _WHOLE.items():
            put(self, name, _whole(name, getattr(self, name), least))
        for name in ("sample_rate", "scale", "offset", "max_delay"):
            put(self, name, _number(name, getattr(self, name), positive=name in {"sample_rate", "max_delay"}))
        self._check_together()

    def _check_together(self) -> None:
        if self.sample_rate is None:
            raise LayoutError("sample_rate=None: samples per second")
        if self.is_scaled and self.dtype.kind not in "buif":
            raise LayoutError(f"scale and offset are for numbers, and the values are {self.dtype}")
        if self.compression == "bits" and self.dtype != np.dtype(bool):
            raise LayoutError(f"compression='bits' packs booleans, and the values are {self.dtype}")
        if self.compression and self.transfermode == "sharedmem":
            raise LayoutError("compression is for the wire: there is none in memory that is shared")
        if self.transfermode == "sharedmem" and self.dtype.kind == "V" and self.dtype.names is None:
            raise LayoutError(f"sharedmem holds values, and {self.dtype} are bytes without meaning")
        layouts.fill_value(self.dtype, self.fill)
        if self.shape is not None and self.row_nbytes > self.max_chunk_nbytes:
            raise LayoutError(f"one sample has {self.row_nbytes} bytes; max_chunk_nbytes is {self.max_chunk_nbytes}")

    @property
    def is_scaled(self) -> bool:
        """Whether values are to be scaled or shifted."""
        return self.scale is not None or self.offset is not None

    @property
    def is_fixed(self) -> bool:
        """Whether the shape is known."""
        return self.shape is not None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.shape[1:] if self.shape else ()

    @property
    def row_nbytes(self) -> int:
        """Bytes of one sample."""
        return int(self.dtype.itemsize) * math.prod(self.row_shape)

    @property
    def schema(self) -> int:
        """The hash of dtype and shape in each chunk."""
        return layouts.schema_hash(self.dtype, self.shape or (-1,))

    def changed(self, **values: Any) -> "StreamParameters":
        """The same with some other values.

        Raises
        ------
        LayoutError
            For names that are no parameters; other things belong into ``annotations``.
        """
        known = {one.name for one in fields(self)}
        if unknown := sorted(set(values) - known):
            raise LayoutError(
                f"no such parameter: {', '.join(unknown)}; there are {', '.join(sorted(known))}. "
                "What else readers should know goes into annotations={...}"
            )
        try:
            return replace(self, **values)
        except (TypeError, ValueError) as error:
            if isinstance(error, LabdaqError):
                raise
            raise LayoutError(f"parameters {values!r:.200} are not possible: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """As they travel in the handshake.

        Examples
        --------
        >>> parameters = StreamParameters(dtype="i2", shape=(-1, 3), units="mV")
        >>> StreamParameters.from_json(parameters.to_json()) == parameters
        True
        """
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values["dtype"] = layouts.dtype_to_json(self.dtype)
        fill = self.fill
        values["fill"] = None if fill is None or fill != fill else np.asarray(fill)[()].item()  # noqa: PLR0124 - NaN
        return values

    @classmethod
    def from_json(cls, values: Any) -> "StreamParameters":
        """The parameters that a sender told.

        Raises
        ------
        DataError
            When they are damaged, or not possible. Names of a newer labdaq are passed over.
        """
        if not isinstance(values, dict):
            raise DataError(f"parameters are an object, not {values!r:.60}")
        known = {one.name for one in fields(cls)}
        try:
            dtype = layouts.dtype_from_json(values.get("dtype"))
            return cls(**{**{name: value for name, value in values.items() if name in known}, "dtype": dtype})
        except (TypeError, ValueError) as error:
            raise DataError(f"a stream with parameters that are not possible: {error}") from error


_WHOLE = {"window": 2, "window_nbytes": 1, "buffer_size": 0, "min_chunk": 0, "max_chunk_nbytes": 1}


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        reason = _REASONS.get(value, "") if isinstance(value, str) else ""
        raise LayoutError(f"{name}={value!r}: there are {', '.join(map(repr, allowed))}{reason and '; ' + reason}")


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 1 << 62:
        raise LayoutError(f"{name}={value!r}: a whole number of at least {least}")
    return int(value)


def _number(name: str, value: Any, *, positive: bool) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise LayoutError(f"{name}={value!r}: a finite number")
    if positive and value <= 0:
        raise LayoutError(f"{name}={value!r}: a number above 0")
    return float(value)
