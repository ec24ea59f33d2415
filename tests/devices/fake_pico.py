"""A PicoScope driver without a PicoScope: the same C functions, called through the declarations of picosdk.

The functions are real C functions (thunks of ctypes) with the argument types that picosdk gives them, so that what is
passed is converted and checked as it would be for the driver of the maker.
"""

import ctypes
import importlib
import sys
from unittest import mock

import numpy as np

OK, NOT_FOUND, INVALID_HANDLE, INVALID_TIMEBASE, INVALID_CHANNEL = 0, 3, 0x0C, 0x0E, 0x10
INVALID_RANGE, NO_SAMPLES, NO_POWER = 0x0F, 0x25, 0x11A
MAXIMUM = 32512
RANGES_V = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]


def _put(address, kind, value):
    kind.from_address(address).value = value


class FakeDriver:
    """Units by serial number; `signal(channel, capture, time_s)` is what their inputs see, in volts."""

    def __init__(self, series, serials=("CO123/456",), channels=2):
        self.series, self.serials, self.inputs = series, list(serials), channels
        self.handles, self.settings, self.trigger, self.buffers = {}, {}, None, {}
        self.signal = lambda channel, capture, time_s: np.zeros_like(time_s)
        self.fires, self.running, self.captures, self.taken, self.asked = True, False, 1, 0, 0
        self.power_status, self.unplugged, self.log = OK, False, []
        self.fail = {}

    def library(self):
        """The library object of picosdk, on top of these functions."""
        from picosdk.library import Library

        def make_symbol(library, _, c_name, result, arguments, docstring=None):
            function = getattr(self, c_name.removeprefix(self.series), None)
            if function is None:
                return
            raw = [ctypes.c_void_p if kind is ctypes.c_char_p else kind for kind in arguments]
            thunk = ctypes.CFUNCTYPE(result, *raw)(self._guarded(function, c_name.removeprefix(self.series)))
            thunk.argtypes = arguments
            setattr(library, c_name, thunk)

        name = f"picosdk.{self.series}"
        with (
            mock.patch.object(Library, "_load", return_value=None),
            mock.patch.object(Library, "make_symbol", make_symbol),
        ):
            with mock.patch.dict(sys.modules):
                sys.modules.pop(name, None)
                return getattr(importlib.import_module(name), self.series)

    def _guarded(self, function, name):
        def call(*arguments):
            if name in self.fail:
                return self.fail[name]
            if name not in {"OpenUnit", "EnumerateUnits"} and (arguments[0] not in self.handles or self.unplugged):
                return INVALID_HANDLE
            self.log.append(name)
            return function(*arguments)

        return call

    # --------------------------------------------------------------------------- the C functions

    def EnumerateUnits(self, count, serials, length):
        free = [serial for serial in self.serials if serial not in self.handles.values()]
        text = ",".join(free).encode() + b"\0"
        _put(count, ctypes.c_int16, len(free))
        ctypes.memmove(serials, text, len(text))
        _put(length, ctypes.c_int16, len(text))
        return OK

    def OpenUnit(self, handle, serial):
        wanted = ctypes.string_at(serial).decode() if serial else None
        free = [one for one in self.serials if one not in self.handles.values() and wanted in {None, one}]
        if not free:
            _put(handle, ctypes.c_int16, 0)
            return NOT_FOUND
        number = max(self.handles, default=0) + 1
        self.handles[number] = free[0]
        _put(handle, ctypes.c_int16, number)
        return self.power_status

    def ChangePowerSource(self, handle, state):
        assert state == self.power_status
        return OK

    def CloseUnit(self, handle):
        del self.handles[handle]
        return OK

    def MaximumValue(self, handle, value):
        _put(value, ctypes.c_int16, MAXIMUM)
        return OK

    def SetChannel(self, handle, channel, enabled, coupling, range_number, offset):
        if channel >= self.inputs:
            return INVALID_CHANNEL
        if range_number < 1:
            return INVALID_RANGE  # such as these units have no 10 mV
        self.settings.pop(channel, None)
        if enabled:
            self.settings[channel] = RANGES_V[range_number], offset, ["AC", "DC"][coupling]
        return OK

    def SetSimpleTrigger(self, handle, enabled, source, threshold, direction, delay, auto_ms):
        self.trigger = (source, threshold, direction, auto_ms) if enabled else None
        return OK

    def _interval_ns(self, timebase):
        return float(2**timebase) if timebase < 3 else 8.0 * (timebase - 2)

    def GetTimebase2(self, handle, timebase, samples, interval, *rest):
        most = rest[-2]
        assert len(rest) == (2 if self.series == "ps4000a" else 3)
        if timebase < len(self.settings) - 1:
            return INVALID_TIMEBASE
        _put(interval, ctypes.c_float, self._interval_ns(timebase))
        _put(most, ctypes.c_int32, 1 << 20)
        return OK

    def MemorySegments(self, handle, segments, most):
        _put(most, ctypes.c_int32, (1 << 20) // segments)
        return OK

    def SetNoOfCaptures(self, handle, captures):
        self.captures = captures
        return OK

    def SetDataBuffer(self, handle, channel, address, length, segment, mode):
        self.buffers[channel, segment] = address, length
        return OK

    def RunBlock(self, handle, before, after, timebase, *rest):
        assert len(rest) == (4 if self.series == "ps4000a" else 5)
        self.running, self.before, self.timebase = True, before, timebase
        self.samples = before + after
        return OK

    def IsReady(self, handle, ready):
        self.asked += 1
        _put(ready, ctypes.c_int16, int(self.running and self.fires))
        return OK

    def Stop(self, handle):
        self.running = False
        return OK

    def GetValues(self, handle, start, number, ratio, mode, segment, overflow):
        assert self.captures == 1
        return self._deliver(range(segment, segment + 1), number, overflow)

    def GetValuesBulk(self, handle, number, first, last, ratio, mode, overflow):
        assert last == self.captures - 1
        return self._deliver(range(first, last + 1), number, overflow)

    def _deliver(self, segments, number, overflow):
        if not self.running:
            return NO_SAMPLES
        time_s = 1e-9 * self._interval_ns(self.timebase) * (np.arange(self.samples) - self.before)
        for place, segment in enumerate(segments):
            bits = 0
            for channel, (range_v, offset, _) in self.settings.items():
                volts = self.signal(channel, self.taken, time_s) + offset
                bits |= bool((abs(volts) > range_v).any()) << channel
                steps = np.clip(np.round(volts / range_v * MAXIMUM), -MAXIMUM, MAXIMUM).astype(np.int16)
                address, length = self.buffers[channel, segment]
                assert length >= self.samples
                ctypes.memmove(address, steps.tobytes(), steps.nbytes)
            _put(overflow + 2 * place, ctypes.c_int16, bits)
            self.taken += 1
        _put(number, ctypes.c_uint32, self.samples)
        self.running = False
        return OK
