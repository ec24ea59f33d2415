"""Rings in the memory of a GPU keep the contract of rings."""

from labdaq.testing.rings import RingTests
from tests.device.gpu import gpu_or_skip

gpu_or_skip()


class TestCudaRings(RingTests):
    space = "cuda"


class TestCudaHostRings(RingTests):
    space = "cuda_host"
