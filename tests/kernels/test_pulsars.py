"""Dedispersion and folding: the definitions, and a pulsar that only they can see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import LayoutError
from labdaq.kernels import dedisperse, dispersion_delays, fold
from labdaq.kernels.dedispersion import dedisperse_reference
from labdaq.kernels.folding import fold_reference

FREQUENCIES_MHZ = np.linspace(1200, 1500, 32)
RELATIVE_ERROR = 1e-12


@given(st.sampled_from(["u1", "f4", "f8"]), st.booleans(), st.integers(0, 20))
def test_dedispersion_is_its_definition(dtype, is_reversed, seed):
    powers = np.random.default_rng(seed).integers(0, 200, (60, 32)).astype(dtype)
    frequencies = FREQUENCIES_MHZ[::-1] if is_reversed else FREQUENCIES_MHZ
    for dm in (0.0, 30.0, [0, 10, 40], [-5.0, 20.0]):
        found = dedisperse(powers, frequencies, dm, 2e-3)
        expected = dedisperse_reference(powers, frequencies, dm, 2e-3)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=RELATIVE_ERROR, atol=0)


def test_the_delay_is_that_of_the_handbook():
    """4.15 ms for a DM of 1 between 1 GHz and infinity."""
    delay = dispersion_delays([1000, 1e9], 1.0)
    assert abs(delay[0] / 4.15e-3 - 1) < 1e-3
    assert delay[1] == 0


@given(st.sampled_from(["f4", "f8", "i2"]), st.integers(0, 200), st.sampled_from([(), (3,)]), st.integers(1, 9))
def test_folding_is_its_definition(dtype, frames, inner, bins):
    series = np.random.default_rng(frames).integers(-9, 9, (frames, *inner)).astype(dtype)
    found = fold(series, 0.13, period_s=0.7, bins=bins, begin_s=-3.1)
    expected = fold_reference(series, 0.13, period_s=0.7, bins=bins, begin_s=-3.1)
    assert np.array_equal(found.counts, expected.counts)
    assert np.allclose(found.sums, expected.sums, rtol=RELATIVE_ERROR, atol=0)
    assert found.counts.sum() == frames


def test_gulps_add_up_to_the_whole():
    series = np.random.default_rng(1).normal(size=500)
    whole = fold(series, 0.01, period_s=0.3301, bins=16)
    first = fold(series[:123], 0.01, period_s=0.3301, bins=16)
    second = fold(series[123:], 0.01, period_s=0.3301, bins=16, begin_s=1.23)
    assert np.allclose(first.plus(second).sums, whole.sums)
    assert np.array_equal(first.plus(second).counts, whole.counts)
    with pytest.raises(LayoutError, match="same bins"):
        whole.plus(fold(series, 0.01, period_s=0.3301, bins=8))


def test_a_pulsar_below_the_noise_is_found_at_its_dispersion_measure():
    frame_s, period_s, dm, rng = 1e-3, 0.0891, 60.0, np.random.default_rng(7)
    times_s = np.arange(8000)[:, None] * frame_s - dispersion_delays(FREQUENCIES_MHZ, dm)
    is_on = (times_s / period_s) % 1 < 0.05
    powers = (rng.normal(size=is_on.shape) + 0.3 * is_on).astype(np.float32)  # 0.3 sigma in a single channel
    trials = np.arange(0, 121, 10)
    profiles = [
        fold(s, frame_s, period_s=period_s, bins=20).mean for s in dedisperse(powers, FREQUENCIES_MHZ, trials, frame_s)
    ]
    heights = [(p.max() - np.median(p)) / np.std(p[np.argsort(p)[:-3]]) for p in profiles]
    assert trials[int(np.argmax(heights))] == dm
    assert max(heights) > 15
    assert heights[0] < 8


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (dispersion_delays, ([0.0], 1.0)),
        (dispersion_delays, ([1.0], np.inf)),
        (dedisperse, (np.ones((9, 2)), [1.0], 0.0, 1.0)),
        (dedisperse, (np.ones((9, 2)), [50.0, 100.0], 0.0, 0.0)),
        (dedisperse, (np.ones((9, 2)), [50.0, 100.0], 100.0, 0.1)),
        (dedisperse, (np.ones((9, 2)), [50.0, 100.0], 1e300, 0.1)),
        (dedisperse, (np.ones((9, 2)) * 1j, [50.0, 100.0], 0.0, 1.0)),
    ],
)
def test_what_cannot_be_dedispersed_is_refused(call, arguments):
    with pytest.raises(LayoutError):
        call(*arguments)


@pytest.mark.parametrize("wrong", [{"period_s": 0.0}, {"period_s": np.nan}, {"period_s": 1.0, "bins": 0}])
def test_what_cannot_be_folded_is_refused(wrong):
    with pytest.raises(LayoutError):
        fold([1.0], 0.1, **wrong)
