"""Noise by counting: uniform, and without memory within a stream and between streams."""

import numpy as np
import pytest
from scipy import stats

from labdaq.sim import MuonStack
from labdaq.sim.counted_noise import noise_key


@pytest.fixture(scope="module")
def rows():
    """Noise from -1 to 1, shape (streams, samples)."""
    stack = MuonStack(seed=1, efficiency=0.0, stopped=0.0, noise_mv=1.0)
    return stack.batch(100).data.reshape(400, 4250).astype(np.float64)


def test_is_uniform(rows):
    assert stats.kstest(rows[:50].ravel(), "uniform", args=(-1, 2)).pvalue > 1e-3
    counts = np.bincount(((rows.ravel() + 1) * 128).astype(int), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_low_bits_are_uniform_too(rows):
    steps = np.rint((rows.ravel() + 1) * 2**23).astype(np.int64)
    assert stats.chisquare(np.bincount(steps % 64, minlength=64)).pvalue > 1e-3


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 7, 8, 16, 64, 1000])
def test_samples_do_not_know_each_other(rows, lag):
    products = 3 * rows[:, :-lag] * rows[:, lag:]
    assert abs(products.mean()) * np.sqrt(products.size) < 4.5


def test_streams_do_not_know_each_other(rows):
    correlation = np.corrcoef(rows)[np.triu_indices(400, 1)] * np.sqrt(4250)
    assert abs(correlation).max() < 6
    assert correlation.std() == pytest.approx(1, abs=0.02)


def test_spectrum_is_white(rows):
    power = (abs(np.fft.rfft(rows, axis=1)[:, 1:-1]) ** 2).mean(axis=0) / (4250 / 3)
    assert power.mean() == pytest.approx(1, abs=0.01)
    assert abs(power - 1).max() < 6 / np.sqrt(400)


def test_seeds_of_any_size_have_streams_of_their_own():
    assert len({int(noise_key(seed)) for seed in [0, 1, 2**32, 2**64, 2**100]}) == 5
