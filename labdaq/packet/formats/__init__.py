"""The formats that labdaq brings, one file each, and how they are found by name.

A name may have a number of channels behind an underscore, ``chips_132``; beams stand before it, ``ibeam2_32``. For
``vdif_8224`` it is the bytes of a frame. With a number, packets of any other size are refused.
"""

import re
from collections.abc import Callable

from labdaq.errors import NotFoundError
from labdaq.packet.format import PacketFormat
from labdaq.packet.formats.chips import CHIPS
from labdaq.packet.formats.cor import COR
from labdaq.packet.formats.drx import DRX, DRX8
from labdaq.packet.formats.ibeam import ibeam
from labdaq.packet.formats.pbeam import pbeam
from labdaq.packet.formats.simple import SIMPLE
from labdaq.packet.formats.snap2 import SNAP2
from labdaq.packet.formats.tbf import TBF, TBX
from labdaq.packet.formats.tbn import TBN
from labdaq.packet.formats.vbeam import VBEAM
from labdaq.packet.formats.vdif import vdif

__all__ = ["find_format", "format_names", "register"]

_NAME = re.compile(r"([a-z][a-z0-9_]*?)(?:_(\d+))?")
_BEAMS = re.compile(r"(ibeam|pbeam)(\d*)")
_BY_BEAMS: dict[str, Callable[[int], PacketFormat]] = {"ibeam": ibeam, "pbeam": pbeam}
_formats = {f.name: f for f in (SIMPLE, CHIPS, COR, DRX, DRX8, TBN, TBF, TBX, VBEAM, SNAP2, vdif())}


def format_names() -> list[str]:
    """What :func:`find_format` knows, without numbers.

    Examples
    --------
    >>> "chips" in format_names()
    True
    """
    return sorted([*_formats, *_BY_BEAMS])


def register(packet_format: PacketFormat) -> PacketFormat:
    """Make a format known by its name; one of the same name is replaced. Returns it."""
    _formats[packet_format.name] = packet_format
    return packet_format


def find_format(name: str | PacketFormat) -> PacketFormat:
    """The format of a name such as ``tbn``, ``chips_132`` or ``ibeam2_32``.

    Raises
    ------
    NotFoundError
        When there is none; lists those there are.
    LayoutError
        When it takes no number, or not this one.

    Examples
    --------
    >>> find_format("chips_132").nbytes, find_format("tbn").nbytes, find_format("chips").nbytes
    (4240, 1048, None)
    """
    if isinstance(name, PacketFormat):
        return name
    if name in _formats:
        return _formats[name]
    match = _NAME.fullmatch(name)
    family, number = (match[1], match[2]) if match else (name, None)
    beams = _BEAMS.fullmatch(family)
    if beams:
        found = _BY_BEAMS[beams[1]](int(beams[2] or 1))
    elif family == "vdif" and number:
        return vdif(int(number))
    elif family in _formats:
        found = _formats[family]
    else:
        raise NotFoundError(f"no packet format {name!r}; there are: {', '.join(format_names())}")
    return found.sized(int(number)) if number else found
