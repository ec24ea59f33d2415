"""PicoScopes: triggered waveforms in block mode and in rapid-block mode."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.devices.base import DeviceSource
from labdaq.devices.pico_driver import (
    EXTERNAL_V,
    RANGES_V,
    SERIES,
    PicoChannel,
    PicoUnit,
    load_library,
    serial_numbers,
)
from labdaq.errors import LayoutError, NotFoundError
from labdaq.roles import EventSlot, Parameter, Trigger, parameters_of

__all__ = ["PicoScope"]

_POLL_S = 0.001  # how often a unit that waits for its trigger is asked (seconds)


class PicoScope(DeviceSource):
    """Waveforms of a PicoScope.

    Events have shape ``(samples,)``, or ``(channels, samples)`` if there are several channels: volts as float32, or
    int16 as digitised.

    Parameters
    ----------
    series
        Driver: ``"ps2000a"``, ``"ps3000a"`` or ``"ps4000a"``.
    channels
        Name (``"A"``, ``"B"``, …) and setting of each input that is used.
    trigger
        `level` in volts, `edge`, and `channel`: a name or number, or ``"EXT"``. None: waveforms are taken at once.
    samples
        In each waveform.
    pretrigger
        Fraction of them before the trigger, 0 to 1.
    sample_interval_ns
        Time between samples (nanoseconds): the nearest that the unit has is in the `header` when it is open.
    captures
        Waveforms that the unit takes without a break before they are read: 1 is block mode, more is rapid-block
        mode. Those of a block have one time stamp, that of the last of them.
    auto_trigger_ms
        Take a waveform without a trigger when none came for so long; 0: wait.
    raw
        Give int16; `scale_v` and `offset_v` in the header make volts of them: ``scale_v * sample - offset_v``.
        Ranges are fixed then.
    serial
        Serial number; by default the first unit that nobody uses.
    library
        With the functions of the driver; by default that of the maker through picosdk.

    Notes
    -----
    ``level``, ``edge``, ``auto_trigger_ms`` and, in volts, ``range_A``, ``range_B``, … are parameters: they may be
    changed while data are taken and hold from the next block on. `losses` counts, as ``over range A``, the waveforms
    that went over the range; they are delivered nevertheless. The dead time is that in which the unit was read out and
    not armed.

    Raises
    ------
    LayoutError
        For a setting that is not possible; from ``open``: that this unit has not.
    BusyError
        From ``open``: somebody else uses the unit.
    NotFoundError
        From ``open``: there is no such unit.
    ResourceError
        From ``open`` and ``acquire``: the driver is not installed, or the unit has failed or was unplugged.
    MissingExtraError
        From ``open``: picosdk is not installed.

    Examples
    --------
    >>> scope = PicoScope("ps3000a", {"A": PicoChannel(0.5), "B": PicoChannel(5.0)}, Trigger(-0.03, "falling", "A"))
    >>> scope.shape, scope.dtype
    ((2, 1000), dtype('float32'))
    >>> scope.range_B.set(2.0)
    """

    level = Parameter(0.0, unit="V", label="trigger level")
    edge = Parameter("rising", choices=("rising", "falling", "both"), label="trigger edge")
    auto_trigger_ms = Parameter(0, unit="ms", low=0, high=32767, label="trigger by itself after")

    def __init__(
        self,
        series: str,
        channels: Mapping[str, PicoChannel],
        trigger: Trigger | None = None,
        *,
        samples: int = 1000,
        pretrigger: float = 0.1,
        sample_interval_ns: float = 8.0,
        captures: int = 1,
        auto_trigger_ms: int = 0,
        raw: bool = False,
        serial: str = "",
        library: Any = None,
    ) -> None:
        if series not in SERIES:
            raise LayoutError(f"series={series!r}: one of {', '.join(SERIES)}")
        self._numbers = {chr(ord("A") + number): number for number in range(SERIES[series].channels)}
        _check_channels(channels, [*self._numbers])
        if samples < 1 or captures < 1 or not 0 <= pretrigger <= 1 or not sample_interval_ns > 0:
            raise LayoutError(
                "samples, captures and sample_interval_ns are positive, pretrigger is 0 to 1; given: "
                f"{samples}, {captures}, {sample_interval_ns}, {pretrigger}"
            )
        self.series, self.serial, self.library, self.raw = series, serial, library, raw
        self.channels = dict(channels)
        self.trigger_channel = None if trigger is None else _trigger_channel(trigger, [*channels])
        self.level, self.edge = (trigger.level, trigger.edge) if trigger else (0.0, "rising")
        self.auto_trigger_ms = auto_trigger_ms
        self.samples, self.pretrigger, self.captures = samples, pretrigger, captures
        self.sample_interval_ns = self._wanted_ns = sample_interval_ns
        self.dtype = np.dtype(np.int16 if raw else np.float32)
        self.shape = (samples,) if len(channels) == 1 else (len(channels), samples)
        self.device = f"PicoScope {series} {serial}".strip()
        if not raw:
            for name, channel in self.channels.items():
                vars(self)[f"range_{name}"] = Parameter(channel.range_v, "V", choices=RANGES_V)
        self._maximum = 32767
        self._next, self._ready_ns, self._deadtime = captures, 0, 0.0
        self._applied: dict[str, Any] = {}

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data; exact when the unit is open."""
        about = {
            "channels": list(self.channels),
            "sample_interval_ns": self.sample_interval_ns,
            "pretrigger": self._before() / self.samples,
            "trigger_channel": self.trigger_channel,
            "trigger_level": self.level,
            "range_v": [self._range(name) for name in self.channels],
            "offset_v": [channel.offset_v for channel in self.channels.values()],
            "coupling": [channel.coupling for channel in self.channels.values()],
        }
        if self.raw:
            return about | {"unit": "steps", "scale_v": [self._range(name) / self._maximum for name in self.channels]}
        return about | {"unit": "V"}

    def acquire(self, event: EventSlot) -> None:
        """Fill the next event; waits for its trigger.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        ResourceError
            The unit was unplugged.
        """
        self._check()
        if self._next == self.captures:
            self._take_block()
        waveforms = self._buffers[self._next]
        if self.raw:
            event.data[...] = waveforms.reshape(self.shape)
        else:
            event.data[...] = (waveforms * self._scales - self._offsets).reshape(self.shape)
        event.timestamp_ns, event.deadtime = self._ready_ns, self._deadtime
        self._next += 1

    # -------------------------------------------------------------------------------------- one block

    def _take_block(self) -> None:
        self._apply()
        last_ns, armed_ns = self._ready_ns, time.time_ns()
        before = self._before()
        self._unit.run(before, self.samples - before, self._timebase)
        while not self._unit.is_ready():
            self._pause(_POLL_S)
        self._ready_ns = time.time_ns()
        if 0 < last_ns < self._ready_ns:  # the clock may be set
            self._deadtime = min(max((armed_ns - last_ns) / (self._ready_ns - last_ns), 0.0), 1.0)
        overflow = self._unit.fetch(self.captures, self.samples)
        for name in self.channels:
            self._lost(f"over range {name}", int(np.count_nonzero(overflow >> self._numbers[name] & 1)))
        self._next = 0

    def _before(self) -> int:
        return min(int(self.pretrigger * self.samples), self.samples - 1)

    def _range(self, name: str) -> float:
        parameter = vars(self).get(f"range_{name}")
        return self.channels[name].range_v if parameter is None else float(parameter.value)

    # --------------------------------------------------------------------------------------- settings

    def _apply(self) -> None:
        """Bring the settings to the unit, when they were changed."""
        wanted = {name: parameter.value for name, parameter in parameters_of(self).items()}
        if wanted == self._applied:
            return
        for name, channel in self.channels.items():
            self._unit.set_channel(self._numbers[name], self._range(name), channel.offset_v, channel.coupling)
        self._scales = _column([self._range(name) / self._maximum for name in self.channels])
        self._set_trigger()
        self._applied = wanted

    def _set_trigger(self) -> None:
        name = self.trigger_channel
        if name is None:
            self._unit.switch_trigger_off()
            return
        external = name == "EXT"
        number = SERIES[self.series].external if external else self._numbers[name]
        range_v = EXTERNAL_V if external else self._range(name)
        level_v = self.level if external else self.level + self.channels[name].offset_v
        if abs(level_v) > range_v:
            raise LayoutError(
                f"the trigger level {self.level} V is not within the range of {range_v} V"
                f"{'' if external else f' and the offset of {self.channels[name].offset_v} V'} of channel {name}"
            )
        threshold = round(level_v / range_v * self._maximum)
        self._unit.set_trigger(number, threshold, self.edge, self.auto_trigger_ms)

    # ------------------------------------------------------------------------------------- connection

    def _resolve(self) -> None:
        """With no serial number, take the first unit that is free."""
        self._library = load_library(self.series) if self.library is None else self.library
        self._serial = self.serial
        if not self.serial:
            free = serial_numbers(self.series, self._library)
            if not free:
                raise NotFoundError(
                    f"no PicoScope of the {self.series} is free: plug one in, or close its other program"
                )
            self._serial = free[0]
            self.device = f"PicoScope {self.series} {self._serial}"

    def _connect(self, opened: contextlib.ExitStack) -> None:
        self._unit = PicoUnit(self.series, self._serial, self._library)
        opened.callback(self._unit.close)
        opened.callback(self._unit.stop)
        self._maximum = self._unit.maximum
        self._next, self._ready_ns, self._deadtime, self._applied = self.captures, 0, 0.0, {}
        self._offsets = _column([channel.offset_v for channel in self.channels.values()])
        for name, number in self._numbers.items():
            if name not in self.channels:
                self._unit.switch_off(number)
        self._apply()
        self._timebase, self.sample_interval_ns = self._unit.nearest_timebase(self._wanted_ns, self.samples)
        self._unit.set_segments(self.captures, self.samples, len(self.channels))
        self._buffers = np.zeros((self.captures, len(self.channels), self.samples), np.int16)
        for segment, waveforms in enumerate(self._buffers):
            for waveform, name in zip(waveforms, self.channels, strict=True):
                self._unit.set_buffer(self._numbers[name], segment, waveform)


def _column(values: list[float]) -> npt.NDArray[np.float32]:
    """One value for each channel, to go with its samples."""
    return np.array(values, np.float32)[:, np.newaxis]


def _check_channels(channels: Mapping[str, PicoChannel], known: list[str]) -> None:
    if not channels or not set(channels) <= set(known):
        raise LayoutError(f"channels are one or more of {', '.join(known)}; given: {', '.join(channels) or 'none'}")


def _trigger_channel(trigger: Trigger, channels: list[str]) -> str:
    """Name of the channel of a trigger, which may be a number among those that are used."""
    channel = trigger.channel
    if isinstance(channel, int) and 0 <= channel < len(channels):
        channel = channels[channel]
    if channel not in {*channels, "EXT"}:
        raise LayoutError(f"channel={channel!r} of the trigger: one of {', '.join(channels)}, EXT")
    if (trigger.width, trigger.coincidence, trigger.prescale) != (1, (), 1):
        raise LayoutError(f"{trigger}: the unit knows no width, coincidence or prescale; use a filter for that")
    return str(channel)
