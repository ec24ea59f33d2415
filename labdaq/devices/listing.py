"""Which devices there are, and why those that are not cannot be used."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from labdaq.devices.locks import holder_of
from labdaq.devices.pico_driver import SERIES, load_library, serial_numbers
from labdaq.devices.soundcard import load_sounddevice
from labdaq.errors import LabdaqError
from labdaq.native.nvml import gpus

__all__ = ["DeviceInfo", "list_devices"]

_GROUP = "labdaq.devices"
_FREE = "free"


@dataclass(frozen=True)
class DeviceInfo:
    """A device, or why devices of a kind cannot be found."""

    kind: str
    """Such as ``"serial line"``."""
    name: str
    """For people; empty when this says why there are none."""
    address: str
    """What its source takes."""
    state: str
    """``"free"``, ``"used by …"``, or why it is not available."""
    extra: str = ""
    """The extra of labdaq that is missing; empty when nothing is."""


def list_devices() -> list[DeviceInfo]:
    """All devices that can be found, and one entry for each kind that cannot be looked for.

    Packages add theirs with an entry point in the group ``labdaq.devices``: a function without arguments that returns
    some :class:`DeviceInfo`. Instruments that wait in the network to be spoken to are not searched for.

    Returns
    -------
    list of DeviceInfo
        In the order of their kinds. Nothing is raised for what is missing or broken; it is in `state`.

    Examples
    --------
    >>> all(isinstance(device.state, str) for device in list_devices())
    True
    """
    found: list[DeviceInfo] = []
    for kind, module, lister in _KINDS:
        if find_spec(module) is None:
            found.append(DeviceInfo(kind, "", "", f"not available: {module} is not installed", "devices"))
        else:
            found += _asked(kind, lister)
    found += _asked("GPU", _gpus)
    for entry in entry_points(group=_GROUP):
        found += _asked(entry.name, partial(_added, entry))
    return found


def _asked(kind: str, lister: Callable[[], Iterable[DeviceInfo]]) -> list[DeviceInfo]:
    """What a lister says, or an entry with what it failed with."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of back ends that can look in some places only
            return list(lister())
    except LabdaqError as error:
        return [DeviceInfo(kind, "", "", f"not available: {error}")]
    except Exception as error:  # noqa: BLE001  # any package may fail in any way; the others are listed
        return [DeviceInfo(kind, "", "", f"broken: {type(error).__name__}: {error}")]


def _added(entry: EntryPoint) -> list[DeviceInfo]:
    """What the lister of another package says."""
    found = list(entry.load()())
    strange = [device for device in found if not isinstance(device, DeviceInfo)]
    if strange:
        raise TypeError(f"{strange[0]!r} is no DeviceInfo")
    return found


def _state(device: str) -> str:
    """Whether somebody has a device open, through labdaq."""
    holder = holder_of(device)
    return _FREE if holder is None else f"used by {holder}"


def _serial_lines() -> Iterable[DeviceInfo]:
    from serial.tools.list_ports import comports

    for port in comports():
        yield DeviceInfo("serial line", port.description, port.device, _state(f"serial line {port.device}"))


def _sound_cards() -> Iterable[DeviceInfo]:
    for number, card in enumerate(load_sounddevice().query_devices()):
        if card["max_input_channels"]:
            yield DeviceInfo("sound card", card["name"], str(number), _state(f"sound card {card['name']}"))


def _visa_instruments() -> Iterable[DeviceInfo]:
    import pyvisa

    manager = pyvisa.ResourceManager()
    try:
        for resource in manager.list_resources("?*"):
            yield DeviceInfo("VISA", resource, resource, _state(f"VISA {resource}"))
    finally:
        manager.close()


def _picoscopes() -> Iterable[DeviceInfo]:
    for series in SERIES:
        try:
            library = load_library(series)
        except LabdaqError as error:
            yield DeviceInfo("PicoScope", "", series, f"not available: {error}")
            continue
        for serial in serial_numbers(series, library):
            name = f"PicoScope {series} {serial}"
            yield DeviceInfo("PicoScope", name, serial, _state(name))


def _gpus() -> Iterable[DeviceInfo]:
    found = gpus()
    lacks_cupy = find_spec("cupy") is None
    for gpu in found:
        state = f"{gpu.free_nbytes / 1e9:.1f} of {gpu.total_nbytes / 1e9:.1f} GB free"
        if lacks_cupy:
            state += "; not available: cupy is not installed"
        yield DeviceInfo("GPU", gpu.name, str(gpu.number), state, "cuda" if lacks_cupy else "")
    if not found:
        yield DeviceInfo("GPU", "", "", "not available: no driver of an NVIDIA GPU answers")


_KINDS: tuple[tuple[str, str, Callable[[], Iterable[DeviceInfo]]], ...] = (
    ("serial line", "serial", _serial_lines),
    ("sound card", "sounddevice", _sound_cards),
    ("VISA", "pyvisa", _visa_instruments),
    ("PicoScope", "picosdk", _picoscopes),
)
