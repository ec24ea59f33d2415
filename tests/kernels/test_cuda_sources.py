"""The CUDA C of the kernels compiles, without a GPU, for old ones and new ones.

NVRTC, the compiler, comes with ``pip install nvidia-cuda-nvrtc-cu12`` and needs no driver.
"""

import ctypes
import importlib.util
from pathlib import Path

import pytest

from labdaq.kernels.cuda import detection, packing, pulses, spectra
from labdaq.native.cuda import Kernel

KERNELS = [
    *(packing.UNPACK.of(BITS=b, SIGNED=s, LITTLE=o) for b, s, o in [(1, 1, 0), (2, 0, 1), (4, 1, 0)]),
    packing.QUANTISE.of(IN="float", OUT="signed char", PER_ITEM=1, IS_SIGN=0),
    packing.QUANTISE.of(IN="double", OUT="unsigned char", PER_ITEM=8, IS_SIGN=1),
    packing.QUANTISE.of(IN="long long", OUT="unsigned int", PER_ITEM=1, IS_SIGN=0),
    *(detection.POWER.of(REAL=real) for real in ("float", "double")),
    *(detection.PRODUCTS.of(REAL="float", STOKES=stokes) for stokes in (0, 1)),
    detection.INTEGRATE.of(IN="float", OUT="float", WEIGHTED=0),
    detection.INTEGRATE.of(IN="unsigned short", OUT="double", WEIGHTED=1),
    spectra.FOLD.of(IN="signed char", REAL="float"),
    spectra.FOLD.of(IN="double", REAL="double"),
    spectra.DEDISPERSE.of(REAL="float"),
    pulses.PULSES.of(IN="short"),
    *(pulses.HISTOGRAM.of(DIMENSIONS=n) for n in (1, 2)),
]


@pytest.fixture(scope="module")
def nvrtc():
    spec = importlib.util.find_spec("nvidia")
    found = [p for at in (spec.submodule_search_locations if spec else []) for p in Path(at).rglob("libnvrtc.so.*")]
    if not found:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(found[0]))


def compiled(nvrtc, kernel, arch):
    """What the compiler says; empty when it is content."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    code = kernel.code.encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, b"kernel.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={arch}".encode())
    failed = nvrtc.nvrtcCompileProgram(program, 1, options)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() or ("failed" if failed else "")


@pytest.mark.parametrize("arch", ["compute_75", "compute_90"])
def test_every_kernel_compiles(nvrtc, arch):
    said = {kernel.source: compiled(nvrtc, kernel, arch) for kernel in KERNELS}
    assert {source: log for source, log in said.items() if log} == {}


def test_a_mistake_would_be_seen(nvrtc):
    assert "undefined" in compiled(nvrtc, Kernel("wrong", "KERNEL wrong(int *a) { a[THREAD] = b; }"), "compute_70")


def test_no_kernel_is_left_out():
    named = {
        k.name for room in (packing, detection, spectra, pulses) for k in vars(room).values() if isinstance(k, Kernel)
    }
    assert {kernel.name for kernel in KERNELS} == named
