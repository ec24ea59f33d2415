"""A device without a GPU: kernels in CUDA C are compiled as C, and run thread after thread on arrays of NumPy."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np

PRELUDE = """
#include <math.h>
static long long THREAD;
#define KERNEL static void
#define ADD(where, amount) (*(where) += (amount))
"""
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Offboard(np.ndarray):
    """An array that says it is on a GPU; the public functions then choose what they have for one."""

    labdaq_device = None

    def __array_finalize__(self, other):
        self.labdaq_device = getattr(other, "labdaq_device", None)

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.ctypes.data, False), "version": 3}


class CDevice:
    """See :class:`labdaq.native.cuda.Device`: as much of it as kernels need."""

    xp = np

    def __init__(self, folder):
        self.folder = Path(folder)
        self.functions = {}

    def launch(self, kernel, threads, *arguments):
        types = [_type_of(one) for one in arguments]
        key = kernel, tuple(types)
        if key not in self.functions:
            self.functions[key] = self._compiled(kernel, types)
        values = [one.ctypes.data if isinstance(one, np.ndarray) else one for one in arguments]
        assert all(one.flags.c_contiguous for one in arguments if isinstance(one, np.ndarray))
        self.functions[key](threads + 100, *values)  # as on a GPU, some threads have nothing to do

    def _compiled(self, kernel, types):
        names = [f"a{i}" for i in range(len(types))]
        takes = ", ".join(f"{kind} {name}" for kind, name in zip(types, names, strict=True))
        loop = f"for (THREAD = 0; THREAD < threads; THREAD++) {kernel.name}({', '.join(names)});"
        code = f"{PRELUDE}{kernel.source}\nvoid run(long long threads, {takes}) {{ {loop} }}\n"
        at = self.folder / f"{kernel.name}-{len(self.functions)}"
        at.with_suffix(".c").write_text(code)
        command = [
            COMPILER,
            "-O1",
            "-Wall",
            "-Werror",
            "-Wno-unused",
            "-shared",
            "-fPIC",
            "-o",
            at,
            at.with_suffix(".c"),
            "-lm",
        ]
        subprocess.run(command, check=True)
        run = ctypes.CDLL(str(at)).run
        run.argtypes = [ctypes.c_longlong, *(_C[kind] for kind in types)]
        run.restype = None
        return run

    def to_device(self, array):
        array = np.array(array).view(Offboard)
        array.labdaq_device = self
        return array

    def to_host(self, array):
        return np.array(array)


_C = {"void *": ctypes.c_void_p, "long long": ctypes.c_longlong, "double": ctypes.c_double}


def _type_of(argument):
    if isinstance(argument, np.ndarray):
        return "void *"
    return "double" if isinstance(argument, float) else "long long"
