"""Front ends of real instruments: each a source, with its package in the extra ``devices``.

`picoscope`    oscilloscopes of Pico Technology, through the C functions in `pico_driver`
`red_pitaya`   boards with the multichannel analyser image
`visa`         whatever speaks SCPI, through `scpi`
`soundcard`    sound cards
`serial_line`  lines of numbers, as from an Arduino
`web`          pages of numbers
`websocket`    messages of numbers
`listing`      which devices there are
`locks`        one user of a device at a time
`base`         for a source of your own: open, interrupt, close
`records`      numbers in text to records
`extras`       optional packages
"""

from labdaq.devices.base import DeviceSource
from labdaq.devices.listing import DeviceInfo, list_devices
from labdaq.devices.locks import held, holder_of
from labdaq.devices.pico_driver import PicoChannel
from labdaq.devices.picoscope import PicoScope
from labdaq.devices.red_pitaya import RedPitaya
from labdaq.devices.serial_line import SerialLine
from labdaq.devices.soundcard import SoundCard
from labdaq.devices.visa import VisaScalars, VisaWaveform
from labdaq.devices.web import HttpLines, HttpPoll
from labdaq.devices.websocket import WebSocket

__all__ = [
    "DeviceInfo",
    "DeviceSource",
    "HttpLines",
    "HttpPoll",
    "PicoChannel",
    "PicoScope",
    "RedPitaya",
    "SerialLine",
    "SoundCard",
    "VisaScalars",
    "VisaWaveform",
    "WebSocket",
    "held",
    "holder_of",
    "list_devices",
]
