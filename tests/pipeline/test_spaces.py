"""Pipelines that mix memory: of the processor, and of a device that does nothing before somebody waits for it."""

import numpy as np
import pytest

import labdaq
from labdaq.errors import LabdaqError, LayoutError
from labdaq.native.cuda import is_on_device
from labdaq.ring.device_memory import DeviceSpace
from labdaq.ring.spaces import SPACES
from labdaq.testing import LateDevice

N = 40


@pytest.fixture(autouse=True)
def late(monkeypatch):
    device = LateDevice()
    for name, on_host in (("late", False), ("late_host", True)):
        monkeypatch.setitem(SPACES, name, DeviceSpace(name, lambda: device, on_host=on_host))


@pytest.fixture
def daq():
    with labdaq.Pipeline(store=None) as pipeline:
        yield pipeline


def ramps():
    for number in range(N):
        yield np.full(6, number, "i4")


def expected(factor):
    return [(n, [factor * n] * 6) for n in range(N)]


def keep(daq, ring, seen):
    daq.sink(lambda event: seen.append((event.counter, np.array(event.data).tolist())), ring, name="keep")


@pytest.mark.parametrize("first", ["system", "late_host"])
def test_there_and_back(daq, first):
    """Host, device, device, host; each worker on a stream of its own."""
    seen, were_there = [], []
    raw = daq.ring("raw", "i4", 6, 5, space=first, planes={"weight": "f8"})
    there = daq.copy(raw, "late", capacity=3)
    doubled = daq.ring("doubled", "i4", 6, 3, space="late")
    back = daq.copy(doubled, "system", name="back")

    def double(event):
        were_there.append(is_on_device(event.data))
        return event.data * 2

    daq.source(ramps, raw)
    daq.filter(double, there, doubled)
    keep(daq, back, seen)
    ledger = daq.run().ledger
    assert (there.name, list(there.own_planes)) == ("raw_late", ["weight"])
    assert seen == expected(2)
    assert were_there == [True] * N
    assert str(ledger).count(f"in {N} = accepted {N}") == 5


@pytest.mark.parametrize("form", ["answers", "fills"])
def test_a_filter_may_work_there_between_rings_that_are_here(daq, form):
    seen = []
    raw, tripled = daq.ring("raw", "i4", 6, 5), daq.ring("tripled", "i4", 6, 5)

    def answers(event):
        assert is_on_device(event.data)
        return event.data * 3

    def fills(data, out):
        out[0] = data * 3
        return 1

    daq.source(ramps, raw)
    daq.filter(answers if form == "answers" else fills, raw, tripled, space="late")
    keep(daq, tripled, seen)
    daq.run()
    assert seen == expected(3)


def test_an_event_that_failed_there_is_kept_here(daq, tmp_path):
    with labdaq.Pipeline("bad", store=tmp_path) as daq:
        raw = daq.ring("raw", "i4", 6, 5)

        def look(event):
            if event.counter == 3:
                raise ValueError("bad")

        daq.source(ramps, raw)
        daq.sink(look, daq.copy(raw, "late"), name="look")
        result = daq.run()
    kept = list(result.folder.glob("quarantine/*.npz"))
    assert [np.load(path)["data"].tolist() for path in kept] == [[3] * 6]


def test_what_cannot_work_is_said_when_it_is_wired(daq):
    raw, made = daq.ring("raw", "i4", 6, 5, space="late"), daq.ring("made", "i4", 6)
    with pytest.raises(LayoutError, match=r"daq\.copy"):
        daq.sink("events.h5", raw)
    with pytest.raises(LayoutError, match="cuda_host"):
        daq.source(ramps, raw)
    for settings in ({"run_in": "processes"}, {"run_in": "compiled"}):
        with pytest.raises(LayoutError, match=r"threads|compiled"):
            daq.filter(print, raw, made, **settings)
    with pytest.raises(LayoutError, match="no space 'mars'"):
        daq.ring("red", "i4", space="mars")


def test_without_a_gpu_the_start_says_what_is_missing(daq, monkeypatch):
    monkeypatch.setattr("labdaq.native.cuda.importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("labdaq.ring.spaces.SPACES", SPACES)
    raw, made = daq.ring("raw", "i4", 6), daq.ring("made", "i4", 6)
    daq.source(ramps, raw)
    daq.filter(lambda event: event.data, raw, made, space="cuda")
    daq.drain(made)
    from labdaq.native.cuda import cuda_device

    cuda_device.cache_clear()
    with pytest.raises(LabdaqError, match="CuPy"):
        daq.start()
