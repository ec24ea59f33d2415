"""Instruments that send lines of numbers over a serial line, such as an Arduino."""

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labdaq.devices.base import DeviceSource
from labdaq.devices.extras import needed
from labdaq.devices.records import Fields, LineSplitter
from labdaq.errors import BusyError, LayoutError, NotFoundError, ResourceError
from labdaq.roles import EventSlot

__all__ = ["SerialLine"]

_SLICE_S = 0.05  # the longest time in which a waiting read does not notice that it is interrupted (seconds)


class SerialLine(DeviceSource):
    r"""Lines of numbers from a serial port as records.

    Numbers stand between commas, semicolons, tabs or blanks. Empty lines and lines that begin with ``#`` are left
    out. What was under way when the port was opened is part of a line and is left out, too. Lines with something
    else in them are counted in :meth:`losses`: ``malformed line``, ``line too long``.

    Parameters
    ----------
    port
        ``"/dev/ttyACM0"``, ``"COM3"``, or a URL of pyserial such as ``"socket://host:port"``.
    fields
        Names of the numbers in a line, which are float64; or a mapping of name to dtype.
    baudrate
        Bits per second, as the instrument is set.
    setup, safe
        Lines to send when the port was opened, and before it is closed.
    longest
        Bytes of a line.

    Raises
    ------
    NotFoundError
        From ``open``: there is no such port; the message lists those that there are.
    BusyError
        From ``open``: another program has the port.
    ResourceError
        The port cannot be used, or, from ``acquire``, was unplugged.
    MissingExtraError
        From ``open``: pyserial is not installed.

    Examples
    --------
    >>> source = SerialLine("/dev/ttyACM0", ["volt", "celsius"], baudrate=115200)
    >>> source.dtype.names, source.shape, source.device
    (('volt', 'celsius'), (), 'serial line /dev/ttyACM0')
    """

    shape: tuple[int, ...] = ()

    def __init__(
        self,
        port: str,
        fields: Sequence[str] | Mapping[str, Any] = ("value",),
        *,
        baudrate: int = 9600,
        setup: Sequence[str] = (),
        safe: Sequence[str] = (),
        longest: int = 4096,
    ) -> None:
        if baudrate < 1 or longest < 1:
            raise LayoutError(f"baudrate and longest are positive; given: {baudrate}, {longest}")
        self.port, self.baudrate, self.longest = port, baudrate, longest
        self.setup, self.safe = tuple(setup), tuple(safe)
        self.fields = Fields(fields)
        self.dtype = self.fields.dtype
        self.device = f"serial line {port}"
        self._lines: deque[str] = deque()

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {"fields": list(self.fields.names), "port": self.port, "baudrate": self.baudrate}

    def acquire(self, event: EventSlot) -> None:
        """Fill the next record; waits for a line that holds one.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        ResourceError
            The instrument was unplugged.
        """
        while True:
            self._check()
            while self._lines:
                line = self._lines.popleft().strip()
                if not line or line.startswith("#"):
                    continue
                record = self.fields.of_text(line)
                if record is not None:
                    event.data[...] = record
                    return
                self._lost("malformed line")
            self._read()

    def _resolve(self) -> None:
        """A port may have several names, such as those in /dev/serial/by-id."""
        path = Path(self.port)
        self.device = f"serial line {path.resolve() if path.is_absolute() and path.exists() else self.port}"

    def _read(self) -> None:
        with self._talking("reading a line"):
            piece = self._serial.read(self._serial.in_waiting or 1)
        self._lines.extend(self._splitter.feed(piece))
        self._lost("line too long", self._splitter.too_long)
        self._splitter.too_long = 0

    def _connect(self, opened: contextlib.ExitStack) -> None:
        needed("serial", "pyserial", "serial lines")
        self._serial = self._open_port()
        opened.callback(self._serial.close)
        self._lines.clear()
        self._splitter = LineSplitter(self.longest, partial=True)
        with self._talking("preparing the port"):
            self._serial.reset_input_buffer()
            opened.callback(self._send, self.safe)
            self._send(self.setup)

    def _send(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._serial.write(line.encode() + b"\n")
        if lines:
            self._serial.flush()

    def _open_port(self) -> Any:
        serial = needed("serial", "pyserial", "serial lines")
        try:
            return serial.serial_for_url(self.port, self.baudrate, timeout=_SLICE_S, write_timeout=2.0, exclusive=True)
        except ValueError as error:
            raise ResourceError(f"{self.port}: {error}") from error
        except OSError as error:
            text = str(error)
            if "lock" in text or "busy" in text.lower() or "Access is denied" in text:
                raise BusyError(f"another program has {self.port}: close it there first ({text})") from error
            if "No such file" in text or "FileNotFound" in text:
                ports = ", ".join(port.device for port in _ports()) or "none; is it plugged in?"
                raise NotFoundError(f"there is no port {self.port}; there are: {ports}") from error
            raise ResourceError(error.errno, f"{self.port} cannot be opened: {text}") from error


def _ports() -> list[Any]:
    return list(needed("serial.tools.list_ports", "pyserial", "serial lines").comports())
