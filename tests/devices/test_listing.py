"""What there is, whatever is missing or broken."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from labdaq.devices import listing
from labdaq.devices.listing import DeviceInfo, list_devices
from labdaq.devices.locks import held
from labdaq.errors import ResourceError
from tests.devices.fake_pico import FakeDriver
from tests.devices.fake_sounddevice import Cards


@pytest.fixture
def everything(monkeypatch):
    """One device of each kind."""
    for package in ("serial", "pyvisa", "picosdk"):
        pytest.importorskip(package)
    import pyvisa
    import serial.tools.list_ports

    ports = [SimpleNamespace(device="/dev/ttyACM0", description="Arduino Uno")]
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda: ports)
    manager = SimpleNamespace(list_resources=lambda query: ("USB0::1::INSTR",), close=lambda: None)
    monkeypatch.setattr(pyvisa, "ResourceManager", lambda: manager)
    monkeypatch.setitem(sys.modules, "sounddevice", Cards())
    monkeypatch.setattr(listing, "find_spec", lambda module: module)
    library = FakeDriver("ps3000a", serials=["one", "two"]).library()

    def load(series):
        if series != "ps3000a":
            raise ResourceError("no driver")
        return library

    monkeypatch.setattr(listing, "load_library", load)


@pytest.fixture
def added(monkeypatch):
    """Listers of other packages."""
    entries = []
    monkeypatch.setattr(listing, "entry_points", lambda group: entries if group == "labdaq.devices" else None)

    def add(name, load):
        entries.append(SimpleNamespace(name=name, load=load))

    return add


def test_one_of_each_kind(everything):
    with held("serial line /dev/ttyACM0", run="muons"):
        found = list_devices()
    by_address = {device.address: device for device in found}
    assert by_address["/dev/ttyACM0"].name == "Arduino Uno"
    assert "for the run 'muons'" in by_address["/dev/ttyACM0"].state
    assert by_address["1"] == DeviceInfo("sound card", "USB Audio left", "1", "free")
    assert by_address["USB0::1::INSTR"].kind == "VISA"
    assert by_address["two"] == DeviceInfo("PicoScope", "PicoScope ps3000a two", "two", "free")
    assert by_address["ps2000a"].state == "not available: no driver"
    assert [device.kind for device in found] == sorted((device.kind for device in found), key=[*KINDS, "GPU"].index)


KINDS = ["serial line", "sound card", "VISA", "PicoScope"]


def test_what_is_not_installed_is_said_and_not_imported():
    code = """
import importlib.util, sys
found = importlib.util.find_spec
optional = {"serial", "sounddevice", "pyvisa", "picosdk", "websockets"}
importlib.util.find_spec = lambda name, *rest: None if name in optional else found(name, *rest)
from labdaq.devices import list_devices
for device in list_devices():
    print(device.kind, device.state, device.extra, sep="|")
sys.exit(sum(name.split(".")[0] in optional for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == [
        f"{kind}|not available: {module} is not installed|devices"
        for kind, module in zip(KINDS, ["serial", "sounddevice", "pyvisa", "picosdk"], strict=True)
    ]


def test_a_back_end_that_is_broken_does_not_hide_the_others(everything, monkeypatch):
    sys.modules["sounddevice"].query_devices = lambda: 1 / 0
    found = list_devices()
    assert [device.state for device in found if device.kind == "sound card"] == [
        "broken: ZeroDivisionError: division by zero"
    ]
    assert {device.kind for device in found} == {*KINDS, "GPU"}


def test_listers_of_other_packages(everything, added):
    mine = DeviceInfo("spectrometer", "Spectro", "spectro://1", "free")
    added("good", lambda: lambda: iter([mine]))
    assert list_devices()[-1] == mine


def not_there():
    raise ModuleNotFoundError("no module named 'spectro'")


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (not_there, "broken: ModuleNotFoundError: no module named 'spectro'"),
        (lambda: lambda: 1 / 0, "broken: ZeroDivisionError"),
        (lambda: lambda: [1], "broken: TypeError: 1 is no DeviceInfo"),
        (lambda: lambda: None, "broken: TypeError"),
        (lambda: None, "broken: TypeError"),
    ],
)
def test_a_lister_that_is_broken_is_an_entry(everything, added, load, words):
    added("spectrometer", load)
    last = list_devices()[-1]
    assert last.kind == "spectrometer"
    assert last.state.startswith(words)
