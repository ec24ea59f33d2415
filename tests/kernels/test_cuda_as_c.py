"""Kernels for GPUs, where there is none: their sources as C, with NumPy for the rest."""

import pytest

from tests.kernels.c_device import COMPILER, CDevice
from tests.kernels.gpu_contract import GpuKernelTests


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    return CDevice(tmp_path_factory.mktemp("kernels"))


class TestAsC(GpuKernelTests):
    pass
