"""What a packet format is: data, and a few small functions.

A packet is a header and a payload. The header is a NumPy dtype, which spells the byte order of each field out.
From it :attr:`PacketFormat.decode` takes the *sequence number*, which counts frames, and the *source*, which is one of
those that together make up a frame. Everything else has a default.
"""

import functools
import re
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.packet.layout import FrameLayout, elements

__all__ = ["Capturing", "PacketFormat", "Setup"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_VALUES = 8


class Capturing(NamedTuple):
    """What the capture knows, for a ``decode`` that takes it as its second argument."""

    nsrc: int
    """How many sources it expects."""
    src0: int
    """The number of the first of them."""
    nbytes: int
    """Bytes of this packet's payload."""
    rate: int
    """What was learnt or given for formats whose packets do not say it; else 0."""


class Setup(Mapping[str, Any]):
    """What a sequence is: fields of its first packet and what follows from them, by name or as attributes.

    Always there: ``seq0`` and ``time_tag`` of the first frame, ``nsrc``, ``src0``, ``nbytes`` of a payload.

    Examples
    --------
    >>> setup = Setup({"seq0": 7, "chan0": 1200})
    >>> setup.chan0, setup["seq0"], "nchan" in setup
    (1200, 7, False)
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"this sequence has no {name!r}; it has {', '.join(self)}") from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Setup({', '.join(f'{name}={value}' for name, value in self.items())})"


@dataclass(frozen=True)
class PacketFormat:
    """How packets are laid out, what they say, and how they are put together.

    Parameters
    ----------
    name
        Lower case.
    header
        Fields with their byte order, such as ``[("seq", ">u8"), ("id", "u1")]``. `decode` gets the integer ones, as
        64-bit integers; ids of some bits are for it to mask and shift.
    decode
        ``decode(h)`` or ``decode(h, c)`` with the header and :class:`Capturing`, in the language of numba. It
        returns the sequence number and the source, then the values that `setup` and `by_source` name, where
        these are no fields of the header. A negative sequence number says that this is no such packet. With one
        argument `src0` is taken off the source; with two, that is for `decode` to do.
    payload
        Bytes of the payload: a number, or a function of the header (compiled too); None: whatever comes.
    samples
        The type of the elements of the payload, as in :class:`labdaq.ring.Tensor`.
    setup
        Names of values that are the same for all packets of a sequence; when one changes, a new one begins.
    by_source
        The same for values which each source has for itself.
    layout
        ``layout(setup)``: the frame. By default payload after payload, ``(source, sample)``.
    clock
        ``clock(setup)``: the time tag of the packet that it was made of, and ticks from frame to frame. By default
        both follow the sequence number.
    describe
        ``describe(setup)``: further values by name.
    fill
        ``fill(header, out)`` for writing: sets the fields of an array of headers, see
        :class:`labdaq.packet.writing.Outgoing`.
    learn
        ``learn(headers, sources)`` for formats that need more than one packet: the rate, or 0 if it is not known yet.
    begin
        Where the payload begins, a function of the header (compiled); by default behind it.
    ticks_per_second
        Of the time tags that `clock` gives; 0: they do not count time.
    survey
        ``survey(headers)``: how many sources there are and the number of the first, from an array of headers, where
        `decode` cannot tell without knowing.
    unit
        Bytes of payload for each of the channels in a name like ``chips_132``; 0: names take no number.
    count
        The field of the header that holds this number, if there is one: it must be the same then.
    is_alone
        There is only one source, whatever is asked for.
    source
        Where the format is specified.

    Examples
    --------
    >>> header = np.dtype([("seq", ">u8"), ("id", ">u2")])
    >>> def decode(h):
    ...     return h.seq, h.id & 0xFF
    >>> adc = PacketFormat("adc", header, decode, payload=1024, samples="ci8")
    >>> adc.nbytes
    1034

    Raises
    ------
    LayoutError
        For headers without integer fields, unknown types, or names that do not exist.
    """

    name: str
    header: np.dtype[Any]
    decode: Callable[..., Any]
    payload: int | Callable[[Any], int] | None = None
    samples: str = "uint8"
    setup: tuple[str, ...] = ()
    by_source: tuple[str, ...] = ()
    layout: Callable[[Setup], FrameLayout] | None = None
    clock: Callable[[Setup], tuple[int, int]] | None = None
    describe: Callable[[Setup], dict[str, Any]] | None = None
    fill: Callable[[Any, Any], None] | None = None
    learn: Callable[[NDArray[Any], NDArray[Any]], int] | None = None
    begin: Callable[[Any], int] | None = None
    ticks_per_second: int = 0
    survey: Callable[[NDArray[Any]], tuple[int, int]] | None = None
    unit: int = 0
    count: str = ""
    is_alone: bool = False
    source: str = ""
    number: int | None = None
    """The number of a name such as ``chips_132``."""
    fields: tuple[str, ...] = field(init=False, default=())
    """The integer fields of the header."""

    def __post_init__(self) -> None:
        header = np.dtype(self.header)
        if not _NAME.fullmatch(self.name):
            raise LayoutError(f"format {self.name!r}: names are lower case letters, digits and _, a letter first")
        fields = tuple(n for n in header.names or () if header[n].kind in "iu" and not header[n].shape)
        if not fields:
            raise LayoutError(f"format {self.name!r}: header {header} has no integer fields with names")
        elements(1, self.samples)  # which refuses what is no type
        if len(self.values) > _MOST_VALUES:
            raise LayoutError(f"format {self.name!r}: {len(self.values)} values of setup; {_MOST_VALUES} at most")
        object.__setattr__(self, "header", header)
        object.__setattr__(self, "fields", fields)

    @property
    def values(self) -> tuple[str, ...]:
        """What `setup` and `by_source` name, in this order."""
        return (*self.setup, *self.by_source)

    @property
    def nbytes(self) -> int | None:
        """Bytes of a packet, or None when each says it for itself."""
        return self.header.itemsize + self.payload if isinstance(self.payload, int) else None

    @property
    def full_name(self) -> str:
        """With the number, such as ``chips_132``."""
        return self.name if self.number is None else f"{self.name}_{self.number}"

    def sized(self, number: int) -> "PacketFormat":
        """The format with a number of channels, as in ``chips_132``.

        Raises
        ------
        LayoutError
            When names of this format take no number, or it is not positive.
        """
        if not (self.unit or self.count) or not 0 < number < 1 << 16:
            reason = "1 to 65535 channels" if self.unit or self.count else "no number: its packets are all of one size"
            raise LayoutError(f"format {self.name}_{number}: {self.name} takes {reason}")
        return replace(self, number=number, payload=self.unit * number if self.unit else self.payload)

    def header_of(self, packet: Any) -> Any:
        """The integer fields of a packet's header, as attributes."""
        record = np.frombuffer(packet, self.header, 1)[0]
        return self.header_tuple()(*(_signed(int(record[name])) for name in self.fields))

    def header_tuple(self) -> Any:
        """The type of what `decode` gets."""
        return _header_tuple(self.fields)

    def layout_of(self, setup: Setup) -> FrameLayout:
        """The frame of a sequence.

        Raises
        ------
        LayoutError
            When payloads and frame do not fit together.
        """
        if self.layout is None:
            count = elements(setup.nbytes, self.samples)
            found = FrameLayout.by_source(setup.nsrc, self.samples, (count,), ("sample",))
        else:
            found = self.layout(setup)
        if found.payload_nbytes != setup.nbytes or not found.fits(setup.nsrc):
            raise LayoutError(
                f"format {self.full_name!r}: payloads of {setup.nbytes} bytes from {setup.nsrc} sources do not fill "
                f"frames of {found.tensor.shape} {found.tensor.dtype}: is nsrc right?"
            )
        return found


@functools.cache
def _header_tuple(names: tuple[str, ...]) -> Any:
    return namedtuple("Header", names)  # noqa: PYI024 - fields are known only now


def _signed(value: int) -> int:
    """As compiled code sees 64 bits."""
    return value - (1 << 64) if value >= 1 << 63 else value
