"""Packets into rings, with callbacks that write through pointers."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

from labdaq import packet
from labdaq.compat.bifrost.ring import engine_of
from labdaq.errors import LayoutError
from labdaq.native.pointers import bytes_at
from labdaq.packet import CaptureStatus, PacketFormat, Setup, find_format

__all__ = ["CaptureStatus", "DiskReader", "PacketCaptureCallback", "Pointer", "UDPCapture", "UDPSniffer"]

_Function = Callable[..., Any]


def _arguments_of_vdif(s: Setup) -> tuple[Any, ...]:
    kind = (s.nbits, s.is_complex, s.nsrc)
    return (s.seq0, s.time_tag, s.ref_epoch, int(s.sample_rate_hz), s.nchan, *kind)


# What callbacks of each format are given before the pointers.
_ARGUMENTS: dict[str, Callable[[Setup], tuple[Any, ...]]] = {
    "simple": lambda s: (s.seq0, 0, 0, s.nsrc),
    "chips": lambda s: (s.seq0, s.chan0, s.nchan, s.nsrc),
    "ibeam": lambda s: (s.seq0, s.chan0, s.nchan * s.nsrc, s.nbeam),
    "pbeam": lambda s: (s.seq0, s.time_tag, s.navg, s.chan0, s.nchan * s.nsrc // max(s.nbeam, 1), s.nbeam),
    "cor": lambda s: (s.seq0, s.time_tag, s.chan0, s.nchan * s.nserver, s.navg, s.nsrc // max(s.nserver, 1)),
    "tbn": lambda s: (s.seq0, s.time_tag, s.decimation, s.tuning, s.nsrc),
    "drx": lambda s: (s.seq0, s.time_tag, s.decimation, s.tuning, s.tuning1, s.nsrc),
    "drx8": lambda s: (s.seq0, s.time_tag, s.decimation, s.tuning, s.tuning1, s.nsrc),
    "snap2": lambda s: (s.seq0, s.chan0, s.nchan, s.nsrc),
    "vdif": _arguments_of_vdif,
}
# Those that say the time tag themselves, and what it is if they do not.
_TIME_TAGS: dict[str, Callable[[Setup], int]] = {
    "simple": lambda s: s.time_tag,
    "chips": lambda s: s.time_tag,
    "ibeam": lambda s: s.time_tag,
    "snap2": lambda s: s.sync_time,
}


class Pointer:
    """A place that callbacks write to: ``pointer[0] = value``, as through a pointer of ``ctypes``.

    Examples
    --------
    >>> pointer = Pointer(0)
    >>> pointer[0] = 20
    >>> pointer[0], pointer.contents
    (20, 20)
    """

    def __init__(self, value: Any) -> None:
        self.contents = value

    def _check(self, index: int) -> None:
        if index != 0:
            raise LayoutError(f"pointer[{index}]: there is one value, pointer[0]")

    def __getitem__(self, index: int) -> Any:
        self._check(index)
        return self.contents

    def __setitem__(self, index: int, value: Any) -> None:
        self._check(index)
        self.contents = value


def _setter(name: str) -> Callable[["PacketCaptureCallback", _Function], None]:
    def set_callback(self: "PacketCaptureCallback", function: _Function) -> None:
        self._functions[name] = function

    set_callback.__doc__ = f"Have a function called when a sequence of ``{name}`` begins."
    return set_callback


class PacketCaptureCallback:
    """Functions that are called when a sequence begins, one for each format.

    They are given the numbers of the sequence, then pointers: to the time tag (of simple, chips, ibeam and snap2),
    to the header and to its size. They return 0, or what went wrong. The header is JSON; it is copied at once.

    Examples
    --------
    >>> def start(seq0, chan0, nchan, nsrc, time_tag_ptr, hdr_ptr, hdr_size_ptr):
    ...     time_tag_ptr[0], header = 1000 + seq0, json.dumps({"chan0": chan0}).encode()
    ...     hdr_ptr[0], hdr_size_ptr[0] = header, len(header)
    ...     return 0
    >>> callback = PacketCaptureCallback()
    >>> callback.set_chips(start)
    >>> callback.of("chips_4")(Setup({"seq0": 5, "chan0": 100, "nchan": 4, "nsrc": 1, "time_tag": 5}))
    (1005, {'chan0': 100})
    """

    def __init__(self) -> None:
        self._functions: dict[str, _Function] = {}

    set_simple = _setter("simple")
    set_chips = _setter("chips")
    set_ibeam = _setter("ibeam")
    set_pbeam = _setter("pbeam")
    set_cor = _setter("cor")
    set_tbn = _setter("tbn")
    set_drx = _setter("drx")
    set_drx8 = _setter("drx8")
    set_snap2 = _setter("snap2")
    set_vdif = _setter("vdif")

    def of(self, packet_format: str | PacketFormat) -> Callable[[Setup], tuple[int, dict[str, Any]]] | None:
        """The function of a format, as labdaq calls it; None when there is none."""
        name = find_format(packet_format).name
        family = name if name in _ARGUMENTS else re.sub(r"\d+$", "", name)
        function = self._functions.get(family)
        if function is None:
            return None

        def call(setup: Setup) -> tuple[int, dict[str, Any]]:
            preset = _TIME_TAGS.get(family)
            tag, header, size = Pointer(preset(setup) if preset else setup.time_tag), Pointer(None), Pointer(0)
            pointers = (tag, header, size) if preset else (header, size)
            status = function(*_ARGUMENTS[family](setup), *pointers)
            if status:
                raise LayoutError(f"the callback of {name!r} returned {status!r}: 0 says that all is well")
            return int(tag[0]), _parsed(bytes_at(header[0], int(size[0])), name)

        return call


def _parsed(raw: bytes, name: str) -> dict[str, Any]:
    text = raw.rstrip(b"\0")
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise LayoutError(f"the header that the callback of {name!r} gave is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise LayoutError(f"the header that the callback of {name!r} gave is no JSON object: {text[:80]!r}")
    return found


def _translated(callback: Any, packet_format: str | PacketFormat) -> Any:
    return callback.of(packet_format) if isinstance(callback, PacketCaptureCallback) else callback


class UDPCapture(packet.UDPCapture):
    """Packets from a socket into a ring; see :class:`labdaq.packet.UDPCapture`, whose ledger it has."""

    def __init__(
        self,
        fmt: str | PacketFormat,
        sock: Any,
        ring: Any,
        nsrc: int | tuple[int, ...],
        src0: int,
        max_payload_size: int,
        buffer_ntime: int,
        slot_ntime: int,
        sequence_callback: Any = None,
        core: int | None = None,
        **options: Any,
    ) -> None:
        callback = _translated(sequence_callback, fmt)
        self.ring = ring  # which is kept as long as it is written to
        super().__init__(
            fmt,
            sock,
            engine_of(ring),
            nsrc,
            src0,
            max_payload_size,
            buffer_ntime,
            slot_ntime,
            callback,
            core,
            **options,
        )

    def end(self) -> None:
        """Hand out what came, and end."""
        self.close()


class UDPSniffer(UDPCapture, packet.UDPSniffer):
    """The same for packets that pass by: a socket on which ``sniff(address)`` was called."""


class DiskReader(packet.DiskReader):
    """Recorded packets into a ring; see :class:`labdaq.packet.DiskReader`.

    The number in a name such as ``chips_132`` is that of channels.
    """

    def __init__(
        self,
        fmt: str | PacketFormat,
        fh: Any,
        ring: Any,
        nsrc: int | tuple[int, ...],
        src0: int,
        buffer_nframe: int,
        slot_nframe: int,
        sequence_callback: Any = None,
        core: int | None = None,
        **options: Any,
    ) -> None:
        callback = _translated(sequence_callback, fmt)
        self.ring = ring  # which is kept as long as it is written to
        super().__init__(fmt, fh, engine_of(ring), nsrc, src0, buffer_nframe, slot_nframe, callback, core, **options)

    def seek(self, offset: int, whence: int = os.SEEK_CUR) -> int:
        """Go on elsewhere in the file, by default so many bytes further; the new position."""
        return super().seek(offset, whence)

    def end(self) -> None:
        """Hand out what came, and end."""
        self.close()
