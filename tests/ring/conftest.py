"""What tests of rings share."""

import pytest

from labdaq.ring.device_memory import DeviceSpace
from labdaq.ring.spaces import SPACES
from labdaq.testing import LateDevice


@pytest.fixture
def late(monkeypatch):
    """Spaces of a device that does nothing before somebody waits for it."""
    device = LateDevice()
    for name, on_host in (("late", False), ("late_host", True)):
        monkeypatch.setitem(SPACES, name, DeviceSpace(name, lambda: device, on_host=on_host))
    return device
