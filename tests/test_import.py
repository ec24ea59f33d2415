"""`import labdaq` is quick, brings nothing heavy along, and every public name is really there."""

import subprocess
import sys

import pytest

import labdaq

HEAVY = {
    "bokeh", "cupy", "h5py", "iminuit", "ipywidgets", "llvmlite", "matplotlib", "numba", "pandas", "pyarrow",
    "pytest", "redis", "scipy", "zmq",
}  # fmt: skip


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_brings_nothing_heavy():
    loaded = set(run("import labdaq, sys; print(*sys.modules)").split())
    assert not loaded & HEAVY


def test_command_line_brings_nothing_heavy():
    loaded = set(run("import labdaq.cli, sys; print(*sys.modules)").split())
    assert not loaded & HEAVY


def test_import_is_quick():
    timed = "import time; t = time.perf_counter(); import labdaq; print(time.perf_counter() - t)"
    assert min(float(run(timed)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("name", labdaq.__all__)
def test_public_name_is_there(name):
    assert getattr(labdaq, name) is not None
    assert name in dir(labdaq)


def test_lazy_name_is_what_its_room_says():
    from labdaq.ring import Ring

    assert labdaq.Ring is Ring


def test_wrong_name_lists_the_right_ones():
    with pytest.raises(AttributeError, match=r"no 'Rnig'; .*Ring"):
        _ = labdaq.Rnig
