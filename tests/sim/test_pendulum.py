"""The pendulum: periods of small and large swings, friction, and energy that is kept."""

import numpy as np
import pytest
from scipy.special import ellipk

from labdaq.errors import LayoutError
from labdaq.sim import Pendulum


def crossings(pendulum, n):
    """Times at which it comes through the middle, in seconds."""
    samples = pendulum.batch(n).data
    time, angle = samples["time_s"], samples["angle_rad"]
    before = np.flatnonzero((angle[:-1] > 0) & (angle[1:] <= 0))
    return time[before] + angle[before] / (angle[before] - angle[before + 1]) * (time[1] - time[0])


@pytest.mark.parametrize("amplitude_rad", [0.01, 0.5, 1.5, 3.0])
def test_period_is_the_elliptic_integral(amplitude_rad):
    expected_s = 4 * np.sqrt(0.8 / 9.80665) * ellipk(np.sin(amplitude_rad / 2) ** 2)
    pendulum = Pendulum(length_m=0.8, amplitude_rad=amplitude_rad, noise_rad=0.0, sample_rate_hz=1000.0)
    assert pendulum.period_s == pytest.approx(expected_s, rel=1e-12)
    periods = np.diff(crossings(pendulum, 30_000))
    assert len(periods) >= 3
    assert periods == pytest.approx(expected_s, rel=1e-5)


def test_energy_is_kept_without_friction():
    truth = Pendulum(amplitude_rad=2.5, sample_rate_hz=50.0).batch(20_000).truth
    energy = truth["angular_velocity"] ** 2 / 2 - 9.80665 * np.cos(truth["angle_rad"])
    np.testing.assert_allclose(energy, energy[0], atol=1e-5)


def test_friction_is_that_of_a_damped_oscillator():
    pendulum = Pendulum(amplitude_rad=0.001, damping_per_s=0.3, noise_rad=0.0)
    samples = pendulum.batch(1000).data
    squared = 9.80665 - 0.3**2
    time, frequency = samples["time_s"], np.sqrt(squared)
    expected = 0.001 * np.exp(-0.3 * time) * (np.cos(frequency * time) + 0.3 / frequency * np.sin(frequency * time))
    np.testing.assert_allclose(samples["angle_rad"], expected, atol=1e-9)


def test_noise_is_that_of_the_sensor():
    measured = Pendulum(seed=1, noise_rad=0.01, samples=1).batch(5000)
    error = measured.data["angle_rad"][:, 0] - measured.truth["angle_rad"]
    assert error.std() == pytest.approx(0.01, rel=0.05)


def test_blocks_hold_the_same_motion():
    samples = Pendulum(noise_rad=0.0).batch(600).data
    blocks = Pendulum(noise_rad=0.0, samples=20).batch(30)
    np.testing.assert_allclose(blocks.data.ravel()["angle_rad"], samples["angle_rad"], atol=1e-12)
    np.testing.assert_array_equal(blocks.data.ravel()["time_s"], samples["time_s"])
    assert blocks.truth["timestamp_ns"].tolist() == [200_000_000 * i for i in range(30)]


@pytest.mark.parametrize(
    "setting",
    [
        {"length_m": 0.0},
        {"amplitude_rad": 3.2},
        {"damping_per_s": -1.0},
        {"noise_rad": -1.0},
        {"samples": 0},
        {"sample_rate_hz": 0.0},
    ],
)
def test_settings_outside_their_range(setting):
    with pytest.raises(LayoutError, match=next(iter(setting))):
        Pendulum(**setting)
