"""A source at a rate: the plan of its events, waiting that can be ended, and all else as without a clock."""

import math
import pickle
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.roles import BatchSource, Source
from labdaq.sim import GeigerCounter, MuonStack, clocked


class Device:
    """A source of one event at a time, which notes what it is told."""

    dtype, shape = np.dtype("i4"), ()

    def __init__(self):
        self.told = []

    def open(self):
        self.told.append("open")

    def close(self):
        self.told.append("close")

    def interrupt(self):
        self.told.append("interrupt")

    def acquire(self, event):
        event.data[...] = len(self.told)


class Batches:
    def acquire_batch(self, events):
        events.data[...] = 1
        events.planes["timestamp_ns"][...] = 7
        return len(events)


class Events:
    def __init__(self, n):
        self.data = np.zeros(n, "i4")
        self.planes = {"timestamp_ns": np.zeros(n, np.int64)}

    def __len__(self):
        return len(self.data)


def slot():
    return SimpleNamespace(data=np.zeros((), "i4"), timestamp_ns=None)


class TestWaiting:
    @pytest.mark.parametrize("poisson", [False, True])
    def test_events_do_not_come_before_they_are_due(self, poisson):
        begin = time.monotonic()
        source = clocked(iter(range(20)), rate_hz=400.0, poisson=poisson, seed=3)
        assert list(source) == list(range(20))
        gaps = np.random.Generator(np.random.Philox(np.random.SeedSequence(3))).exponential(1 / 400, 1024)
        assert time.monotonic() - begin >= (gaps[:20].sum() if poisson else 20 / 400)

    def test_batches_hold_what_is_due(self):
        source, events = clocked(Batches(), rate_hz=1000.0), Events(1000)
        begin = time.monotonic()
        given = 0
        while given < 50:
            n = source.acquire_batch(events)
            assert 1 <= n <= 1 + 1000 * (time.monotonic() - begin) - given
            assert events.data[:n].all()
            given += n
        assert time.monotonic() - begin >= 0.05

    def test_batches_that_are_smaller_than_what_is_due(self):
        source, events = clocked(Batches(), rate_hz=math.inf), Events(10)
        assert {source.acquire_batch(events) for _ in range(300)} == {10}
        assert events.planes["timestamp_ns"].tolist() == [7] * 10

    @pytest.mark.parametrize("read", ["acquire", "acquire_batch", "__next__"])
    def test_is_ended_by_an_interrupt(self, read):
        source = clocked(MuonStack(), rate_hz=1e-6)
        errors = []

        def wait():
            try:
                getattr(source, read)(*([] if read == "__next__" else [Events(1)]))
            except EndOfDataError as error:
                errors.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        source.interrupt()
        thread.join(10)
        assert errors == ["waiting for the next event was interrupted; open() begins anew"]

    def test_opened_again_after_an_interrupt(self):
        device = Device()
        source = clocked(device, rate_hz=1000.0)
        source.interrupt()
        with pytest.raises(EndOfDataError):
            source.acquire(slot())
        source.open()
        event = slot()
        source.acquire(event)
        source.close()
        assert event.data == 2
        assert device.told == ["interrupt", "open", "close"]


class TestTheSource:
    def test_is_the_same_with_a_clock(self):
        plain, source = MuonStack(seed=3, events=5), clocked(MuonStack(seed=3, events=5), rate_hz=math.inf)
        assert (source.shape, source.dtype, source.header, source.seed) == (
            plain.shape,
            plain.dtype,
            plain.header,
            3,
        )
        for (data, time_ns), (expected, expected_ns) in zip(source, plain, strict=True):
            np.testing.assert_array_equal(data, expected)
            assert time_ns == expected_ns
        with pytest.raises(EndOfDataError, match="5 events"):
            source.acquire(SimpleNamespace(data=np.zeros((4, 4250), "f4")))
        source.rewind()
        assert len(source.batch(10)) == 5

    def test_has_the_methods_that_it_had(self):
        both, one, many, values = (
            clocked(source, rate_hz=1.0) for source in (MuonStack(), Device(), Batches(), (i for i in range(3)))
        )
        assert [isinstance(source, Source) for source in (both, one, many, values)] == [True, True, False, False]
        assert [isinstance(source, BatchSource) for source in (both, one, many, values)] == [True, False, True, False]
        assert not hasattr(one, "losses")
        assert clocked(GeigerCounter(), rate_hz=1.0).losses() == {"dead time of the tube": 0}

    def test_pickled(self):
        source = pickle.loads(pickle.dumps(clocked(GeigerCounter(seed=3), rate_hz=1e4, poisson=True, seed=9)))
        assert repr(source) == "GeigerCounter(seed=3, events=None), next event 0 at 10000 Hz"
        np.testing.assert_array_equal(next(source)[0], next(GeigerCounter(seed=3))[0])


def test_random_gaps_are_exponential():
    source = clocked(Batches(), rate_hz=1e4, poisson=True, seed=1)
    source._plan.wait()
    gaps = np.diff(source._plan._due_s)
    assert stats.kstest(gaps, "expon", args=(0, 1e-4)).pvalue > 1e-3


@pytest.mark.parametrize("setting", [{"rate_hz": 0.0}, {"rate_hz": math.nan}, {"rate_hz": 1.0, "seed": -1}])
def test_rates_that_are_none(setting):
    with pytest.raises(LayoutError, match="the rate must be positive"):
        clocked(Device(), **setting)


def test_what_is_no_source():
    with pytest.raises(LayoutError, match=r"needs acquire\(\), or to be iterable"):
        clocked(object(), rate_hz=1.0)
