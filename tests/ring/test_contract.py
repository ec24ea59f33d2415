"""Every kind of memory keeps the contract of rings."""

import pytest

from labdaq.testing.rings import RingTests


class TestSystemRings(RingTests):
    space = "system"


class TestSharedRings(RingTests):
    space = "shared"


@pytest.mark.usefixtures("late")
class TestLateRings(RingTests):
    space = "late"


@pytest.mark.usefixtures("late")
class TestLateHostRings(RingTests):
    space = "late_host"
