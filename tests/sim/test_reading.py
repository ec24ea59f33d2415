"""What holds for every simulated instrument: same seed, same bytes, however it is read, and an end."""

import hashlib
import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.ring import Ring
from labdaq.roles import BatchSource, Source
from labdaq.sim import AnalogSource, GeigerCounter, MuonBatch, MuonDetector, MuonStack, Pendulum, Scintillator

MAKERS = {
    "muon detector": lambda **s: MuonDetector(samples=200, **s),
    "muon stack": lambda **s: MuonStack(samples=400, pretrigger_samples=20, stopped=0.5, **s),
    "scintillator": lambda **s: Scintillator("Co-60", samples=200, rate_hz=1e5, **s),
    "Geiger counter": lambda **s: GeigerCounter(rate_hz=5000, **s),
    "paralyzable counter": lambda **s: GeigerCounter(rate_hz=5000, is_paralyzable=True, **s),
    "one signal": lambda **s: AnalogSource("cw(1e3) + noise(0.1)", samples=50, **s),
    "two signals": lambda **s: AnalogSource(["square(50)", "noise(1)"], samples=50, **s),
    "pendulum": Pendulum,
    "pendulum in blocks": lambda **s: Pendulum(samples=30, **s),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make(request):
    return request.param


class Events:
    """Memory for a batch, as a ring has it."""

    def __init__(self, source, n):
        self.data = np.zeros((n, *source.shape), source.dtype)
        self.planes = {"timestamp_ns": np.zeros(n, np.int64)}

    def __len__(self):
        return len(self.data)


def fill(source, sizes):
    data, times = [], []
    for size in sizes:
        events = Events(source, size)
        assert source.acquire_batch(events) == size
        data.append(events.data)
        times.append(events.planes["timestamp_ns"])
    return np.concatenate(data).tobytes(), np.concatenate(times).tolist()


def test_are_sources_with_a_header_for_json(make):
    source = make(seed=3)
    assert isinstance(source, Source)
    assert isinstance(source, BatchSource)
    assert json.loads(json.dumps(source.header))["seed"] == source.seed == 3


def test_same_bytes_however_the_events_are_read(make):
    expected = fill(make(seed=5), [200])
    assert fill(make(seed=5), [1, 63, 64, 0, 70, 2]) == expected
    one_by_one = make(seed=5)
    slot = SimpleNamespace(data=np.zeros(one_by_one.shape, one_by_one.dtype), timestamp_ns=None)
    data, times = [], []
    for _ in range(100):
        waveform, timestamp_ns = next(one_by_one)
        one_by_one.acquire(slot)
        data += [np.array(waveform), slot.data.copy()]
        times += [timestamp_ns, slot.timestamp_ns]
    assert (np.array(data).tobytes(), times) == expected
    batch = make(seed=5).batch(200)
    assert (batch.waveforms if isinstance(batch, MuonBatch) else batch.data).tobytes() == expected[0]


def test_rewound_and_pickled_in_the_middle(make):
    source = make(seed=5)
    first = fill(source, [90])
    follower = pickle.loads(pickle.dumps(source))
    assert fill(source, [60]) == fill(follower, [60])
    source.rewind()
    assert fill(source, [90]) == first


def test_seeds_and_times(make):
    (one, times), (other, _) = fill(make(seed=1), [100]), fill(make(seed=2), [100])
    assert one != other
    assert np.all(np.diff(times) >= 0)
    assert fill(make(seed=1, start_ns=10**18), [100]) == (one, [10**18 + time for time in times])


def test_end(make):
    source = make(seed=1, events=70)
    assert [source.acquire_batch(Events(source, 50)), source.acquire_batch(Events(source, 50))] == [50, 20]
    assert source.acquire_batch(Events(source, 0)) == 0
    for read in (source.acquire_batch, lambda events: source.acquire(SimpleNamespace(data=events.data[0]))):
        with pytest.raises(EndOfDataError, match="70 events"):
            read(Events(source, 1))
    assert list(source) == []
    source.rewind()
    assert len(list(source)) == 70


def test_memory_of_another_shape_and_impossible_seeds(make):
    source = make(seed=1)
    with pytest.raises(LayoutError, match=r"has shape \(.*\), not \(7, 7\)"):
        source.acquire(SimpleNamespace(data=np.zeros((7, 7), source.dtype)))
    with pytest.raises(LayoutError, match="seed"):
        make(seed=-1)


@pytest.mark.parametrize("name", ["muon stack", "Geiger counter"])
def test_into_a_ring(name):
    expected = fill(MAKERS[name](seed=5), [10])
    source = MAKERS[name](seed=5)
    with Ring(dtype=source.dtype, shape=source.shape, capacity=16) as ring, ring.reader() as reader:
        with ring.writer() as writer:
            with writer.reserve(8) as events:
                assert source.acquire_batch(events) == 8
            for _ in range(2):
                with writer.reserve() as event:
                    source.acquire(event)
        ring.end()
        read = [(event.data.copy(), event.timestamp_ns) for event in reader]
    assert (np.array([data for data, _ in read]).tobytes(), [time for _, time in read]) == expected


def test_noise_is_the_same_on_every_platform():
    """Without pulses, whose shape is that of an exponential function, all is integers and exact."""
    noise = MuonStack(seed=42, efficiency=0.0, stopped=0.0).batch(70).data
    assert hashlib.sha256(noise.tobytes()).hexdigest()[:16] == "3ab0d0ef1fb0d66d"


def test_same_bytes_in_another_process():
    code = (
        "import hashlib; from labdaq.sim import MuonStack;"
        "print(hashlib.sha256(MuonStack(seed=42).batch(20).data.tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == hashlib.sha256(MuonStack(seed=42).batch(20).data.tobytes()).hexdigest()


def test_events_are_passed_over_as_if_they_had_been_read(make):
    one, other = make(seed=3, events=200), make(seed=3, events=200)
    fill(one, [130])
    other.skip(130)
    assert fill(other, [20]) == fill(one, [20])
    other.skip(1000)
    with pytest.raises(EndOfDataError):
        other.skip(1)


def test_a_clock_does_not_hold_up_what_is_passed_over_and_a_trigger_counts_it():
    from labdaq.roles import Trigger
    from labdaq.sim import clocked, triggered

    slow = clocked(MuonDetector(seed=3, samples=200), rate_hz=1e-3)
    slow.skip(100)
    assert next(slow._source)[1] == MuonDetector(seed=3, samples=200).batch(101).timestamp_ns[-1]
    assert not hasattr(triggered(MuonDetector(), Trigger(0.05)), "skip")
