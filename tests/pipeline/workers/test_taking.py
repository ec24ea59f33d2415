"""A source that has a device is its only user, in all pipelines and processes."""

import time

import numpy as np
import pytest

from labdaq import sim
from labdaq.devices import DeviceSource, held, holder_of
from labdaq.pipeline import Pipeline, RunState
from tests.pipeline.making import LONG_S


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


class Scope:
    """Of somebody who never heard of locks."""

    device = "scope 1"

    def __init__(self) -> None:
        self.is_open = self.was_open = False

    def open(self) -> None:
        self.is_open = self.was_open = True

    def acquire(self, event) -> None:
        time.sleep(1e-4)
        event.data[...] = 1.0

    def close(self) -> None:
        self.is_open = False


class HoldsItself(Scope):
    """Of somebody who read of `held`."""

    def open(self) -> None:
        self.held = held(self.device, "its own")
        self.held.__enter__()

    def close(self) -> None:
        self.held.__exit__(None, None, None)


class WithFullName(DeviceSource):
    """Knows the full name of its device when it is opened."""

    device = "scope"

    def _resolve(self) -> None:
        self.device = "scope 1"

    def _connect(self, opened) -> None:
        self.was_open = True

    def acquire(self, event) -> None:
        self._check()
        time.sleep(1e-4)
        event.data[...] = 1.0


def pipeline(source, name="second", **settings):
    daq = Pipeline(name, store=None)
    raw = daq.ring("raw", "f8", (4,), 16)
    daq.source(source, raw, name="scope", **settings)
    daq.drain(raw)
    return daq


@pytest.mark.parametrize("run_in", ["threads", "processes"])
def test_the_device_has_one_user(run_in):
    with pipeline(Scope(), "first", run_in=run_in) as first, pipeline(Scope()) as second:
        run = first.start()
        end = time.monotonic() + LONG_S
        while not run.events:
            assert time.monotonic() < end
            time.sleep(0.001)
        source = second.nodes["scope"].work
        result = second.run(events=10)
        assert (result.state, result.events, source.was_open) == (RunState.FAILED, 0, False)
        assert f"'scope 1' is used by {holder_of('scope 1')}" in result.reason
        assert f"for the run {run.folder.name!r}" in result.reason
        first.stop()
        assert first.wait().state == RunState.ENDED
        assert second.run(events=10).state == RunState.ENDED  # now it is free
    assert holder_of("scope 1") is None


@pytest.mark.parametrize("kind", [HoldsItself, WithFullName])
@pytest.mark.parametrize("is_clocked", [False, True])
def test_who_holds_it_himself_may_do_so(kind, is_clocked):
    source = sim.clocked(kind(), rate_hz=1e4) if is_clocked else kind()
    with pipeline(source) as daq:
        assert daq.run(events=10).state == RunState.ENDED
        with held("scope 1"):
            result = daq.run(events=10)
        assert result.state == RunState.FAILED
        assert "'scope 1' is used by" in result.reason
        assert daq.run(events=10).state == RunState.ENDED


def test_what_an_array_calls_its_device_is_none():
    class Array:
        device = "cpu"  # as all arrays of the array API say
        values = np.zeros((20, 4))

        def __array__(self, *settings):
            return self.values

        def __iter__(self):
            return iter(self.values)

    with held("cpu"), pipeline(Array()) as daq:
        assert daq.run().events == 20
