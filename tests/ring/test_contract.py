"""Every kind of memory keeps the contract of rings."""

from labdaq.testing.rings import RingTests


class TestSystemRings(RingTests):
    space = "system"


class TestSharedRings(RingTests):
    space = "shared"
