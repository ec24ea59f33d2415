"""The simulated detector: same seed same bytes, truth as ordered, waveforms like the recorded ones."""

import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labdaq.errors import EndOfDataError, LayoutError
from labdaq.files import read_recording
from labdaq.sim import MuonDetector
from tests.recorded import recorded


@pytest.fixture(scope="module")
def batch():
    return MuonDetector(seed=1).batch(20_000)


def digest(detector, n=200):
    events = detector.batch(n)
    return hashlib.sha256(events.waveforms.tobytes() + events.timestamp_ns.tobytes()).hexdigest()


class TestSameSeedSameBytes:
    def test_in_another_process(self):
        code = (
            "import hashlib; from labdaq.sim import MuonDetector; b = MuonDetector(seed=42).batch(200);"
            "print(hashlib.sha256(b.waveforms.tobytes() + b.timestamp_ns.tobytes()).hexdigest())"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert told.stdout.strip() == digest(MuonDetector(seed=42))

    def test_another_seed_gives_other_bytes(self):
        assert len({digest(MuonDetector(seed)) for seed in range(5)}) == 5

    @settings(max_examples=20)
    @given(st.lists(st.integers(0, 150), max_size=6))
    def test_however_the_events_are_read(self, sizes):
        whole, parts = MuonDetector(seed=9), MuonDetector(seed=9)
        expected = whole.batch(sum(sizes))
        read = [parts.batch(size) for size in sizes]
        np.testing.assert_array_equal(
            expected.timestamp_ns, np.concatenate([[], *(part.timestamp_ns for part in read)])
        )
        if sum(sizes):
            waveforms = np.concatenate([part.waveforms for part in read])
            np.testing.assert_array_equal(expected.waveforms, waveforms)

    def test_iterated_acquired_or_in_a_batch(self):
        detector = MuonDetector(seed=2)
        expected = detector.batch(130)
        detector.rewind()
        slot = SimpleNamespace(data=np.zeros(4000, "f4"), timestamp_ns=0)
        for i in range(0, 130, 2):
            waveform, timestamp_ns = next(detector)
            detector.acquire(slot)
            np.testing.assert_array_equal([waveform, slot.data], expected.waveforms[i : i + 2])
            assert [timestamp_ns, slot.timestamp_ns] == expected.timestamp_ns[i : i + 2].tolist()


class TestEnd:
    def test_iteration_ends(self):
        assert len(list(MuonDetector(events=70))) == 70

    def test_last_batch_is_short_and_then_it_says_so(self):
        detector = MuonDetector(events=70)
        assert [len(detector.batch(50)), len(detector.batch(50)), len(detector.batch(0))] == [50, 20, 0]
        with pytest.raises(EndOfDataError, match="70 events"):
            detector.batch(1)
        with pytest.raises(EndOfDataError, match="70 events"):
            detector.acquire(SimpleNamespace(data=np.zeros(4000), timestamp_ns=0))

    def test_rewind(self):
        detector = MuonDetector(events=3)
        first = [waveform.tobytes() for waveform, _ in detector]
        detector.rewind()
        assert [waveform.tobytes() for waveform, _ in detector] == first


class TestTruth:
    def test_fractions(self, batch):
        is_accidental = ~batch.is_decay & ~np.isnan(batch.delay_us)
        assert batch.is_decay.mean() == pytest.approx(0.58, abs=0.015)
        assert is_accidental.mean() == pytest.approx(0.32, abs=0.015)

    def test_free_muons_decay_exponentially(self):
        delays = MuonDetector(seed=3, decays=1, accidentals=0, captured=0, samples=50).batch(20_000).delay_us
        assert stats.kstest(delays, "expon", args=(0, 2.197)).pvalue > 1e-3

    def test_captured_muons_live_shorter(self):
        delays = MuonDetector(seed=3, decays=1, accidentals=0, captured=1, samples=50).batch(20_000).delay_us
        assert stats.kstest(delays, "expon", args=(0, 1.795)).pvalue > 1e-3

    def test_mean_lifetime_is_that_of_the_mixture(self, batch):
        delays = batch.delay_us[batch.is_decay]
        error = delays.std() / np.sqrt(len(delays))
        assert abs(delays.mean() - MuonDetector().mean_lifetime_us) < 4 * error

    def test_accidentals_come_at_any_delay(self):
        delays = (
            MuonDetector(seed=3, decays=0, accidentals=1, samples=50, sample_interval_ns=320).batch(20_000).delay_us
        )
        assert stats.kstest(delays, "uniform", args=(0, 15.2)).pvalue > 1e-3

    def test_triggers_are_a_poisson_process(self):
        times = MuonDetector(seed=3, rate_hz=250.0, start_ns=10**18, samples=50).batch(20_000).timestamp_ns
        gaps = np.diff(times, prepend=10**18) * 1e-9
        assert stats.kstest(gaps, "expon", args=(0, 1 / 250)).pvalue > 1e-3
        assert gaps.min() >= 0


class TestWaveforms:
    def test_are_volts_of_an_8_bit_digitiser(self, batch):
        assert batch.waveforms.dtype == np.float32
        assert batch.waveforms.shape == (20_000, 4000)
        levels = MuonDetector().levels
        assert len(levels) == 255
        assert np.isin(np.unique(batch.waveforms[:2000]), levels).all()

    def test_trigger_is_where_it_should_be(self, batch):
        crossing = np.argmax(batch.waveforms[:, 150:] < -0.045, axis=1) + 150
        assert np.percentile(crossing, [0.1, 99.9]) == pytest.approx(200, abs=3)
        late = MuonDetector(pretrigger=0.5).batch(50).waveforms
        assert np.argmax(late < -0.047, axis=1) == pytest.approx(2000, abs=6)

    def test_events_are_memory_of_the_caller(self):
        detector = MuonDetector()
        waveform, _ = next(detector)
        waveform[:] = 7
        detector.rewind()
        assert next(detector)[0].max() < 1

    def test_channels_see_the_same_event_with_pulses_of_their_own(self):
        detector = MuonDetector(seed=4, channels=2)
        waveforms = detector.batch(500).waveforms
        assert waveforms.shape == (500, *detector.shape) == (500, 2, 4000)
        height = -waveforms.min(axis=2)
        assert abs(np.corrcoef(height.T)[0, 1]) < 0.2
        assert np.argmax(waveforms < -0.047, axis=2) == pytest.approx(200, abs=6)

    def test_other_sampling(self):
        detector = MuonDetector(samples=1000, sample_interval_ns=16.0)
        assert detector.batch(3).waveforms.shape == (3, 1000)
        assert json.loads(json.dumps(detector.header))["sample_interval_ns"] == 16.0

    def test_look_like_the_recorded_ones(self, batch):
        recording = read_recording(recorded("muon/kanne_180403_waveforms.npz"))
        real = np.array([waveform for waveform, _ in recording])
        detector = MuonDetector()
        assert recording.shape == detector.shape
        assert recording.sample_interval_ns == pytest.approx(detector.sample_interval_ns)
        assert recording.header.keys() - {"recording"} == detector.header.keys() - {"seed"}
        nearest = np.abs(recording.levels[:, None] - detector.levels).min(axis=1)
        assert nearest.max() < 2e-4
        for part in (np.mean, np.std):
            assert part(batch.waveforms[:, :180]) == pytest.approx(part(real[:, :180]), abs=2e-4)
        heights = [np.percentile(-w[:, 190:240].min(axis=1), [25, 50, 75]) for w in (batch.waveforms, real)]
        np.testing.assert_allclose(heights[0], heights[1], rtol=0.6)


@pytest.mark.parametrize(
    "setting",
    [
        {"seed": -1},
        {"decays": 0.7, "accidentals": 0.4},
        {"captured": 1.1},
        {"pretrigger": -0.1},
        {"pretrigger": 1.1},
        {"channels": 0},
        {"rate_hz": 0.0},
        {"lifetime_us": 0.0},
    ],
)
def test_settings_outside_their_range(setting):
    with pytest.raises(LayoutError, match=next(iter(setting))):
        MuonDetector(**setting)


def test_wrong_memory():
    with pytest.raises(LayoutError, match=r"\(4000,\), not \(7,\)"):
        MuonDetector().acquire(SimpleNamespace(data=np.zeros(7), timestamp_ns=0))
