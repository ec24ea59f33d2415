"""GPUs are found through the driver's library: here one that answers as NVML does, compiled for the test."""

import shutil
import subprocess

import pytest

from labdaq.devices import listing
from labdaq.native import nvml
from labdaq.native.nvml import Gpu, gpus
from labdaq.pipeline.running.snapshots import Snapshot
from labdaq.widgets import panel_html
from labdaq.widgets.subject import Seen

ANSWERS = """
#include <string.h>
static int devices[2];
int nvmlInit_v2(void) { return %(init)d; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) { *device = devices + i; return i ? 15 : 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned size) { strncpy(name, "NVIDIA Test", size); return 0; }
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *m) { m[0] = 80e9; m[1] = 60e9; m[2] = 20e9; return 0; }
"""


@pytest.fixture
def driver(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def make(init=0):
        path = tmp_path / f"libnvml{init}.so"
        path.with_suffix(".c").write_text(ANSWERS % {"init": init})
        subprocess.run([compiler, "-shared", "-fPIC", "-o", path, path.with_suffix(".c")], check=True)
        return str(path)

    return make


def test_gpus_are_listed_without_those_that_are_lost(driver):
    assert gpus(driver()) == [Gpu(0, "NVIDIA Test", 80_000_000_000, 60_000_000_000)]


def test_a_driver_that_does_not_start_is_none(driver):
    assert gpus(driver(init=9)) == []


def test_devices_and_panel_show_them(driver, monkeypatch):
    name = driver()
    for room in (listing, panel_html):
        monkeypatch.setattr(room, "gpus", lambda: nvml.gpus(name))
    shown = [one for one in listing.list_devices() if one.kind == "GPU"]
    assert [(one.name, one.address) for one in shown] == [("NVIDIA Test", "0")]
    assert shown[0].state.startswith("60.0 of 80.0 GB free")
    snapshot = Snapshot(1.0, "RUNNING", 0, (), (), 0.0)
    assert "<small>GPU 0</small><b>20.0 of 80 GB</b>" in panel_html.panel_html(Seen("muons", "RUNNING", snapshot))


def test_without_a_gpu_the_list_says_so(monkeypatch):
    monkeypatch.setattr(listing, "gpus", list)
    shown = [one for one in listing.list_devices() if one.kind == "GPU"]
    assert [one.state for one in shown] == ["not available: no driver of an NVIDIA GPU answers"]
