"""The stack: decays as ordered, seen by the layers that they should, and found again by the kernels."""

import numpy as np
import pytest
from scipy import stats

from labdaq.errors import LayoutError
from labdaq.kernels import find_decays
from labdaq.sim import MuonStack

SHORT = {"samples": 300, "pretrigger_samples": 50, "sample_interval_ns": 10.0}


@pytest.fixture(scope="module")
def truth():
    return MuonStack(seed=1, stopped=0.5, asymmetry=0.3, **SHORT).batch(40_000).truth


@pytest.fixture(scope="module")
def stopped(truth):
    return truth[~np.isnan(truth["delay_us"])]


class TestTruth:
    def test_decays_are_exponential(self, truth, stopped):
        assert len(stopped) / len(truth) == pytest.approx(0.5, abs=0.012)
        assert stats.kstest(stopped["delay_us"], "expon", args=(0, 2.197)).pvalue > 1e-3
        assert stopped["delay_us"].mean() == pytest.approx(2.197, abs=4 * 2.197 / np.sqrt(len(stopped)))

    def test_electrons_follow_the_spin(self, stopped):
        phase = np.cos(2 * np.pi * stopped["delay_us"] / (0.85 * 2.197))
        side = np.where(stopped["is_up"], 1.0, -1.0)
        asymmetry = (side * phase).sum() / (phase**2).sum()
        assert asymmetry == pytest.approx(0.3, abs=4 / np.sqrt((phase**2).sum()))

    def test_layers_that_fire(self, truth):
        is_stopped = ~np.isnan(truth["delay_us"])
        first, second = truth["first_mv"] > 0, truth["second_mv"] > 0
        assert first[~is_stopped].mean(axis=0) == pytest.approx([0.95] * 4, abs=0.01)
        assert first[is_stopped].mean(axis=0) == pytest.approx([0.95, 0.95, 0, 0], abs=0.01)
        assert not second[~is_stopped].any()
        is_within = is_stopped & (truth["delay_us"] < 1.4)  # its pulse of 1 us ends before the waveform
        is_up, is_down = is_within & truth["is_up"], is_within & ~truth["is_up"]
        assert second[is_up].mean(axis=0) == pytest.approx([0.95, 0.95, 0, 0], abs=0.02)
        assert second[is_down].mean(axis=0) == pytest.approx([0, 0, 0.95, 0.95], abs=0.02)
        assert not second[is_stopped & (truth["delay_us"] > 1.51)].any()

    def test_heights(self, truth):
        heights = truth["first_mv"][truth["first_mv"] > 0]
        assert [heights.mean(), heights.std()] == pytest.approx([250, 75], abs=2)
        choice = MuonStack(seed=1, pulse_mv=[100, 500], spread=0.0, **SHORT).batch(500).truth["first_mv"]
        assert set(np.unique(choice)) == {0, 100, 500}

    def test_triggers_are_a_poisson_process(self, truth):
        gaps = np.diff(truth["timestamp_ns"], prepend=0) * 1e-9
        assert stats.kstest(gaps, "expon", args=(0, 0.1)).pvalue > 1e-3

    def test_trigger_is_a_threshold_of_the_uppermost_layer(self):
        first = MuonStack(seed=1, trigger_mv=260.0, **SHORT).batch(2000).truth["first_mv"]
        assert first[:, 0][first[:, 0] > 0].min() >= 260
        assert first[:, 1][first[:, 1] > 0].min() < 260


class TestWaveforms:
    def test_are_pulses_on_an_offset_with_noise(self):
        stack = MuonStack(seed=2, offset_mv=100.0, stopped=1.0, **SHORT)
        events = stack.batch(200)
        assert events.data.shape == (200, *stack.shape) == (200, 4, 300)
        before = events.data[:, :, :50]
        assert [before.min(), before.max()] == pytest.approx([100 - 250 / 60, 100 + 250 / 60], abs=0.01)
        time_ns = 10 * np.arange(100)
        second_at = (events.truth["delay_us"] * 100).astype(int) + 50
        for waveforms, record, second in zip(events.data, events.truth, second_at, strict=True):
            expected = np.full((4, 300), 100.0)
            expected[:, 50:150] += record["first_mv"][:, None] * np.exp(-time_ns / 250)
            if record["second_mv"].any():
                expected[:, second : second + 100] += record["second_mv"][:, None] * np.exp(-time_ns / 250)
            assert abs(waveforms - expected).max() < 250 / 60 + 1e-3

    def test_default_is_that_of_the_examples_of_mimocorb(self):
        stack = MuonStack()
        assert (stack.shape, stack.dtype, stack.header["unit"]) == ((4, 4250), np.float32, "mV")

    def test_decays_are_found_again(self):
        events = MuonStack(seed=3, stopped=1.0, efficiency=1.0, spread=0.1, asymmetry=0.0).batch(300)
        decays = find_decays(
            events.data.astype(np.float64),
            [("++--", "++--"), ("++--", "--++")],
            first_prominence=90,
            second_prominence=35,
            sample_interval_ns=10,
        )
        truth = events.truth[decays["signature"] >= 0]
        decays = decays[decays["signature"] >= 0]
        assert len(decays) > 200
        assert decays["decay_time"] == pytest.approx(truth["delay_us"], abs=0.03)  # three samples
        assert ((decays["signature"] == 0) == truth["is_up"]).all()


@pytest.mark.parametrize(
    "setting",
    [
        {"layers": 3},
        {"layers": 0},
        {"samples": 100},
        {"pretrigger_samples": -1},
        {"stopped": 1.5},
        {"efficiency": -0.1},
        {"asymmetry": 1.1},
        {"spread": -1.0},
        {"pulse_mv": []},
        {"pulse_mv": [100.0, -1.0]},
        {"lifetime_us": 0.0},
        {"rate_hz": float("nan")},
        {"trigger_mv": 1000.0},
    ],
)
def test_settings_outside_their_range(setting):
    with pytest.raises(LayoutError, match=next(iter(setting))):
        MuonStack(**setting)
