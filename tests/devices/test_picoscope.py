"""PicoScopes, on a driver that behaves like that of the maker."""

import sys
import time

import numpy as np
import pytest

from labdaq.devices.pico_driver import PicoChannel, PicoUnit
from labdaq.devices.picoscope import PicoScope
from labdaq.errors import (
    BusyError,
    ClosedError,
    EndOfDataError,
    LayoutError,
    MissingExtraError,
    NotFoundError,
    ResourceError,
)
from labdaq.roles import Trigger, parameters_of
from tests.devices.fake_pico import MAXIMUM, NO_POWER, FakeDriver
from tests.devices.slots import PATIENCE, Waiting, acquired

pytest.importorskip("picosdk")

ONE, TWO = {"A": PicoChannel(1.0)}, {"A": PicoChannel(1.0), "B": PicoChannel(0.5, offset_v=0.2, coupling="AC")}


def ramps(channel, capture, time_s):
    """Another height in each capture, another slope in each channel."""
    return 0.01 * capture + 1e4 * (channel + 1) * time_s


def scope_on(driver, *arguments, **settings):
    return PicoScope(driver.series, *arguments, library=driver.library(), **settings)


@pytest.mark.parametrize("series", ["ps2000a", "ps3000a", "ps4000a"])
@pytest.mark.parametrize("captures", [1, 4])
def test_gives_volts_of_each_channel_in_the_order_in_which_they_were_taken(series, captures):
    driver = FakeDriver(series)
    driver.signal = ramps
    with scope_on(driver, TWO, Trigger(0.1, channel="B"), samples=500, pretrigger=0.2, captures=captures) as scope:
        events = [acquired(scope).data for _ in range(8)]
        interval_s = 1e-9 * scope.header["sample_interval_ns"]
    time_s = interval_s * (np.arange(500) - 100)
    for number, volts in enumerate(events):
        assert volts.dtype == np.float32
        assert volts.shape == (2, 500)
        for channel in range(2):
            np.testing.assert_allclose(volts[channel], ramps(channel, number, time_s), atol=1.0 / MAXIMUM)


def test_settings_reach_the_unit():
    driver = FakeDriver("ps3000a")
    with scope_on(driver, TWO, Trigger(-0.1, "falling", "B"), auto_trigger_ms=50) as scope:
        acquired(scope)
        assert driver.settings == {0: (1.0, 0.0, "DC"), 1: (0.5, pytest.approx(0.2), "AC")}
        assert driver.trigger == (1, round(0.1 / 0.5 * MAXIMUM), 3, 50)  # with the offset, before it is digitised
        assert driver.before == 100


@pytest.mark.parametrize(("channel", "number", "range_v"), [(0, 1, 0.5), ("B", 1, 0.5), ("EXT", 4, 5.0)])
def test_the_channel_of_the_trigger(channel, number, range_v):
    driver = FakeDriver("ps3000a")
    with scope_on(driver, {"B": PicoChannel(0.5)}, Trigger(0.4, channel=channel)) as scope:
        acquired(scope)
        assert driver.trigger[:2] == (number, round(0.4 / range_v * MAXIMUM))


def test_a_channel_that_is_not_used_is_switched_off_and_one_that_the_model_has_not_is_left_alone():
    driver = FakeDriver("ps4000a", channels=4)
    driver.settings = dict.fromkeys(range(4), (1.0, 0.0, "DC"))
    with scope_on(driver, {"C": PicoChannel(2.0)}):
        assert driver.settings == {2: (2.0, 0.0, "DC")}


def test_raw_samples_with_their_scale_in_the_header():
    driver = FakeDriver("ps2000a")
    driver.signal = ramps
    with scope_on(driver, TWO, raw=True, samples=50) as scope:
        raw, header = acquired(scope).data, scope.header
        assert driver.trigger is None
    assert raw.dtype == np.int16
    volts = np.array(header["scale_v"])[:, None] * raw - np.array(header["offset_v"])[:, None]
    time_s = 1e-9 * header["sample_interval_ns"] * (np.arange(50) - 5)
    np.testing.assert_allclose(volts, [ramps(0, 0, time_s), ramps(1, 0, time_s)], atol=1.0 / MAXIMUM)
    assert not any(name.startswith("range") for name in parameters_of(scope))


@pytest.mark.parametrize(
    ("wanted_ns", "nearest_ns"), [(0.1, 1.0), (1.0, 1.0), (3.3, 4.0), (8.0, 8.0), (19, 16.0), (1e6, 1e6)]
)
def test_the_nearest_interval_is_chosen_and_told(wanted_ns, nearest_ns):
    with scope_on(FakeDriver("ps3000a"), ONE, sample_interval_ns=wanted_ns) as scope:
        assert scope.header["sample_interval_ns"] == nearest_ns
        acquired(scope)


def test_an_interval_that_is_too_fast_for_the_channels_is_not_chosen():
    with scope_on(FakeDriver("ps3000a"), TWO, sample_interval_ns=1.0) as scope:
        assert scope.header["sample_interval_ns"] == 2.0


def test_waveforms_over_the_range_are_counted_by_channel():
    driver = FakeDriver("ps3000a")
    driver.signal = lambda channel, capture, time_s: np.full_like(time_s, 0.9 if channel == 0 else 0.09 * capture)
    with scope_on(driver, TWO, captures=3) as scope:
        for _ in range(6):
            acquired(scope)
        assert scope.losses() == {"over range B": 2}  # captures 4 and 5, with the offset of 0.2 V
        assert scope.device == "PicoScope ps3000a CO123/456"


def test_parameters_change_while_data_are_taken():
    driver = FakeDriver("ps3000a")
    driver.signal = lambda channel, capture, time_s: np.full_like(time_s, 1.5)
    with scope_on(driver, ONE, Trigger(0.5, channel="A")) as scope:
        assert acquired(scope).data.max() == pytest.approx(1.0, abs=1e-4)  # cut off
        scope.level, scope.edge = 1.2, "both"
        parameters_of(scope)["range_A"].set(2.0)
        assert acquired(scope).data.max() == pytest.approx(1.5, abs=1e-3)
        assert driver.trigger == (0, round(1.2 / 2.0 * MAXIMUM), 4, 0)
        scope.level = 2.5
        with pytest.raises(LayoutError, match=r"2\.5 V is not within the range of 2\.0 V"):
            acquired(scope)


def test_time_stamps_and_dead_time():
    with scope_on(FakeDriver("ps3000a"), ONE) as scope:
        begin = time.time_ns()
        events = [acquired(scope) for _ in range(3)]
        assert begin <= events[0].timestamp_ns <= events[1].timestamp_ns <= events[2].timestamp_ns <= time.time_ns()
        assert events[0].deadtime == 0
        assert all(0 < event.deadtime <= 1 for event in events[1:])


def test_interrupt_ends_the_wait_for_a_trigger():
    driver = FakeDriver("ps3000a")
    driver.fires = False
    with scope_on(driver, ONE, Trigger(0.5, channel="A")) as scope:
        with Waiting(scope) as waiting:
            until = time.monotonic() + PATIENCE
            while not driver.asked and time.monotonic() < until:
                waiting.thread.join(0.001)
            scope.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        assert driver.running
    assert not driver.running
    assert driver.handles == {}
    with pytest.raises(ClosedError, match="not open"):
        acquired(scope)


def test_a_unit_has_one_user_at_a_time():
    driver = FakeDriver("ps3000a")
    with scope_on(driver, ONE, serial="CO123/456"):
        with pytest.raises(BusyError, match=r"'PicoScope ps3000a CO123/456' is used by .*process"):
            scope_on(driver, ONE, serial="CO123/456").open()
        with pytest.raises(NotFoundError, match="no PicoScope of the ps3000a is free"):
            scope_on(driver, ONE).open()
    with scope_on(driver, ONE) as scope:
        with pytest.raises(BusyError, match="open already"):
            scope.open()


def test_two_units_two_users():
    driver = FakeDriver("ps3000a", serials=["one", "two"])
    with scope_on(driver, ONE) as first, scope_on(driver, ONE) as second:
        assert {first.device, second.device} == {"PicoScope ps3000a one", "PicoScope ps3000a two"}
        assert set(driver.handles.values()) == {"one", "two"}


@pytest.mark.parametrize(
    ("function", "status", "error", "words"),
    [
        ("OpenUnit", 1, BusyError, "MAX_UNITS_OPENED"),
        ("OpenUnit", 3, NotFoundError, "not found"),
        ("SetChannel", 0x50, LayoutError, "INVALID_ANALOGUE_OFFSET"),
        ("SetSimpleTrigger", 0x1B, LayoutError, "AUTO_TRIGGER_TIME"),
        ("GetTimebase2", 0x1D, LayoutError, "TOO_MANY_SAMPLES"),
        ("MaximumValue", 7, ResourceError, "still plugged in"),
        ("SetDataBuffer", 0x1234, ResourceError, "0x1234"),
    ],
)
def test_what_fails_when_opening_says_why_and_leaves_nothing_open(function, status, error, words):
    driver = FakeDriver("ps3000a")
    driver.fail[function] = status
    scope = scope_on(driver, ONE, Trigger(0.1, channel="A"))
    with pytest.raises(error, match=words):
        scope.open()
    assert driver.handles == {}
    driver.fail.clear()
    with scope:
        acquired(scope)


def test_too_many_captures_for_the_memory():
    driver = FakeDriver("ps3000a")
    with pytest.raises(LayoutError, match="do not fit"):
        scope_on(driver, TWO, samples=100_000, captures=10).open()
    assert driver.handles == {}


def test_unplugged_in_the_middle():
    driver = FakeDriver("ps3000a")
    with pytest.raises(ResourceError, match="still plugged in"):
        with scope_on(driver, ONE) as scope:
            _unplugged_while_acquiring(driver, scope)


def _unplugged_while_acquiring(driver, scope):
    acquired(scope)
    driver.unplugged = True
    acquired(scope)


def test_a_unit_without_its_power_supply_works():
    driver = FakeDriver("ps4000a")
    driver.power_status = NO_POWER
    with scope_on(driver, ONE) as scope:
        acquired(scope)
    assert "ChangePowerSource" in driver.log


def test_a_unit_that_is_open_cannot_be_opened_again():
    driver = FakeDriver("ps3000a")
    library = driver.library()
    first = PicoUnit("ps3000a", "CO123/456", library)
    with pytest.raises(NotFoundError, match="close the other program"):
        PicoUnit("ps3000a", "CO123/456", library)
    first.close()


def test_without_the_driver_of_the_maker(monkeypatch):
    from picosdk.library import Library

    def nothing(_):
        raise OSError("not found")

    monkeypatch.setattr(Library, "_load", nothing)
    with pytest.raises(ResourceError, match=r"picotech\.com"):
        PicoScope("ps3000a", ONE).open()


def test_without_picosdk(monkeypatch):
    monkeypatch.setitem(sys.modules, "picosdk", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[devices\]"):
        PicoScope("ps3000a", ONE).open()


@pytest.mark.parametrize(
    "wrong",
    [
        {"series": "ps9000"},
        {"channels": {}},
        {"channels": {"Q": PicoChannel()}},
        {"trigger": Trigger(0.1, channel="B")},
        {"trigger": Trigger(0.1, channel=1)},
        {"trigger": Trigger(0.1, channel="A", width=3)},
        {"samples": 0},
        {"pretrigger": 1.5},
        {"captures": 0},
        {"auto_trigger_ms": -1},
    ],
)
def test_settings_that_are_not_possible(wrong):
    with pytest.raises(LayoutError):
        PicoScope(**{"series": "ps3000a", "channels": ONE, **wrong})
