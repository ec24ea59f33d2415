"""A source behind a trigger."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.pipeline import Pipeline, RunState
from labdaq.roles import Trigger, parameters_of
from labdaq.sim import MuonStack, triggered


class Heights:
    """Pulses of height 0, 1, 2 … 9 and again."""

    dtype, shape, header = np.dtype("f8"), (50,), {"unit": "mV"}

    def __init__(self, events):
        self.left = events
        self.closed = False

    def acquire(self, event):
        if not self.left:
            raise EndOfDataError("no more")
        event.data[...] = 0
        event.data[20:30] = -self.left % 10
        self.left -= 1

    def close(self):
        self.closed = True


def heights_of(source):
    event, seen = SimpleNamespace(data=np.zeros(50), timestamp_ns=0), []
    source.open()
    while True:
        try:
            source.acquire(event)
        except EndOfDataError:
            return seen
        seen.append(int(event.data.max()))


def test_only_what_fires_comes_through_and_the_rest_is_counted():
    source = triggered(Heights(100), Trigger(7))
    assert heights_of(source) == [7, 8, 9] * 10
    assert source.losses() == {"no trigger": 70, "prescaled": 0}
    assert (source.dtype, source.shape, source.header["trigger"]["level"]) == (np.dtype("f8"), (50,), 7.0)
    source.close()
    assert source.source.closed


def test_the_prescale_counts_events():
    source = triggered(Heights(100), Trigger(7, prescale=4))
    assert heights_of(source) == ([7, 8, 9] * 10)[::4]
    assert source.losses() == {"no trigger": 70, "prescaled": 22}


def test_the_level_is_a_parameter():
    source = triggered(Heights(100), Trigger(7))
    parameters_of(source)["level"].set(9)
    assert heights_of(source) == [9] * 10


def test_it_can_go_to_another_process_at_the_level_that_was_set():
    source = triggered(MuonStack(seed=1, events=100), Trigger(300.0, prescale=2))
    parameters_of(source)["level"].set(250.0)
    there = pickle.loads(pickle.dumps(source))
    assert (there.level.value, there.header) == (250.0, source.header)
    here, seen = (acquired(one) for one in (source, there))
    assert seen == here
    assert there.losses() == source.losses()
    there.interrupt()
    with pytest.raises(EndOfDataError, match="interrupted"):
        there.acquire(SimpleNamespace(data=np.zeros(there.shape, "f4"), timestamp_ns=0))


def test_it_is_read_in_a_process():
    with Pipeline("triggered", store=None) as daq:
        source = triggered(MuonStack(seed=1, events=100), Trigger(300.0))
        raw = daq.ring("raw", source.dtype, source.shape, 64)
        daq.source(source, raw, name="stack", run_in="processes")
        daq.drain(raw)
        result = daq.run()
    assert result.state == RunState.ENDED, str(result)
    assert 0 < result.events < 100
    assert result.events + result.ledger["stack"].device_losses["no trigger"] == 100


def acquired(source):
    event, seen = SimpleNamespace(data=np.zeros(source.shape, "f4"), timestamp_ns=0), []
    source.open()
    while True:
        try:
            source.acquire(event)
        except EndOfDataError:
            return seen
        seen.append((event.timestamp_ns, float(event.data.max())))


def test_a_wait_for_what_never_fires_ends():
    source = triggered(Heights(10**9), Trigger(99))
    source.interrupt()
    with pytest.raises(EndOfDataError, match="interrupted"):
        source.acquire(SimpleNamespace(data=np.zeros(50)))


def test_batches_do_not_pass_it_by():
    source = triggered(MuonStack(seed=1), Trigger(50.0, channel="layer 2"))
    assert not hasattr(source, "acquire_batch")
    with pytest.raises(TypeError):
        iter(source)
    with pytest.raises(LayoutError, match="acquire"):
        triggered(iter([1]), Trigger(1))
