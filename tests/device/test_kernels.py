"""Kernels on a GPU give the numbers of the NumPy reference."""

import pytest

from tests.device.gpu import gpu_or_skip
from tests.kernels.gpu_contract import GpuKernelTests

GPU = gpu_or_skip()


class TestOnTheGpu(GpuKernelTests):
    @pytest.fixture
    def device(self):
        return GPU
