"""The package sounddevice without a sound card: the same functions, and a thread that calls back as PortAudio does."""

import threading
from types import SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    pass


class CallbackStop(Exception):
    pass


class Cards:
    """A module, with what its cards do: `blocks` to be pushed, each with whether samples were lost before it."""

    PortAudioError, CallbackStop = PortAudioError, CallbackStop

    def __init__(self):
        self.names = [("HDMI", 0), ("USB Audio left", 2), ("USB Audio right", 2), ("Microphone", 1)]
        self.default = SimpleNamespace(device=[3, 0])
        self.overflows, self.used, self.opened, self.endless = [], set(), [], False

    def query_devices(self):
        return [
            {"name": name, "max_input_channels": inputs, "default_samplerate": 44100.0} for name, inputs in self.names
        ]

    def InputStream(self, **settings):
        if settings["device"] in self.used:
            raise PortAudioError("Error opening InputStream: Device unavailable [PaErrorCode -9985]", -9985)
        if settings["channels"] > self.names[settings["device"]][1]:
            raise PortAudioError("Error opening InputStream: Invalid number of channels [PaErrorCode -9998]", -9998)
        self.opened.append(Stream(self, **settings))
        return self.opened[-1]


class Stream:
    def __init__(self, cards, *, device, channels, samplerate, blocksize, dtype, callback, finished_callback):
        self.cards, self.shape, self.dtype = cards, (blocksize, channels), dtype
        self.callback, self.finished_callback = callback, finished_callback
        self.thread, self.halt, self.closed, self.settings = None, threading.Event(), False, (device, samplerate)

    def start(self):
        assert not self.closed
        self.halt.clear()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.halt.is_set() and (self.cards.endless or number < len(self.cards.overflows)):
            lost = not self.cards.endless and self.cards.overflows[number]
            block = np.arange(np.prod(self.shape), dtype=self.dtype).reshape(self.shape) + 1000 * number
            clock = SimpleNamespace(inputBufferAdcTime=9.5, currentTime=10.0)
            try:
                self.callback(block, len(block), clock, SimpleNamespace(input_overflow=lost))
            except CallbackStop:
                break
            block[:] = -1  # the driver uses it again
            number += 1
        else:
            self.halt.wait()  # a card that has nothing more to say is not finished
        self.finished_callback()

    def abort(self):
        self.halt.set()
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def close(self):
        self.abort()
        self.closed = True
