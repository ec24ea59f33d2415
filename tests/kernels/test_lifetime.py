"""Lifetime fits: the likelihood against theory, pulls of many toys, and published data."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from labdaq.errors import DataError, LayoutError, MissingExtraError
from labdaq.files import read_recording
from labdaq.kernels.lifetime import fit_lifetime, lifetime_density, lifetime_nll
from tests.recorded import recorded

WINDOW = (1.5, 15.0)


def toy(rng, n, tau=2.2, background=0.3, window=WINDOW):
    """Decay times drawn from the density itself: the inverse of its exponential part."""
    begin, end = window
    is_background = rng.random(n) < background
    decays = begin - tau * np.log1p(rng.random(n) * np.expm1(-(end - begin) / tau))
    return np.where(is_background, rng.uniform(begin, end, n), decays)


@given(st.floats(0.05, 1e4), st.floats(0, 1), st.floats(0, 5), st.floats(0.5, 20))
def test_density_integrates_to_one(tau, background, begin, length):
    window = (begin, begin + length)
    middle = [begin + min(tau, length) * x for x in (0.1, 1, 5) if x * tau < length]
    total, _ = quad(lambda t: float(lifetime_density(t, tau, background, window)), *window, points=middle)
    assert total == pytest.approx(1, rel=1e-6)


def test_density_without_background_is_the_truncated_exponential():
    times = np.linspace(*WINDOW, 50)
    norm = np.exp(-WINDOW[0] / 2.2) - np.exp(-WINDOW[1] / 2.2)
    expected = np.exp(-times / 2.2) / 2.2 / norm
    np.testing.assert_allclose(lifetime_density(times, 2.2, 0.0, WINDOW), expected)


def test_density_of_a_window_late_in_time_does_not_underflow():
    assert lifetime_density(5000.0, 1.0, 0.0, (5000.0, 5010.0)) == pytest.approx(1, rel=1e-4)


def test_nll_is_that_of_the_density():
    times = np.array([2.0, 3.0, 9.0])
    expected = -np.log(lifetime_density(times, 2.2, 0.3, WINDOW)).sum()
    assert lifetime_nll(times, 2.2, 0.3, WINDOW) == pytest.approx(expected)


def test_long_window_without_background_gives_the_mean():
    times = np.random.default_rng(5).exponential(2.0, 4000)
    fit = fit_lifetime(times, (0.0, 1000.0))
    assert fit.tau_us == pytest.approx(times.mean(), rel=1e-3)
    assert fit.tau_error_us == pytest.approx(times.mean() / np.sqrt(len(times)), rel=0.02)


@pytest.mark.parametrize("background", [0.0, 0.2, 0.5])
def test_truth_is_recovered(background):
    times = toy(np.random.default_rng(11), 50_000, background=background)
    fit = fit_lifetime(times)
    assert fit.is_valid
    assert fit.n == len(times)
    assert abs(fit.tau_us - 2.2) < 4 * fit.tau_error_us
    assert abs(fit.background - background) < 4 * fit.background_error
    assert fit.nll <= lifetime_nll(times, 2.2, background, WINDOW)
    assert fit.nll == pytest.approx(lifetime_nll(times, fit.tau_us, fit.background, WINDOW))


def test_errors_mean_what_they_say():
    """Pulls of many experiments are normal: mean 0, width 1, and 68 % within the MINOS interval."""
    rng = np.random.default_rng(7)
    fits = [fit_lifetime(toy(rng, 2000)) for _ in range(300)]
    tau = np.array([fit.tau_us for fit in fits])
    pulls = (tau - 2.2) / np.array([fit.tau_error_us for fit in fits])
    assert abs(pulls.mean()) < 0.25
    assert pulls.std() == pytest.approx(1, abs=0.13)
    covered = [-fit.tau_error_minus_us <= 2.2 - fit.tau_us <= fit.tau_error_plus_us for fit in fits]
    assert np.mean(covered) == pytest.approx(0.683, abs=0.08)


def test_minos_interval_is_where_the_likelihood_falls_by_one_half():
    times = toy(np.random.default_rng(3), 1000)
    fit = fit_lifetime(times)
    for tau in (fit.tau_us - fit.tau_error_minus_us, fit.tau_us + fit.tau_error_plus_us):
        profile = min(lifetime_nll(times, tau, b, WINDOW) for b in np.linspace(0, 1, 2001))
        assert profile - fit.nll == pytest.approx(0.5, abs=0.01)


def test_times_outside_the_window_are_left_out():
    times = toy(np.random.default_rng(2), 500)
    fit = fit_lifetime(np.concatenate([times, [0.1, 1.5, 15.0, 40.0]]))
    assert fit == fit_lifetime(times)


def test_rate_is_the_density_times_the_decays():
    fit = fit_lifetime(toy(np.random.default_rng(2), 500))
    assert quad(lambda t: float(fit.rate(t)), *WINDOW)[0] == pytest.approx(500)
    assert "500 decays in 1.5..15 us" in str(fit)


@pytest.mark.parametrize("seed", range(12))
def test_flat_times_never_give_a_certain_lifetime(seed):
    fit = fit_lifetime(np.random.default_rng(seed).uniform(*WINDOW, 300))
    is_certain = fit.is_valid and fit.tau_error_plus_us < fit.tau_us / 2
    assert not is_certain
    assert ("NOT VALID" in str(fit)) is not fit.is_valid


@pytest.mark.parametrize(
    ("times", "window", "error"),
    [
        ([2.0, 3.0, np.nan], WINDOW, DataError),
        ([2.0, 3.0], WINDOW, DataError),
        ([0.1] * 50, WINDOW, DataError),
        ([[2.0, 3.0, 4.0]], WINDOW, LayoutError),
        ([2.0, 3.0, 4.0], (5.0, 5.0), LayoutError),
    ],
    ids=["not a number", "too few", "outside", "2-D", "no window"],
)
def test_what_cannot_be_fitted(times, window, error):
    with pytest.raises(error):
        fit_lifetime(times, window)


def test_without_iminuit_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "iminuit", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[notebook\]"):
        fit_lifetime([2.0, 3.0, 4.0])


@pytest.mark.parametrize("name", ["kanne_180403", "cosmo_180514"])
def test_published_decay_times(name):
    published = json.loads(recorded("muon/expected.json").read_text())[name.partition("_")[0]]
    times = read_recording(recorded(f"muon/{name}_waveforms.npz")).decay_time_us
    for expected in published["fits"]:
        fit = fit_lifetime(times, tuple(expected["range_us"]))
        assert fit.n == expected["n"]
        assert fit.tau_us == pytest.approx(expected["tau_us"], abs=0.005)
        assert fit.tau_error_minus_us == pytest.approx(expected["tau_err_minus"], rel=0.03)
        assert fit.tau_error_plus_us == pytest.approx(expected["tau_err_plus"], rel=0.03)
        assert fit.background == pytest.approx(expected["bg_fraction"], abs=0.005)
        assert fit.nll == pytest.approx(expected["nll"], abs=0.01)
