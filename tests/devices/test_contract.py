"""What holds for every source with a device."""

import json
import pickle

import numpy as np
import pytest

from labdaq.devices import (
    DeviceSource,
    HttpLines,
    HttpPoll,
    PicoChannel,
    PicoScope,
    RedPitaya,
    SerialLine,
    SoundCard,
    VisaScalars,
    VisaWaveform,
    WebSocket,
)
from labdaq.errors import ClosedError
from labdaq.roles import PushSource, Source, Trigger, parameters_of
from tests.devices.slots import acquired

SOURCES = [
    HttpLines("http://x/", ["a"]),
    HttpPoll("http://x/", ["a"]),
    PicoScope("ps4000a", {"A": PicoChannel(), "H": PicoChannel(5.0)}, Trigger(0.1, channel="EXT"), raw=True),
    PicoScope("ps2000a", {"B": PicoChannel()}),
    RedPitaya("x"),
    SerialLine("/dev/x", {"n": "u2"}),
    SoundCard(channels=2),
    VisaScalars("USB::x", {"volt": "V?"}),
    VisaWaveform("USB::x", "W?", 10),
    WebSocket("ws://x/", ["a"]),
]


@pytest.fixture(params=SOURCES, ids=lambda source: source.device)
def source(request):
    return request.param


def test_it_says_what_it_gives(source):
    assert isinstance(source, DeviceSource)
    assert isinstance(source, Source) != isinstance(source, PushSource)
    assert np.zeros(source.shape, source.dtype).dtype == source.dtype
    assert json.loads(json.dumps(source.header)) == source.header
    assert source.device


def test_it_can_be_sent_to_another_process(source):
    twin = pickle.loads(pickle.dumps(source))
    assert (twin.device, twin.shape, twin.dtype, twin.header) == (
        source.device,
        source.shape,
        source.dtype,
        source.header,
    )
    assert {name: one.value for name, one in parameters_of(twin).items()} == {
        name: one.value for name, one in parameters_of(source).items()
    }


def test_before_it_is_opened(source):
    source.interrupt()
    source.close()
    assert source.losses() == {}
    with pytest.raises(ClosedError, match="not open"):
        source.start(print) if isinstance(source, PushSource) else acquired(source)
