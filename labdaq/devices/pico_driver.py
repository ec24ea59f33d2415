"""The C functions of the PicoScope drivers, called through picosdk: numbers in, numbers or typed errors out.

Pointers are given as addresses of NumPy arrays, which is what the functions of picosdk take. A `library` is any
object that has the functions of a driver under their names in C (``ps3000aOpenUnit``): that of picosdk, or one that
behaves like it in a test. Source: the Programmer's Guides of the ps2000a, ps3000a and ps4000a drivers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.devices.extras import needed
from labdaq.errors import BusyError, LayoutError, NotFoundError, ResourceError

__all__ = ["EXTERNAL_V", "RANGES_V", "SERIES", "PicoChannel", "PicoUnit", "load_library", "serial_numbers"]

RANGES_V = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Greatest voltage of each range; its place is its number in all drivers."""
COUPLINGS = ("AC", "DC")
"""The place of each is its number in all drivers."""
EXTERNAL_V = 5.0
"""Range of the external trigger."""
_EDGES = {"rising": 2, "falling": 3, "both": 4}
_INVALID_CHANNEL, _INVALID_TIMEBASE = 0x10, 0x0E
_POWER = {0x11A, 0x11E}  # no power supply, not on a USB 3 port: the unit works after it is told to do without
_SLOWEST = 2**32 - 1  # the last timebase
_NOT_FOUND = 0x03
_BUSY = {0x01: "MAX_UNITS_OPENED", 0x05: "OPEN_OPERATION_IN_PROGRESS", 0x24: "DEVICE_SAMPLING", 0x27: "BUSY"}
_GONE = {0x07: "NOT_RESPONDING", 0x0C: "INVALID_HANDLE"}
_REFUSED = {
    0x0D: "INVALID_PARAMETER",
    _INVALID_TIMEBASE: "INVALID_TIMEBASE",
    0x0F: "INVALID_VOLTAGE_RANGE",
    _INVALID_CHANNEL: "INVALID_CHANNEL",
    0x11: "INVALID_TRIGGER_CHANNEL",
    0x1B: "AUTO_TRIGGER_TIME_TO_SHORT",
    0x1D: "TOO_MANY_SAMPLES",
    0x1E: "TOO_MANY_SEGMENTS",
    0x42: "NOT_ENOUGH_SEGMENTS",
    0x45: "INVALID_COUPLING",
    0x50: "INVALID_ANALOGUE_OFFSET",
}


@dataclass(frozen=True)
class Series:
    """What differs between the drivers."""

    channels: int
    has_oversample: bool
    external: int
    """Number of the external trigger as a channel."""


SERIES = {
    "ps2000a": Series(4, has_oversample=True, external=4),
    "ps3000a": Series(4, has_oversample=True, external=4),
    "ps4000a": Series(8, has_oversample=False, external=8),
}


@dataclass(frozen=True)
class PicoChannel:
    """The setting of one input of a PicoScope.

    Parameters
    ----------
    range_v
        Greatest voltage, one of 0.01, 0.02, 0.05, … 50; models differ in which they have.
    offset_v
        Voltage that is added to the input before it is digitised, and taken off again from the samples.
    coupling
        ``"DC"`` or ``"AC"``.

    Examples
    --------
    >>> PicoChannel(range_v=0.3)
    Traceback (most recent call last):
    labdaq.errors.LayoutError: range_v=0.3: one of 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0
    """

    range_v: float = 1.0
    offset_v: float = 0.0
    coupling: str = "DC"

    def __post_init__(self) -> None:
        if self.range_v not in RANGES_V:
            raise LayoutError(f"range_v={self.range_v}: one of {', '.join(map(str, RANGES_V))}")
        if self.coupling not in COUPLINGS:
            raise LayoutError(f"coupling={self.coupling!r}: one of {', '.join(COUPLINGS)}")


def load_library(series: str) -> Any:
    """The library of a driver.

    Raises
    ------
    MissingExtraError
        When picosdk is not installed.
    ResourceError
        When the driver of the maker is not installed.
    """
    needed("picosdk", "picosdk", "PicoScopes")
    try:
        return getattr(needed(f"picosdk.{series}", "picosdk", "PicoScopes"), series)
    except OSError as error:
        raise ResourceError(
            f"the driver {series} of PicoScopes is not installed ({error}): get PicoSDK from picotech.com/downloads"
        ) from error


def serial_numbers(series: str, library: Any) -> list[str]:
    """The units that are plugged in and not used by any program. It takes a second or more."""
    count, length = np.zeros(1, np.int16), np.array([255], np.int16)
    text = library._create_empty_string_buffer()  # the one thing that is no number: a buffer of C characters
    status = getattr(library, f"{series}EnumerateUnits")(count.ctypes.data, text, length.ctypes.data)
    _check(status, "looking for PicoScopes")
    return [serial.strip() for serial in text.value.decode("ascii", "replace").split(",") if serial.strip()]


class PicoUnit:
    """One PicoScope that is open.

    Parameters
    ----------
    series
        One of :data:`SERIES`.
    serial
        Its serial number.
    library
        With the functions of the driver.

    Raises
    ------
    NotFoundError
        There is no such unit, or another program has it: drivers do not tell these apart.
    BusyError
        It is being used.
    LayoutError
        A setting that the unit has not.
    ResourceError
        It failed, or has gone.
    """

    def __init__(self, series: str, serial: str, library: Any) -> None:
        self.series, self.serial, self._library = series, serial, library
        self._differences = SERIES[series]
        handle = np.zeros(1, np.int16)
        status = self._function("OpenUnit")(handle.ctypes.data, serial.encode() or None)
        self._handle = int(handle[0])
        try:
            if status in _POWER:
                status = self._function("ChangePowerSource")(self._handle, status)
            _check(status, f"opening the PicoScope {serial}")
            maximum = np.zeros(1, np.int16)
            self._call("MaximumValue", maximum.ctypes.data)
        except BaseException:
            if self._handle > 0:
                self._function("CloseUnit")(self._handle)
            raise
        self.maximum = int(maximum[0])
        """The step of the converter at the greatest voltage of a range."""

    def close(self) -> None:
        """Let the unit go."""
        self._call("CloseUnit")

    def stop(self) -> None:
        """Stop taking data; a unit that is not taking any does nothing."""
        self._call("Stop")

    def set_channel(self, channel: int, range_v: float, offset_v: float, coupling: str) -> None:
        """Switch an input on."""
        place = RANGES_V.index(range_v)
        self._call("SetChannel", channel, 1, COUPLINGS.index(coupling), place, offset_v)

    def switch_off(self, channel: int) -> None:
        """Switch an input off; one that the model has not is off."""
        status = self._function("SetChannel")(self._handle, channel, 0, 1, RANGES_V.index(1.0), 0.0)
        if status != _INVALID_CHANNEL:
            _check(status, f"switching off channel {channel} of the PicoScope {self.serial}")

    def set_trigger(self, channel: int, threshold: int, edge: str, auto_ms: int) -> None:
        """Trigger on an edge; `threshold` in steps, `auto_ms` 0: wait for ever."""
        self._call("SetSimpleTrigger", 1, channel, threshold, _EDGES[edge], 0, auto_ms)

    def switch_trigger_off(self) -> None:
        """Take data at once."""
        self._call("SetSimpleTrigger", 0, 0, 0, _EDGES["rising"], 0, 0)

    def interval_ns(self, timebase: int, samples: int) -> float | None:
        """Time between samples of a timebase (nanoseconds); None: it is too fast for the channels that are on."""
        interval, most = np.zeros(1, np.float32), np.zeros(1, np.int32)
        oversample = (0,) if self._differences.has_oversample else ()
        arguments = (self._handle, timebase, samples, interval.ctypes.data, *oversample, most.ctypes.data, 0)
        status = self._function("GetTimebase2")(*arguments)
        if status == _INVALID_TIMEBASE:
            return None
        _check(status, f"asking for timebase {timebase} with {samples} samples")
        return float(interval[0])

    def nearest_timebase(self, wanted_ns: float, samples: int) -> tuple[int, float]:
        """The timebase with the interval nearest to one, and its interval (nanoseconds)."""

        def interval(timebase: int) -> float:
            return self.interval_ns(timebase, samples) or 0.0  # too fast is short enough

        slow, fast = 1, -1
        while interval(slow) < wanted_ns and slow < _SLOWEST:
            slow = min(2 * slow, _SLOWEST)
        while slow - fast > 1:  # intervals grow with the number of the timebase
            middle = (slow + fast) // 2
            fast, slow = (middle, slow) if interval(middle) < wanted_ns else (fast, middle)
        choices = [(interval(timebase), timebase) for timebase in (fast, slow) if timebase >= 0]
        possible = [(abs(ns - wanted_ns), ns, timebase) for ns, timebase in choices if ns > 0]
        if not possible:
            raise LayoutError(f"the PicoScope {self.serial} has no interval near {wanted_ns} ns for {samples} samples")
        _, ns, timebase = min(possible)
        return timebase, ns

    def set_segments(self, captures: int, samples: int, channels: int) -> None:
        """Divide the memory, so that each part has room for one capture."""
        room = np.zeros(1, np.int32)
        self._call("MemorySegments", captures, room.ctypes.data)
        if room[0] < samples * channels:
            raise LayoutError(
                f"{captures} captures of {channels} x {samples} samples do not fit into the PicoScope {self.serial}: "
                f"each may have {room[0]} samples in all; take fewer captures or samples"
            )
        self._call("SetNoOfCaptures", captures)

    def set_buffer(self, channel: int, segment: int, buffer: npt.NDArray[np.int16]) -> None:
        """Where the driver puts the samples; the memory has to stay."""
        self._call("SetDataBuffer", channel, buffer.ctypes.data, len(buffer), segment, 0)

    def run(self, before: int, after: int, timebase: int) -> None:
        """Begin to take all captures."""
        oversample = (0,) if self._differences.has_oversample else ()
        self._call("RunBlock", before, after, timebase, *oversample, None, 0, None, None)

    def is_ready(self) -> bool:
        """Whether all captures are there."""
        ready = np.zeros(1, np.int16)
        self._call("IsReady", ready.ctypes.data)
        return bool(ready[0])

    def fetch(self, captures: int, samples: int) -> npt.NDArray[np.int16]:
        """Have the captures put into the buffers; for each, a bit for every channel that was over its range."""
        number, overflow = np.array([samples], np.uint32), np.zeros(captures, np.int16)
        if captures == 1:
            self._call("GetValues", 0, number.ctypes.data, 1, 0, 0, overflow.ctypes.data)
        else:
            self._call("GetValuesBulk", number.ctypes.data, 0, captures - 1, 1, 0, overflow.ctypes.data)
        if number[0] != samples:
            raise ResourceError(f"the PicoScope {self.serial} gave {number[0]} of {samples} samples")
        return overflow

    def _function(self, name: str) -> Callable[..., int]:
        function: Callable[..., int] = getattr(self._library, self.series + name)
        return function

    def _call(self, name: str, *arguments: Any) -> None:
        _check(self._function(name)(self._handle, *arguments), f"{name} of the PicoScope {self.serial}")


def _check(status: int, doing: str) -> None:
    """Raise what a status code of the driver means.

    Examples
    --------
    >>> _check(0, "opening")
    >>> _check(0x50, "SetChannel")
    Traceback (most recent call last):
    labdaq.errors.LayoutError: SetChannel failed: PICO_INVALID_ANALOGUE_OFFSET; this unit has not this setting
    """
    if status == 0:
        return
    if status == _NOT_FOUND:
        raise NotFoundError(f"{doing} failed: not found; plug it in, or close the other program that has it")
    if status in _BUSY:
        raise BusyError(f"{doing} failed: PICO_{_BUSY[status]}; close the other program that has it")
    if status in _REFUSED:
        raise LayoutError(f"{doing} failed: PICO_{_REFUSED[status]}; this unit has not this setting")
    if status in _GONE:
        raise ResourceError(f"{doing} failed: PICO_{_GONE[status]}; is it still plugged in?")
    raise ResourceError(f"{doing} failed with status {status:#x}; the Programmer's Guide of the driver explains it")
