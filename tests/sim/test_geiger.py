"""The counting tube: counts of a Poisson process, and losses by the two formulas of dead time."""

import numpy as np
import pytest
from scipy import stats

from labdaq.errors import LayoutError
from labdaq.sim import GeigerCounter

N = 100_000


def test_without_dead_time_it_counts_a_poisson_process():
    counter = GeigerCounter(seed=1, rate_hz=50.0, dead_time_us=0.0)
    counts = counter.batch(20_000)
    assert stats.kstest(counts.data["interval_s"], "expon", args=(0, 1 / 50)).pvalue > 1e-3
    per_second = np.bincount((counts.truth["timestamp_ns"] // 10**9).astype(int))[:-1]
    assert per_second.var() / per_second.mean() == pytest.approx(1.0, abs=0.3)
    assert counter.losses() == {"dead time of the tube": 0}


@pytest.mark.parametrize("is_paralyzable", [False, True])
@pytest.mark.parametrize("dead", [0.1, 1.0, 2.0])
def test_rates_and_losses(is_paralyzable, dead):
    counter = GeigerCounter(seed=2, rate_hz=1000.0, dead_time_us=1000 * dead, is_paralyzable=is_paralyzable)
    counts = counter.batch(N)
    duration_s = counts.data["interval_s"].sum()
    expected_hz = 1000 * np.exp(-dead) if is_paralyzable else 1000 / (1 + dead)
    error = np.std(counts.data["interval_s"]) * np.sqrt(N) / duration_s
    assert N / duration_s == pytest.approx(expected_hz, rel=4 * error)
    assert counter.expected_rate_hz == pytest.approx(expected_hz)
    lost = counter.losses()["dead time of the tube"]
    assert lost == counts.truth["lost"].sum()
    assert (N + lost) / duration_s == pytest.approx(1000.0, rel=4 / np.sqrt(N + lost))  # the true rate
    assert counts.data["interval_s"][1:].min() >= 1e-3 * dead


@pytest.mark.parametrize("is_paralyzable", [False, True])
def test_intervals_are_those_of_a_tube_that_was_played_through(is_paralyzable):
    dead_s, n = 1e-3, 40_000
    times = np.random.default_rng(3).exponential(1e-3, n).cumsum()
    counted, dead_until = [], 0.0
    for time in times.tolist():
        is_counted = time >= dead_until
        if is_counted:
            counted.append(time)
        if is_counted or is_paralyzable:
            dead_until = time + dead_s
    counter = GeigerCounter(seed=4, rate_hz=1000.0, dead_time_us=1000.0, is_paralyzable=is_paralyzable)
    intervals = counter.batch(len(counted)).data["interval_s"][1:]
    assert stats.ks_2samp(np.diff(counted), intervals).pvalue > 1e-3


def test_nothing_is_dead_before_the_first_count():
    first = [GeigerCounter(seed, rate_hz=1000.0, dead_time_us=5000.0).batch(1) for seed in range(200)]
    intervals = np.array([one.data["interval_s"][0] for one in first])
    assert stats.kstest(intervals, "expon", args=(0, 1e-3)).pvalue > 1e-3
    assert not any(one.truth["lost"][0] for one in first)


def test_losses_are_those_since_it_was_opened():
    counter = GeigerCounter(seed=1, rate_hz=5000.0)
    counter.batch(1000)
    assert counter.losses()["dead time of the tube"] > 0
    counter.open()
    assert counter.losses()["dead time of the tube"] == 0
    lost = counter.batch(500).truth["lost"].sum()
    assert counter.losses() == {"dead time of the tube": lost}


def test_times_are_the_sum_of_the_intervals():
    counts = GeigerCounter(seed=1, start_ns=10**18).batch(1000)
    sum_ns = 1e9 * np.cumsum(counts.data["interval_s"])
    assert abs(counts.truth["timestamp_ns"] - 10**18 - sum_ns).max() < 1001


@pytest.mark.parametrize("setting", [{"rate_hz": 0.0}, {"dead_time_us": -1.0}, {"dead_time_us": float("inf")}])
def test_settings_outside_their_range(setting):
    with pytest.raises(LayoutError, match=next(iter(setting))):
        GeigerCounter(**setting)


def test_a_tube_that_never_recovers():
    with pytest.raises(LayoutError, match="at most 100 us for a paralyzable tube at 100000 Hz"):
        GeigerCounter(rate_hz=1e5, dead_time_us=200.0, is_paralyzable=True)
